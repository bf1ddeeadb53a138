"""Configuration of a whole study and of its report."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from common.config import StageConfig
from data.config import PreprocessConfig
from data.simulation.config import SimulateConfig
from e2e.comparison.config import CompareConfig
from e2e.config import ClassifyConfig
from e2e.decorrelation.config import DecorrelateConfig
from e2e.jets.config import JetsConfig
from e2e.low_level.config import AttributionConfig, LadderConfig, ShareConfig
from rl.ablation.config import AblationConfig
from rl.calibration.config import CalibrateConfig
from rl.categories.config import CategoriseConfig
from rl.profile.config import ProfileConfig
from rl.refinement.config import RefineConfig
from rl.resonance.config import ResonanceConfig
from rl.uncertainty.config import UncertaintyConfig


class ReportConfig(StageConfig):
    """Run folders to one HTML page."""

    folder: Path = Field(Path("runs/demo"), description="folder holding the stages' run folders")
    output: Path | None = Field(None, description="page to write; default FOLDER/report.html")
    title: str = Field("Diphoton study", description="heading of the page")


class StudyConfig(StageConfig):
    """A study: the configuration of every stage that it runs; absent ones are left out.

    `{folder}` in a text stands for `folder`.
    """

    folder: Path = Field(Path("runs/demo"), description="folder of the study")
    title: str = Field("Diphoton study", description="heading of the report")
    simulate: SimulateConfig | None = Field(None, description="simulation")
    preprocess: dict[str, PreprocessConfig] = Field(
        {}, description="event stores to make, by name; section preprocess.NAME of the file"
    )
    classify: ClassifyConfig | None = Field(None, description="classifier")
    compare: CompareConfig | None = Field(None, description="all networks and baselines")
    decorrelate: DecorrelateConfig | None = Field(None, description="mass decorrelation")
    share: ShareConfig | None = Field(None, description="crystals' shares, judged")
    attribution: AttributionConfig | None = Field(None, description="which crystals decide")
    ladder: LadderConfig | None = Field(
        None, description="what low-level outputs add for energy and position"
    )
    jets: JetsConfig | None = Field(None, description="quark and gluon jets")
    rl: RefineConfig | None = Field(None, description="agent")
    ablation: AblationConfig | None = Field(None, description="agents with one thing changed")
    resonance: ResonanceConfig | None = Field(
        None, description="Z to two electrons and H in distorted detectors"
    )
    profile: ProfileConfig | None = Field(None, description="showers at a fifth of a crystal")
    uncertainty: UncertaintyConfig | None = Field(
        None, description="predicted resolutions and several results per event"
    )
    categorise: CategoriseConfig | None = Field(None, description="event categories")
    calibrate: CalibrateConfig | None = Field(
        None, description="calibration of a distorted detector on Z to two electrons"
    )
