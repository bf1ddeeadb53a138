"""Settings of the categorisation environment."""

from __future__ import annotations

from pydantic import Field

from common.config import StageConfig


class CategoryConfig(StageConfig):
    """Edges of event categories, how far a step moves them, and what a move is paid by.

    Scores and resolutions are in quantiles of the signal: 0.3 is the value that 30 % of the signal
    lies below.
    """

    bands: int = Field(3, ge=1, description="bands of the score; below the lowest: not accepted")
    splits: int = Field(1, ge=0, description="edges in the predicted resolution of each band")
    steps: int = Field(6, gt=0, description="steps of an episode (K)")
    largest_step: float = Field(
        0.15, gt=0, le=1, description="what an action of 1 adds to an edge, in quantiles"
    )
    score_cells: int = Field(60, ge=4, description="places that an edge of the score can take")
    resolution_cells: int = Field(40, ge=4, description="of the resolution")
    replicas: int = Field(
        64, ge=1, description="samples to start from: the events as they are, and resampled"
    )
    yield_spread: float = Field(
        0.0, ge=0, description="deviation of the logarithm of each background's yield in resampled "
        "samples",
    )  # fmt: skip
    reward_unit: float = Field(
        0.02, gt=0, description="change of the significance, over that of one category, that pays 1"
    )
    seed: int = Field(0, ge=0, description="of the resampling")
