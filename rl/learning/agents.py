"""stable-baselines3 agents by key, with exploration drawn for all environments at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DDPG, SAC, TD3
from stable_baselines3.common.noise import VectorizedActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from envs.faces.sb3 import DynamicsVecEnv
from rl.learning.config import AgentConfig, Algorithm

FloatArray = NDArray[np.float32]
Policy = Callable[[FloatArray], FloatArray]

ALGORITHMS: dict[Algorithm, type[OffPolicyAlgorithm]] = {"DDPG": DDPG, "TD3": TD3, "SAC": SAC}
_WARM_UP_EPISODES = 1


class BatchNoise(VectorizedActionNoise):
    """Gaussian action noise for all environments in one draw.

    stable-baselines3 otherwise keeps one generator per environment and calls each in turn.

    Parameters
    ----------
    sigma
        Standard deviation in units of the action.
    shape
        (environments, actions).
    seed
        Of the generator.
    """

    def __init__(self, sigma: float, shape: tuple[int, int], seed: int) -> None:
        self.sigma = sigma
        self.shape = shape
        self._rng = np.random.default_rng(seed)

    def reset(self, indices: Any = None) -> None:
        """Nothing: draws are independent."""

    def __call__(self) -> FloatArray:
        draw = self._rng.standard_normal(self.shape, dtype=np.float32)
        return draw * np.float32(self.sigma)


def make_agent(env: DynamicsVecEnv, config: AgentConfig, seed: int) -> OffPolicyAlgorithm:
    """An untrained agent for the environment."""
    keywords: dict[str, Any] = {}
    if config.algorithm != "SAC":  # SAC explores by its own policy
        shape = (env.num_envs, env.action_space.shape[0])  # type: ignore[index]
        keywords["action_noise"] = BatchNoise(config.noise, shape, seed)
    return ALGORITHMS[config.algorithm](
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
            "optimizer_kwargs": {"fused": True},
        },
        seed=seed,
        device="cpu",
        **keywords,
    )


def warm_up(env: DynamicsVecEnv) -> int:
    """Transitions by random actions before learning starts."""
    return env.num_envs * env.vector_env.dynamics.steps * _WARM_UP_EPISODES


def policy_of(agent: OffPolicyAlgorithm) -> Policy:
    """The agent's deterministic policy: (n, d) observations to (n, 3) actions."""

    def act(observation: FloatArray) -> FloatArray:
        with torch.no_grad():
            tensor = torch.from_numpy(observation)
            action = agent.policy._predict(tensor, deterministic=True)
        return action.numpy()

    return act


def _schedule(first: float, last: float) -> Callable[[float], float]:
    return lambda remaining: last + (first - last) * remaining
