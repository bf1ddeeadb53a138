"""Configuration of the agent's training, of its peers, and of applying them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.config import StageConfig
from e2e.low_level.regression import RegressionConfig as LowLevelRegressionConfig
from envs.refinement.config import EnvironmentConfig
from rl.learning.config import AgentConfig


class RegressionConfig(LowLevelRegressionConfig):
    """The supervised networks: baseline, peer, and the prediction the agent is shown."""

    networks: int = Field(
        3, ge=1, description="networks whose mean is the peer: a single one scatters by its seed"
    )


class RefinementAgentConfig(AgentConfig):
    """The agent that refines photons."""

    updates: int = Field(3000, gt=0, description="gradient steps in all")
    batch_size: int = Field(1024, gt=0, description="transitions per gradient step")
    buffer_size: int = Field(100_000, gt=0, description="transitions in the replay buffer")
    weight_decay: float = Field(
        1.0,
        ge=0,
        description="decoupled weight decay (AdamW) of actor and critic: a critic without it "
        "learns the training photons by heart",
    )
    noise: float = Field(
        0.5, ge=0, description="Gaussian exploration, in units of the largest action"
    )
    final_noise: float | None = Field(
        0.05, ge=0, description="the same at the end, reached linearly; none: as at the start"
    )
    tau: float = Field(0.002, gt=0, le=1, description="pace of the target networks")
    averaged: bool = Field(
        True,
        description="whether the policy is the actor's mean over its last 1 / tau updates (the "
        "target actor of DDPG and TD3) instead of the last actor",
    )
    networks: int = Field(
        1, ge=1, description="agents that differ by their seed; their mean action is the agent's"
    )
    checkpoint_every: int = Field(
        1000, gt=0, description="gradient steps between two checkpoints of a training under way"
    )


class RefinementEvaluationConfig(StageConfig):
    """Metrics, controls, rollouts."""

    test_fraction: float = Field(
        0.25, gt=0, lt=1, description="share of the training store's events held out"
    )
    bootstrap: int = Field(200, ge=2, description="replicas for errors")
    curve_points: int = Field(10, ge=1, description="points of the learning curve")
    rollout_events: int = Field(40, ge=0, description="events in rollouts/")
    rollout_noise: float = Field(0.15, ge=0, description="action noise of the noisy rollouts")
    rollout_copies: int = Field(4, ge=0, description="noisy rollouts per photon")


class RefineConfig(StageConfig):
    """Train an agent that refines photons, its supervised peers and its control."""

    train_store: Path = Field(
        description="event store of photon pairs flat in pt and eta (the photon gun)"
    )
    store: Path = Field(description="event store to refine and to judge the mass on")
    classifier: Path | None = Field(
        None, description="run folder or checkpoint of `classify`; without: no low-level outputs"
    )
    output: Path = Field(Path("runs/rl"), description="run folder")
    environment: EnvironmentConfig = Field(
        default_factory=EnvironmentConfig, description="environment"
    )
    agent: RefinementAgentConfig = Field(default_factory=RefinementAgentConfig, description="agent")
    regression: RegressionConfig = Field(
        default_factory=RegressionConfig, description="supervised networks"
    )
    evaluation: RefinementEvaluationConfig = Field(
        RefinementEvaluationConfig(), description="evaluation"
    )
    workers: int = Field(2, ge=1, description="networks trained side by side in processes")
    seed: int = Field(0, ge=0, description="seed of split, networks and exploration")


class DeployAgentConfig(StageConfig):
    """Export a refiner to TorchScript and ONNX, and check that they agree with it."""

    agent: Path = Field(description="run folder of `rl`")
    store: Path = Field(description="event store whose photons are the check")
    classifier: Path | None = Field(
        None,
        description="run folder or checkpoint of `classify`, if the agent observes its outputs",
    )
    output: Path = Field(Path("runs/deploy_agent"), description="run folder")
    photons: int = Field(5000, gt=0, description="photons of the check at most")
    formats: list[Literal["torchscript", "onnx"]] = Field(
        ["torchscript", "onnx"],
        min_length=1,
        description="torchscript, onnx; onnx is left out where its packages are not installed",
    )
    tolerance: float = Field(
        1e-4,
        gt=0,
        description="largest difference of any correction (log energy, crystals) that is let pass",
    )


class ApplyConfig(StageConfig):
    """Run a trained chain on files: scores, refined photons, event pictures."""

    input: list[Path] = Field(description="CMS or simulated files, or an event store")
    classifier: Path = Field(description="run folder or checkpoint of `classify`")
    agent: Path = Field(description="run folder of `rl`")
    output: Path = Field(Path("runs/apply"), description="run folder")
    selection: Literal["pair", "diphoton2012", "diphoton2012_id"] = Field(
        "diphoton2012", description="events to refine; pair: any two standard clusters"
    )
    pictures: int = Field(20, ge=0, description="event pictures to draw at most")
