"""Configuration of the profile stage."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from common.config import StageConfig
from envs.profile.config import DistanceKind, ProfileEnvironmentConfig
from rl.learning.config import AgentConfig


class NetworkConfig(StageConfig):
    """A supervised network, and how it is trained."""

    hidden: list[int] = Field([256, 256], description="units of the layers")
    epochs: int = Field(10, gt=0, description="passes over the training photons")
    batch_size: int = Field(256, gt=0, description="photons per step")
    learning_rate: float = Field(2e-3, gt=0, description="peak of the one-cycle schedule")
    weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay (AdamW)")


class ProfileConfig(StageConfig):
    """Photons' profiles at a fifth of a crystal: an agent, its peers, baselines and controls."""

    output: Path = Field(Path("runs/profile"), description="run folder")
    photons: Path | None = Field(
        None, description="folder of the simulated photons' parts; default: in the run folder"
    )
    events: int = Field(26_000, gt=0, description="simulated events of the gun, two photons each")
    pileup: float = Field(20.0, ge=0, description="mean number of further interactions")
    test_fraction: float = Field(0.2, gt=0, lt=1, description="share of the events held out")
    environment: ProfileEnvironmentConfig = Field(
        ProfileEnvironmentConfig(), description="environment"
    )
    agent: AgentConfig = Field(
        AgentConfig(environments=1024, updates=8000, learning_rate=1e-3, averaged=True),
        description="agent",
    )
    peer: NetworkConfig = Field(
        NetworkConfig(hidden=[128, 128]),
        description="regression of the peaks with the agent's inputs, reach and layers",
    )
    map: NetworkConfig = Field(NetworkConfig(), description="network that draws the map itself")
    seeds: int = Field(3, ge=1, description="agents, peers and map networks, by seed")
    rewards: list[DistanceKind] = Field(
        ["l1", "wasserstein"], description="further rewards, an agent each"
    )
    bootstrap: int = Field(200, ge=2, description="replicas for errors")
    real: list[Path] = Field(
        [], description="files of collisions whose photons are drawn, where they are at hand"
    )
    workers: int = Field(2, ge=1, description="processes")
    seed: int = Field(0, ge=0, description="seed of simulation, networks and exploration")
