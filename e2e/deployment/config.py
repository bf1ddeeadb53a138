"""Configuration of the export of a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.config import StageConfig


class DeployConfig(StageConfig):
    """Export a classifier to TorchScript and ONNX, check that they agree with it, describe it."""

    checkpoint: Path = Field(description="classifier.pt, or the run folder that holds it")
    output: Path = Field(Path("runs/deploy"), description="run folder")
    store: Path | None = Field(
        None, description="event store whose events are the check; without one they are made up"
    )
    events: int = Field(200, gt=0, description="events of the check")
    formats: list[Literal["torchscript", "onnx"]] = Field(
        ["torchscript", "onnx"], min_length=1, description="torchscript, onnx"
    )
    mirrors: bool = Field(
        True,
        description="the mean over an event and its three mirror images, as in scores.h5; without "
        "it a quarter of the time, and other scores",
    )
    tolerance: float = Field(
        1e-4, gt=0, description="largest difference of any logit that is let pass"
    )
    seed: int = Field(0, ge=0, description="of made-up events")
