"""Configuration of the preprocessing and export stages."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.config import StageConfig

Selection = Literal["none", "pair", "diphoton2012", "diphoton2012_id"]


class PreprocessConfig(StageConfig):
    """CMS or simulated files to one event store."""

    input: list[Path] = Field(description="files to read; the format is told by their content")
    output: Path = Field(Path("events.h5"), description="event store to write")
    selection: Selection = Field(
        "none",
        description="none: keep all events (`selected` then flags the 2012 selection); pair: two "
        "standard clusters; diphoton2012: the 2012 selection; diphoton2012_id: with the later "
        "photon identification",
    )
    label: int | None = Field(
        None, description="class of collision files' events; simulated files bring their own"
    )
    chunk: int = Field(500, gt=0, description="events held in memory at a time")
    workers: int = Field(1, gt=0, description="processes reading in parallel")


class ExportConfig(StageConfig):
    """An event store to dense images."""

    store: Path = Field(description="event store to read")
    images: list[str] = Field(
        ["EB_energy", "EEm_energy", "EEp_energy", "HBHE_energy"],
        description="image names, as in the ntuple",
    )
    output: Path = Field(Path("images.npz"), description="NumPy archive to write")
