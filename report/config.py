"""Configuration of a whole study and of its report."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from common.config import StageConfig
from data.config import PreprocessConfig
from data.simulation.config import SimulateConfig
from e2e.config import ClassifyConfig
from rl.config import RefineConfig


class ReportConfig(StageConfig):
    """Run folders to one HTML page."""

    folder: Path = Field(Path("runs/demo"), description="folder holding the stages' run folders")
    output: Path | None = Field(None, description="page to write; default FOLDER/report.html")
    title: str = Field("Diphoton study", description="heading of the page")


class StudyConfig(StageConfig):
    """A study: every stage's configuration; `{folder}` in a text stands for `folder`."""

    folder: Path = Field(Path("runs/demo"), description="folder of the study")
    title: str = Field("Diphoton study", description="heading of the report")
    simulate: SimulateConfig | None = Field(None, description="simulation; absent: none")
    preprocess: dict[str, PreprocessConfig] = Field(
        {}, description="event stores to make, by name; section preprocess.NAME of the file"
    )
    classify: ClassifyConfig = Field(description="classifier")
    rl: RefineConfig = Field(description="agent")
