"""Configuration of the study of mass decorrelation."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from common.config import StageConfig
from e2e.config import InputConfig, NetworkConfig, SplitConfig, TrainingConfig, TreeConfig


class DecorrelateConfig(StageConfig):
    """Ways to keep the Higgs score from following m_gg, and what each costs, on the same events."""

    store: Path = Field(description="event store with labels 0 γγ, 1 H→γγ, 2 γ+jet")
    output: Path = Field(Path("runs/decorrelate"), description="run folder")
    weights: list[float] = Field(
        [0.5, 2.0, 8.0],
        min_length=1,
        description="weights of the DisCo penalty on raw inputs with m_gg",
    )
    raw_weights: list[float] = Field(
        [2.0], description="weights of the DisCo penalty on raw images"
    )
    scaled_weights: list[float] = Field(
        [2.0], description="weights of the DisCo penalty on scaled and cut inputs"
    )
    inputs: InputConfig = Field(InputConfig(), description="the mass-blind images")
    network: NetworkConfig = Field(NetworkConfig(), description="network")
    training: TrainingConfig = Field(
        TrainingConfig(batch_size=512),
        description="training, the same for all; the penalty is of one batch's background",
    )
    split: SplitConfig = Field(SplitConfig(), description="split")
    tree: TreeConfig = Field(TreeConfig(), description="boosted tree")
    background_efficiencies: list[float] = Field(
        [0.5, 0.2, 0.1, 0.05],
        min_length=1,
        description="background efficiencies of the cuts",
    )
    bootstrap: int = Field(100, ge=2, description="replicas for errors")
    workers: int = Field(1, ge=1, description="models trained side by side in processes")
    threads: int = Field(0, ge=0, description="CPU threads per process; 0: share all cores")
    seed: int = Field(0, ge=0, description="seed of weights, batches and augmentation")
