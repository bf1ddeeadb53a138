"""Configuration of the jets stage."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.config import StageConfig
from e2e.config import SplitConfig, TrainingConfig, TreeConfig


class JetCutsConfig(StageConfig):
    """Which jets take part."""

    min_pt: float = Field(70.0, ge=0, description="GeV")
    max_pt: float = Field(170.0, gt=0, description="GeV")
    max_eta: float = Field(
        1.8, gt=0, description="|eta|; jets whose window leaves the detector are left out besides"
    )


class JetNetworkConfig(StageConfig):
    """ResNet-15 on images of jets."""

    stride: int = Field(
        2, ge=1, le=4, description="of the first convolution; 1 is the paper's, at four times the "
        "cost of 2"
    )  # fmt: skip
    energies: Literal["log", "linear"] = Field(
        "log", description="log(1 + E/GeV), or E over a scale of the training jets"
    )


class JetTrainingConfig(TrainingConfig):
    """Optimisation, with other defaults than for diphoton events."""

    epochs: int = Field(8, gt=0, description="passes over the training jets")
    batch_size: int = Field(64, gt=1, description="jets per step")
    learning_rate: float = Field(2e-3, gt=0, description="peak of the schedule")


class JetTreeConfig(TreeConfig):
    """The boosted tree on shapes."""

    iterations: int = Field(120, gt=0, description="boosting rounds")
    learning_rate: float = Field(0.06, gt=0, description="shrinkage")
    max_leaf_nodes: int = Field(8, gt=1, description="leaves per tree")


class JetSplitConfig(SplitConfig):
    """Which jets train and which are held out; those of a parton event stay together."""

    folds: int = Field(3, ge=2, description="parts; each model is tested on one, trained on others")


class JetEvaluationConfig(StageConfig):
    """Metrics and controls."""

    bootstrap: int = Field(200, ge=2, description="replicas for errors")
    tree_permutations: int = Field(20, ge=2, description="trees trained on shuffled labels")
    network_permutations: int = Field(4, ge=2, description="networks trained on shuffled labels")
    control_jets: int = Field(600, ge=20, description="training jets of those networks")
    control_epochs: int = Field(6, ge=1, description="their epochs")


class JetsConfig(StageConfig):
    """Train quark-gluon classifiers on images of jets, and a boosted tree on their shapes."""

    store: Path = Field(description="event store with jets and their true flavour")
    output: Path = Field(Path("runs/jets"), description="run folder")
    cuts: JetCutsConfig = Field(JetCutsConfig(), description="jets that take part")
    network: JetNetworkConfig = Field(JetNetworkConfig(), description="network")
    training: JetTrainingConfig = Field(JetTrainingConfig(), description="training")
    split: JetSplitConfig = Field(JetSplitConfig(), description="split by parton event")
    tree: JetTreeConfig = Field(JetTreeConfig(), description="boosted tree")
    evaluation: JetEvaluationConfig = Field(JetEvaluationConfig(), description="evaluation")
    unlabelled: list[Path] = Field(
        [], description="further stores with jets, such as real ones, to show the scores of"
    )
    threads: int = Field(0, ge=0, description="CPU threads; 0: all cores")
    seed: int = Field(0, ge=0, description="seed of weights, batches and augmentation")
