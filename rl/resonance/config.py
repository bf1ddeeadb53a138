"""Configuration of the resonance stage: samples of pairs of one simulated detector."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from common.config import StageConfig
from data.simulation.conditions import detector_named


class PairCounts(StageConfig):
    """How many pairs of each kind to make; 0: none."""

    zee: int = Field(0, ge=0, description="Z to two electrons, candidates of 60-120 GeV")
    higgs: int = Field(0, ge=0, description="H to two photons")
    gun: int = Field(0, ge=0, description="pairs of photons flat in pt and eta")
    background: int = Field(
        0, ge=0, description="photon and jet or two photons that pass as candidates of 60-120 GeV"
    )


class ResonanceConfig(StageConfig):
    """Z to two electrons, H to two photons and others, simulated in several detectors, as pairs."""

    output: Path = Field(
        Path("runs/calibration/samples"), description="folder; files go to OUTPUT/DETECTOR/KIND.h5"
    )
    detectors: dict[str, PairCounts] = Field(
        {
            "nominal": PairCounts(zee=20000, higgs=5000, gun=20000),
            "strong_0": PairCounts(zee=20000, higgs=5000),
        },
        description="pairs of each detector: nominal, and strong_N or weak_N, whose distortions "
        "stand for data; N is the seed of their maps",
    )
    lists: Path = Field(
        Path("runs/calibration/lists"),
        description="folder of particle lists of zee, higgs and continuum; minimum bias is the "
        "shipped one if it has none",
    )
    nominal_lists: int = Field(
        0,
        ge=0,
        description="lists of zee that are kept for the nominal detector, so that it shares no "
        "generated event with the others; 0: all use all",
    )
    pileup: float = Field(20.0, ge=0, description="mean number of further interactions")
    seed: int = Field(1, ge=0, description="seed of the simulation; detectors differ by themselves")
    workers: int = Field(1, ge=1, description="processes simulating in parallel")

    @field_validator("detectors")
    @classmethod
    def _known(cls, detectors: dict[str, PairCounts]) -> dict[str, PairCounts]:
        for name in detectors:
            detector_named(name)
        return detectors
