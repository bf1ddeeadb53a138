"""Settings of the calibration environment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.config import StageConfig

Block = Literal["position", "supermodules", "maps", "energy"]


class CalibrationEnvConfig(StageConfig):
    """What the agent sees of an electron or photon, what it may change, what a mass is worth."""

    blocks: list[Block] = Field(
        ["position", "supermodules"],
        description="blocks of the observation: position and pile-up; supermodules; maps: "
        "correction found by maps, out of fold; energy: log E, the trap of docs/calibration.md",
    )
    range: float = Field(0.08, gt=0, description="largest change of log energy")
    scale: float = Field(
        0.015, gt=0, description="change of log mass that counts as a distance of one"
    )
    cap: float = Field(
        6.0, gt=0, description="largest distance, in scales: background and tails count no more"
    )
