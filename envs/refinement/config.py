"""Settings of the refinement environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from common.config import StageConfig
from envs.refinement.reward import REWARDS

Block = Literal["kinematics", "shapes", "embedding", "feature_map", "regression", "residual"]
Start = Literal["standard", "regression"]
Triple = tuple[float, float, float]


class EnvironmentConfig(StageConfig):
    """What the agent sees, what it may change, and what it is paid for.

    Triples are (log energy, u, v): the logarithm of the energy, and the impact point in crystals.
    """

    steps: int = Field(3, gt=0, description="steps of an episode (K)")
    start: Start = Field(
        "regression", description="first hypothesis: the standard reconstruction or the regression"
    )
    blocks: list[Block] = Field(
        ["kinematics", "shapes", "embedding", "feature_map", "regression", "residual"],
        description="blocks of the observation; one whose data is missing is an error",
    )
    feature_map_components: int = Field(
        24, gt=0, description="principal components kept of the classifier's feature map"
    )
    ranges: Triple = Field(
        (0.05, 0.05, 0.4),
        description="correction within reach in an episode, log energy, u, v; from the standard "
        "reconstruction some 0.2, 0.15, 0.3 are needed",
    )
    margin: float = Field(
        1.5, ge=1, description="steps x largest step / ranges: room to correct a correction"
    )
    reward: str = Field(
        "potential",
        description="a key of envs.refinement.reward.REWARDS; potential: distance before minus "
        "after a step; negative_distance: minus the distance after it, so that the critic predicts "
        "what error is left",
    )
    scales: Triple = Field(
        (0.02, 0.03, 0.08), description="errors that count as a distance of one, log energy, u, v"
    )
    weights: Triple = Field((1.0, 0.25, 0.25), description="weights in the distance")
    cap: float = Field(6.0, gt=0, description="largest distance of one coordinate, in scales")

    @field_validator("reward")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in REWARDS:
            raise ValueError(f"no reward {name!r}; there are {', '.join(REWARDS)}")
        return name
