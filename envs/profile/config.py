"""Settings of the shower-profile environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.config import StageConfig

Start = Literal["finder", "fit"]
DistanceKind = Literal["l1", "wasserstein", "sum"]


class ProfileEnvironmentConfig(StageConfig):
    """How far peaks may be moved, and what the agent is paid for."""

    steps: int = Field(4, gt=0, description="steps of an episode (K)")
    start: Start = Field(
        "fit", description="first peaks: the finder's on its grid, or those fitted from there"
    )
    distance: DistanceKind = Field(
        "sum",
        description="distance to the true profile that a reward takes off: l1 of the cells, "
        "wasserstein of the projections on phi and eta, or the sum of both",
    )
    l1_scale: float = Field(0.1, gt=0, description="L1 that counts as a distance of one")
    wasserstein_scale: float = Field(
        0.05, gt=0, description="Wasserstein distance, in crystals, that counts as one"
    )
    share_range: float = Field(
        1.0, gt=0, description="change of a peak's log share within reach in an episode"
    )
    u_range: float = Field(0.15, gt=0, description="way of a peak in eta within reach, crystals")
    v_range: float = Field(0.4, gt=0, description="way of a peak in phi within reach, crystals")
    width_range: float = Field(
        0.2, gt=0, description="change of the showers' log width within reach"
    )
    margin: float = Field(
        1.5, ge=1, description="steps x largest step / ranges: room to correct a correction"
    )
