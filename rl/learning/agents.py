"""stable-baselines3 agents by key, with exploration drawn for all environments at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import nn

from envs.faces.sb3 import DynamicsVecEnv
from rl.learning.config import AgentConfig, Algorithm
from rl.learning.ddpg import DDPG
from rl.learning.noise import BatchNoise

__all__ = [
    "ALGORITHMS", "Agent", "BatchNoise", "FloatArray", "Policy", "actor_of", "make_agent",
    "policy_of", "save_agent", "vector_steps", "warm_up",
]  # fmt: skip

FloatArray = NDArray[np.float32]
Policy = Callable[[FloatArray], FloatArray]
#: One agent, or several of which the mean action is taken.
Agent = OffPolicyAlgorithm | Sequence[OffPolicyAlgorithm]

ALGORITHMS: dict[Algorithm, type[OffPolicyAlgorithm]] = {"DDPG": DDPG, "TD3": TD3, "SAC": SAC}
_WARM_UP_EPISODES = 1


def make_agent(env: DynamicsVecEnv, config: AgentConfig, seed: int) -> OffPolicyAlgorithm:
    """An untrained agent for the environment."""
    keywords: dict[str, Any] = {}
    if config.algorithm != "SAC":  # SAC explores by its own policy
        keywords["action_noise"] = BatchNoise(
            config.noise,
            (env.num_envs, env.action_space.shape[0]),  # type: ignore[index]
            seed,
            config.final_noise,
            draws=warm_up(env) // env.num_envs + vector_steps(config),
            single=config.single_noise,
        )
    optimizer: dict[str, Any] = {"optimizer_kwargs": {"fused": True}}
    if config.weight_decay > 0:
        optimizer["optimizer_class"] = torch.optim.AdamW
        optimizer["optimizer_kwargs"]["weight_decay"] = config.weight_decay
    agent = ALGORITHMS[config.algorithm](
        "MlpPolicy",
        env,
        learning_rate=_schedule(config.learning_rate, config.final_learning_rate),
        buffer_size=max(config.buffer_size, env.num_envs),
        learning_starts=warm_up(env),
        batch_size=config.batch_size,
        tau=config.tau,
        gamma=config.gamma,
        train_freq=(1, "step"),
        gradient_steps=config.updates_per_step,
        # The next observation is stored once, not twice; episodes end by termination only.
        replay_buffer_kwargs={"handle_timeout_termination": False},
        optimize_memory_usage=True,
        policy_kwargs={
            "net_arch": {"pi": list(config.hidden), "qf": list(config.hidden)},
            **optimizer,
        },
        seed=seed,
        device="cpu",
        **keywords,
    )
    # An attribute of the agent, because its file keeps those.
    agent.averaged = config.averaged and config.algorithm != "SAC"  # type: ignore[attr-defined]
    return agent


def warm_up(env: DynamicsVecEnv) -> int:
    """Transitions by random actions before learning starts."""
    return env.num_envs * env.vector_env.dynamics.steps * _WARM_UP_EPISODES


def vector_steps(config: AgentConfig) -> int:
    """Steps of the vector after that: what its gradient steps need."""
    return -(-config.updates // config.updates_per_step)


def actor_of(agent: OffPolicyAlgorithm) -> nn.Module:
    """The network that the agent's policy is: its actor, or that actor's mean over updates."""
    name = "actor_target" if getattr(agent, "averaged", False) else "actor"
    actor: nn.Module = getattr(agent.policy, name)
    return actor


def policy_of(agent: Agent) -> Policy:
    """Deterministic policy of an agent, or the mean of several: (n, d) observations to actions."""
    agents = [agent] if isinstance(agent, OffPolicyAlgorithm) else agent
    actors = [actor_of(one) for one in agents]

    def act(observation: FloatArray) -> FloatArray:
        with torch.no_grad():
            tensor = torch.from_numpy(observation)
            actions = [actor._predict(tensor, deterministic=True) for actor in actors]  # type: ignore[operator]
            mean = actions[0] if len(actions) == 1 else torch.stack(actions).mean(dim=0)
        return mean.numpy()

    return act


def save_agent(agent: OffPolicyAlgorithm, path: Path) -> None:
    """Write an agent's file, to be read by `ALGORITHMS[key].load`.

    Its exploration stays out: it is of no use to a policy, and the file would hold the name of a
    class of this project, which may be called differently one day.
    """
    agent.save(path, exclude=["action_noise"])


def _schedule(first: float, last: float) -> Callable[[float], float]:
    return lambda remaining: last + (first - last) * remaining
