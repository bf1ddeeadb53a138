"""Settings of the agents."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from common.config import StageConfig

Algorithm = Literal["DDPG", "TD3", "SAC"]


class AgentConfig(StageConfig):
    """The reinforcement-learning agent."""

    algorithm: Algorithm = Field("DDPG", description="agent of stable-baselines3")
    updates: int = Field(6000, gt=0, description="gradient steps in all")
    updates_per_step: int = Field(16, gt=0, description="gradient steps per step of the vector")
    environments: int = Field(4096, gt=0, description="photons refined at once")
    batch_size: int = Field(256, gt=0, description="transitions per gradient step")
    buffer_size: int = Field(200_000, gt=0, description="transitions in the replay buffer")
    learning_rate: float = Field(2e-3, gt=0, description="at the start")
    final_learning_rate: float = Field(3e-5, gt=0, description="at the end, reached linearly")
    weight_decay: float = Field(
        0.0, ge=0, description="decoupled weight decay (AdamW) of actor and critic"
    )
    hidden: list[int] = Field([128, 128], description="units of actor's and critic's layers")
    noise: float = Field(
        0.1, ge=0, description="Gaussian exploration, in units of the largest action"
    )
    final_noise: float | None = Field(
        None, ge=0, description="the same at the end, reached linearly; none: as at the start"
    )
    single_noise: bool = Field(
        False, description="disturb one random coordinate of an action at a time, not all of them"
    )
    gamma: float = Field(
        0.0, ge=0, lt=1, description="discount; 0, as each step earns its whole benefit at once"
    )
    tau: float = Field(0.005, gt=0, le=1, description="pace of the target networks")
    averaged: bool = Field(
        False,
        description="whether the policy is the actor's mean over its last 1 / tau updates (the "
        "target actor of DDPG and TD3) instead of the last actor",
    )
