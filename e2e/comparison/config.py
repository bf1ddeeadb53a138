"""Configuration of the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from common.config import StageConfig
from e2e.comparison.models import MODELS, REFERENCE
from e2e.config import InputConfig, NetworkConfig, SplitConfig, TrainingConfig, TreeConfig


class ResNetConfig(StageConfig):
    """The budget of the networks on whole images, which cost a hundred times the crops'."""

    events: int = Field(6000, gt=0, description="most training events")
    epochs: int = Field(6, gt=0, description="passes over them")
    batch_size: int = Field(32, gt=1, description="events per step")
    learning_rate: float = Field(2e-3, gt=0, description="peak of the one-cycle schedule")
    stride: int = Field(2, ge=1, le=4, description="of the first convolution; 1 is the paper's")
    folds: int = Field(1, ge=1, description="folds to train and test")
    mirrors: bool = Field(False, description="also look at an event's mirror images in the test")


class CurveConfig(StageConfig):
    """Learning curves: AUC on one fold's test events against the number of training events."""

    models: list[str] = Field(
        ["kinematics", "tree", "resnet_eb3", "crops_context", "combined"],
        description="whose curves; empty for none",
    )
    events: list[int] = Field(
        [500, 1000, 2000, 4000, 8000, 16000, 32000],
        description="training events, nested; the full training adds the last point",
    )
    least_steps: int = Field(600, ge=1, description="small samples are passed over so often")


class CompareConfig(StageConfig):
    """Train and test every network and baseline on the same folds."""

    store: Path = Field(description="event store with labels 0 γγ, 1 H→γγ, 2 γ+jet")
    output: Path = Field(Path("runs/compare"), description="run folder")
    models: list[str] = Field(
        list(MODELS),
        description=f"what is compared: {', '.join(MODELS)}",
    )
    inputs: InputConfig = Field(InputConfig(), description="images")
    network: NetworkConfig = Field(NetworkConfig(), description="networks on crops")
    training: TrainingConfig = Field(
        TrainingConfig(tensorboard=False), description="training of networks on crops"
    )
    resnet: ResNetConfig = Field(ResNetConfig(), description="networks on whole images")
    members: int = Field(
        3, ge=1, description="trainings of the best network, of different seeds; their mean too"
    )
    split: SplitConfig = Field(SplitConfig(), description="split")
    tree: TreeConfig = Field(TreeConfig(), description="boosted trees")
    curve: CurveConfig = Field(CurveConfig(), description="learning curves")
    bootstrap: int = Field(200, ge=2, description="replicas for errors")
    background_efficiencies: list[float] = Field(
        [0.1, 0.01], description="at which signal efficiencies are quoted"
    )
    control_permutations: int = Field(
        8, ge=2, description="trainings of best network and tree on shuffled labels"
    )
    control_events: int = Field(300, ge=30, description="training events of each")
    workers: int = Field(1, ge=1, description="models trained side by side in processes")
    threads: int = Field(0, ge=0, description="CPU threads per process; 0: share all cores")
    seed: int = Field(0, ge=0, description="seed of weights, batches and augmentation")

    @model_validator(mode="after")
    def _known_models(self) -> Self:
        for name in {*self.models, *self.curve.models} - set(MODELS):
            raise ValueError(f"no model {name!r}; there are {', '.join(MODELS)}")
        if REFERENCE not in self.models:
            raise ValueError(f"models must hold {REFERENCE!r}, which others are compared with")
        return self

    @property
    def full_images(self) -> list[str]:
        """Whole images that the chosen models look at."""
        chosen = dict.fromkeys([*self.models, *self.curve.models])
        return list(dict.fromkeys(image for name in chosen for image in MODELS[name].full))
