"""Configuration of in-situ calibration on a resonance."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from common.config import StageConfig
from e2e.low_level.regression import RegressionConfig
from envs.calibration.config import CalibrationEnvConfig
from rl.calibration.networks import NetworkConfig
from rl.learning.config import AgentConfig


class CalibrateConfig(StageConfig):
    """Calibrate a detector that differs from its simulation, on Z → ee candidates alone."""

    samples: Path = Field(
        Path("runs/calibration/samples"),
        description="folder of `resonance`: nominal and every detector, with zee, background, "
        "higgs and gun",
    )
    output: Path = Field(Path("runs/calibrate"), description="run folder")
    detectors: list[str] = Field(
        ["strong_0", "strong_1", "strong_2", "weak_0"],
        min_length=1,
        description="detectors to calibrate; the first one also bears the studies and controls",
    )
    candidates: list[int] = Field(
        [50_000, 200_000],
        min_length=1,
        description="numbers of Z → ee candidates; smaller ones on the first detector only",
    )
    background: float = Field(
        0.05, ge=0, lt=1, description="share of background among the candidates"
    )
    backgrounds: list[float] = Field(
        [0.0, 0.1], description="further shares of background, on the first detector"
    )
    window: tuple[float, float] = Field((80.0, 100.0), description="masses of candidates, GeV")
    reference_share: float = Field(
        0.75,
        gt=0,
        lt=1,
        description="part of nominal Z → ee that defines the reference; closure uses the rest",
    )
    environment: CalibrationEnvConfig = Field(CalibrationEnvConfig(), description="environment")
    maps_range: float = Field(
        0.03, gt=0, description="range of log energy when a method starts from the maps"
    )
    agent: AgentConfig = Field(
        AgentConfig(
            updates=3000,
            updates_per_step=4,
            batch_size=512,
            buffer_size=1_000_000,
            learning_rate=1e-3,
            noise=0.5,
            final_noise=0.125,
            averaged=True,
        ),
        description="agent",
    )
    network: NetworkConfig = Field(
        NetworkConfig(), description="peers taught by masses or truth through back-propagation"
    )
    regression: RegressionConfig = Field(
        RegressionConfig(), description="nominal regression of photons"
    )
    policies: int = Field(3, ge=1, description="policies, and networks, whose mean is taken")
    folds: int = Field(5, ge=2, description="folds of the maps that a method is shown")
    curve_points: int = Field(8, ge=1, description="points of a learning curve")
    bootstrap: int = Field(200, ge=2, description="replicas for errors")
    real: list[Path] = Field(
        [], description="files with collisions whose Z → ee candidates are looked at; may be absent"
    )
    workers: int = Field(1, ge=1, description="policies trained side by side in processes")
    seed: int = Field(0, ge=0, description="seed of splits, networks and exploration")
