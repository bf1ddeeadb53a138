"""Configuration of the stages that write and judge low-level outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.config import StageConfig
from e2e.low_level.regression import RegressionConfig

Part = Literal["embedding", "feature_map", "crop", "share", "attribution"]
PairName = Literal["higgs_gamma_jet", "diphoton_gamma_jet", "higgs_diphoton"]
_CLASSIFIER = "classifier.pt, or the run folder of `classify` that holds it"


class AttributionSettings(StageConfig):
    """What a classifier's decision is attributed to."""

    pair: PairName = Field(
        "higgs_gamma_jet", description="the difference of these classes' logits is attributed"
    )
    steps: int = Field(48, ge=2, description="points of the integral over gradients")


class LowLevelConfig(StageConfig):
    """A classifier's low-level outputs for any event store; needs neither truth nor labels."""

    classifier: Path = Field(description=_CLASSIFIER)
    store: Path = Field(description="event store")
    output: Path = Field(Path("low_level.h5"), description="HDF5 file to write")
    parts: list[Part] = Field(
        [],
        description="what to write of each photon; empty: embedding, feature_map, crop, and share "
        "where the classifier has the head. attribution takes 100 times longer",
    )
    attribution: AttributionSettings = Field(AttributionSettings(), description="attribution")
    threads: int = Field(0, ge=0, description="CPU threads; 0: all cores")


class AttributionConfig(StageConfig):
    """Which crystals decide: attributions, pictures, and two tests of the method."""

    classifier: Path = Field(description=_CLASSIFIER)
    store: Path = Field(description="event store with labels 0 γγ, 1 H→γγ, 2 γ+jet")
    output: Path = Field(Path("runs/attribution"), description="run folder")
    attribution: AttributionSettings = Field(AttributionSettings(), description="attribution")
    events: int = Field(200, gt=0, description="held-out events of each class")
    examples: int = Field(3, gt=0, description="events of each class that are shown")
    deleted: list[float] = Field(
        [0.02, 0.05, 0.1, 0.2, 0.4],
        min_length=1,
        description="shares of the filled pixels that the deletion test removes",
    )
    randomisations: int = Field(3, ge=1, description="networks with random weights")
    bootstrap: int = Field(100, ge=2, description="replicas for errors")
    threads: int = Field(0, ge=0, description="CPU threads; 0: all cores")
    seed: int = Field(0, ge=0, description="seed of random weights and random deletions")


class ShareConfig(StageConfig):
    """How well the head of crystals' shares tells prompt photons from pile-up and jets."""

    classifier: Path = Field(description=_CLASSIFIER + "; trained with inputs.hits=true")
    store: Path = Field(description="simulated event store with truth of crystals")
    output: Path = Field(Path("runs/share"), description="run folder")
    lookup_events: int = Field(
        8000, gt=0, description="training events of which the lookup is made"
    )
    bootstrap: int = Field(200, ge=2, description="replicas for errors")
    threads: int = Field(0, ge=0, description="CPU threads; 0: all cores")
    seed: int = Field(0, ge=0, description="seed of the control's permutations")


class LadderConfig(StageConfig):
    """What each kind of low-level output adds for a photon's energy and position."""

    classifier: Path = Field(description=_CLASSIFIER)
    store: Path = Field(description="simulated event store")
    output: Path = Field(Path("runs/ladder"), description="run folder")
    regression: RegressionConfig = Field(
        RegressionConfig(epochs=60, weight_decay=0.02, folds=4), description="networks"
    )
    networks: int = Field(2, ge=1, description="networks per fold, whose mean is taken")
    bootstrap: int = Field(200, ge=2, description="replicas for errors")
    threads: int = Field(0, ge=0, description="CPU threads; 0: all cores")
    seed: int = Field(0, ge=0, description="seed of weights, batches and folds")
