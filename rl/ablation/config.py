"""Configuration of the ablation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from common.config import build
from rl.refinement.config import RefineConfig

_BLOCKS = ("kinematics", "shapes", "embedding", "feature_map", "regression", "residual")


def _without(*blocks: str) -> dict[str, Any]:
    return {"environment": {"blocks": [block for block in _BLOCKS if block not in blocks]}}


#: Row of the table to the keys in which it differs from the first.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "without kinematics": _without("kinematics"),
    "without shapes": _without("shapes"),
    "without embedding": _without("embedding"),
    "without feature map": _without("feature_map"),
    "without low-level outputs": _without("embedding", "feature_map"),
    "without regression in the observation": _without("regression"),
    "without residual image": _without("residual"),
    "K = 1": {"environment": {"steps": 1}},
    "K = 2": {"environment": {"steps": 2}},
    "K = 5": {"environment": {"steps": 5}},
    "γ = 0.5": {"agent": {"gamma": 0.5}},
    "γ = 0.95": {"agent": {"gamma": 0.95}},
    "start: standard": {"environment": {"start": "standard", "ranges": [0.2, 0.15, 0.3]}},
    "TD3": {"agent": {"algorithm": "TD3"}},
    "SAC": {"agent": {"algorithm": "SAC"}},
    "reward: negative distance": {"environment": {"reward": "negative_distance"}},
    "without weight decay": {"agent": {"weight_decay": 0.0}},
    "last actor, not the mean": {"agent": {"averaged": False}},
}


class AblationConfig(RefineConfig):
    """Vary one thing at a time: each agent beside the peer that has its inputs.

    The keys of `rl` describe the first row; `agent.networks` and the rollouts do not matter here.
    """

    output: Path = Field(Path("runs/ablation"), description="run folder")
    variants: dict[str, dict[str, Any]] = Field(
        VARIANTS, description="rows: name to the keys (environment, agent, regression) that differ"
    )
    seeds: int = Field(3, ge=1, description="agents and peers per row")

    def variant(self, name: str, seed: int) -> RefineConfig:
        """The configuration of one agent.

        Raises
        ------
        ConfigError
            If the row has a key that does not exist.
        """
        known = self.model_dump(include=set(RefineConfig.model_fields))
        return build(RefineConfig, known, self.variants[name], {"seed": self.seed + seed})
