"""Configuration of the simulate stage."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.config import StageConfig
from data.simulation.conditions import Conditions

SHIPPED_LISTS = Path(__file__).parent / "particles"


class ProcessEvents(StageConfig):
    """How many particle lists of each process to simulate; empty: all there are; 0: none."""

    higgs: int | None = Field(default=None, ge=0, description="H to two photons")
    diphoton: int | None = Field(default=None, ge=0, description="two prompt photons")
    gamma_jet: int | None = Field(
        default=None, ge=0, description="photon and jet, preselected fakes"
    )
    dijet: int | None = Field(
        default=0, ge=0, description="two jets, quark or gluon, of 80-170 GeV; needs fastjet"
    )
    zee: int | None = Field(
        default=0, ge=0, description="Z to two electrons; its lists have to be generated"
    )
    continuum: int | None = Field(
        default=0, ge=0, description="photon and jet or two photons from 55 GeV; to be generated"
    )
    gun: int = Field(
        default=0, ge=0, description="pairs of photons flat in pt and eta, made on the fly"
    )


class SimulateConfig(StageConfig):
    """Particle lists to simulated events in the layout of fevt/RHTree, a ROOT file a process."""

    output: Path = Field(Path("runs/simulation"), description="folder of the ROOT files")
    events: ProcessEvents = Field(ProcessEvents(), description="events by process")
    repeat: int = Field(
        1, ge=1, description="times each list is used, turned in phi and reflected in z at random"
    )
    pileup: float = Field(20.0, ge=0, description="mean number of further interactions")
    vertex: Literal["chosen", "true"] = Field(
        "chosen",
        description="vertex that photons are seen from: chosen by its tracks, or the true one "
        "(always for the photon gun)",
    )
    seed: int = Field(1, ge=0, description="seed of all random numbers")
    detector: Conditions = Field(
        "nominal",
        description="conditions of the detector: nominal, or distorted as real ones may be, "
        "strongly or weakly",
    )
    detector_seed: int = Field(0, ge=0, description="seed of a distorted detector's maps")
    keep_all: bool = Field(
        False, description="write all events, not only those with two standard photons"
    )
    lists: Path = Field(
        SHIPPED_LISTS,
        description="folder of particle lists; minimum bias is the shipped one if it has none",
    )
    workers: int = Field(1, ge=1, description="processes simulating in parallel")
