"""Configuration of the classifier: inputs, network, training, split and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.config import StageConfig


class InputConfig(StageConfig):
    """How hits become mass-blind images; part of every checkpoint."""

    scale: Literal["photon", "mass", "none"] = Field(
        "photon",
        description="photon: hits relative to their own photon's pt, so that embeddings hold no "
        "absolute energy and nothing of the other photon; mass: relative to the pair's mass; "
        "none: GeV as they are, which tells a network the mass",
    )
    reference_mass: float = Field(
        125.0, gt=0, description="GeV; hits are scaled by half of it over pt, or by it over m"
    )
    track_cut: float = Field(1.5, ge=0, description="scaled track pt (GeV) below this is zeroed")
    ecal_cut: float = Field(1.0, ge=0, description="scaled ECAL hits (GeV) below this are zeroed")
    hcal_cut: float = Field(2.0, ge=0, description="scaled HCAL towers (GeV) below are zeroed")
    crop_size: int = Field(16, gt=0, multiple_of=2, description="crystals per side of a crop, even")
    hits: bool = Field(
        False,
        description="also the crops' ECAL hits in GeV, uncut: the network then has a head that "
        "gives each crystal's share of prompt-photon energy; its scores do not see them",
    )
    tracks: Literal["face", "vertex"] = Field(
        "face",
        description="where a photon sees tracks; vertex: at the cell that their direction at the "
        "vertex points to; face: moved by the photon's way along z, so that its own lie on it",
    )
    shapes: bool = Field(
        False,
        description="shower shapes and isolation of the same hits as a further input of the "
        "diphoton network: helps below some 10,000 training events, not above",
    )
    context_bins: int = Field(17, gt=0, description="bins per side of the context image, odd")
    context_bin: int = Field(3, gt=0, description="crystals per side of a context bin, odd")
    full: list[str] = Field(
        [],
        description="images of the whole detector to make: EB, EB3, EE, EE2, ECAL, ECAL3, HCAL, "
        "HCAL2, HCAL3, relative to the pair's mass, then cut; with _raw after the name: GeV, "
        "uncut, which tells a network the mass",
    )
    full_cut: float = Field(
        4.0,
        ge=1,
        description="factor on the cuts in whole images: how much soft pile-up lies above a cut "
        "relative to the mass tells the mass",
    )

    @property
    def cuts(self) -> dict[str, float]:
        """Cut on the scaled energy by channel."""
        return {"TRK": self.track_cut, "EB": self.ecal_cut, "HBHE": self.hcal_cut}

    @property
    def full_cuts(self) -> dict[str, float]:
        """The same for whole images."""
        cuts = {**self.cuts, "EE": self.ecal_cut}
        return {channel: cut * self.full_cut for channel, cut in cuts.items()}


class NetworkConfig(StageConfig):
    """Which network, and its size."""

    kind: Literal["diphoton", "kinematics", "resnet15"] = Field(
        "diphoton",
        description="diphoton: crops, context and kinematics; kinematics: the five inputs alone; "
        "resnet15: the paper's network on whole images",
    )
    classes: int = Field(3, ge=2, description="logits of the head")
    widths: list[int] = Field(
        [32, 48],
        min_length=1,
        description="channels of the crop encoder's stages; each stage "
        "after the first halves the image",
    )
    blocks: int = Field(1, ge=1, description="residual blocks per stage of the crop encoder")
    context_widths: list[int] = Field(
        [16, 32], description="channels of the context branch's convolutions; empty for no context"
    )
    rings: int = Field(32, gt=0, description="features made of the context's sums over rings")
    shapes: int = Field(32, gt=0, description="features made of shapes and isolation, if an input")
    photon: int = Field(32, gt=0, description="features per photon that reach the head")
    hidden: int = Field(64, gt=0, description="units of the hidden layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout in the head")
    share: int = Field(16, gt=0, description="channels of the head of crystals' shares")
    images: dict[str, int] = Field(
        {"EB": 1}, min_length=1, description="resnet15: its images and how many channels each has"
    )
    stride: int = Field(
        1, ge=1, le=4, description="resnet15: of the first convolution; 1 is the paper's"
    )
    energies: Literal["log", "linear"] = Field(
        "log", description="resnet15: log(1 + E/GeV), or E over a scale of the training events"
    )
    with_kinematics: bool = Field(True, description="resnet15: the five inputs join the head")
    shared_trunk: bool = Field(False, description="resnet15: one trunk for all images")


class TrainingConfig(StageConfig):
    """Optimisation of a network."""

    epochs: int = Field(10, gt=0, description="passes over the training events")
    batch_size: int = Field(128, gt=1, description="events per step")
    learning_rate: float = Field(4e-3, gt=0, description="peak of the schedule")
    schedule: Literal["onecycle", "cosine", "constant"] = Field(
        "onecycle",
        description="of the learning rate; onecycle: up and down (arXiv:1708.07120); cosine: down",
    )
    patience: int = Field(
        0,
        ge=0,
        description="stop after this many epochs without a better `monitor`, and keep the best "
        "weights; 0: train all epochs and keep the last",
    )
    monitor: str = Field(
        "validation_loss",
        description="validation figure that `patience` watches; one named auc… is to rise, any "
        "other to fall",
    )
    weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay (AdamW)")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="label smoothing of the loss")
    prompt_loss: float = Field(
        1.0, ge=0, description="weight of the auxiliary loss: is each photon prompt? needs truth"
    )
    share_loss: float = Field(
        0.5, ge=0, description="weight of the loss of crystals' shares; needs inputs.hits and truth"
    )
    decorrelation: Literal["none", "disco"] = Field(
        "none",
        description="disco: punish the distance correlation of the Higgs score and m_gg over the "
        "background of a batch (arXiv:2001.05310)",
    )
    decorrelation_weight: float = Field(
        2.0, ge=0, description="weight of that penalty against the cross entropy"
    )
    augment: bool = Field(True, description="random phi flips and z mirrors of whole events")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="auto: bfloat16 autocast where the processor multiplies it in hardware, "
        "float32 elsewhere",
    )
    device: str = Field("auto", description="auto (a GPU where there is one), cpu, cuda, cuda:1, …")
    compile: bool = Field(False, description="torch.compile the network and its loss")
    resident: bool = Field(
        True, description="on a GPU: keep the sparse inputs in its memory where they fit in half"
    )
    checkpoint_seconds: float = Field(
        30.0, ge=0, description="least time between two checkpoints; one is kept per model"
    )
    tensorboard: bool = Field(True, description="write TensorBoard logs beside the JSON ones")


class SplitConfig(StageConfig):
    """Which events train and which are held out; siblings of a parton event stay together."""

    folds: int = Field(4, ge=2, description="parts; each model is tested on one, trained on others")
    models: int = Field(
        1, ge=1, description="folds to train and test: as many models, up to `folds`"
    )
    validation: float = Field(
        0.08, ge=0, lt=0.5, description="share of the training groups kept for validation"
    )
    seed: int = Field(0, ge=0, description="seed of the groups' hash")


class TreeConfig(StageConfig):
    """The boosted tree on kinematics, shower shapes and isolation."""

    iterations: int = Field(300, gt=0, description="boosting rounds")
    learning_rate: float = Field(0.04, gt=0, description="shrinkage")
    max_leaf_nodes: int = Field(15, gt=1, description="leaves per tree")
    min_samples_leaf: int = Field(20, gt=0, description="events per leaf")
    l2: float = Field(1.0, ge=0, description="L2 regularisation")


class EvaluationConfig(StageConfig):
    """Metrics, controls and plots."""

    bootstrap: int = Field(200, ge=2, description="replicas for errors")
    background_efficiencies: list[float] = Field(
        [0.5, 0.2, 0.1], description="background efficiencies at which cuts are studied"
    )
    control_permutations: int = Field(
        10, ge=2, description="trainings of network and tree on shuffled labels"
    )
    control_events: int = Field(
        300, ge=30, description="training events of each model on shuffled labels"
    )
    control_epochs: int = Field(
        15, ge=1, description="epochs of the networks trained on shuffled labels"
    )
    low_energy_limit: float = Field(
        4.0, gt=0, description="hits below this (GeV) make the inputs of the mass-blindness test"
    )


class ClassifyConfig(StageConfig):
    """Train the diphoton classifier and its baselines on an event store."""

    store: Path = Field(description="event store with labels 0 γγ, 1 H→γγ, 2 γ+jet")
    output: Path = Field(Path("runs/classify"), description="run folder")
    inputs: InputConfig = Field(InputConfig(), description="images")
    network: NetworkConfig = Field(NetworkConfig(), description="network")
    training: TrainingConfig = Field(TrainingConfig(), description="training")
    split: SplitConfig = Field(SplitConfig(), description="split")
    tree: TreeConfig = Field(TreeConfig(), description="boosted tree")
    evaluation: EvaluationConfig = Field(EvaluationConfig(), description="evaluation")
    workers: int = Field(1, ge=1, description="models trained side by side in processes")
    threads: int = Field(0, ge=0, description="CPU threads per process; 0: share all cores")
    seed: int = Field(0, ge=0, description="seed of weights, batches and augmentation")
    prepare: bool = Field(
        False,
        description="only write models/training_set.h5, to train the networks on a machine with "
        "torch, numpy and h5py alone: python -m e2e.training",
    )
