"""One actor for both members of a pair, under stable-baselines3."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from common.errors import ConfigError
from envs.calibration.dynamics import ResonanceDynamics
from envs.faces.sb3 import DynamicsVecEnv


class SharedActorVecEnv(DynamicsVecEnv):
    """Pairs taken apart: environments 2i and 2i + 1 are the members of pair i.

    Each sees its own features, moves its own energy, and earns its counterfactual reward, so that
    one policy for single photons is learned from masses of pairs.

    Parameters
    ----------
    dynamics
        The rules.
    num_envs
        Members, an even number.
    """

    def __init__(self, dynamics: ResonanceDynamics, num_envs: int = 2) -> None:
        if num_envs % 2:
            raise ConfigError(f"{num_envs} members make no whole number of pairs")
        super().__init__(dynamics, num_envs // 2)
        bound, size = dynamics.observation_bound, len(dynamics.photon_names)
        VecEnv.__init__(
            self,
            num_envs,
            spaces.Box(-bound, bound, (size,), np.float32),
            spaces.Box(-1.0, 1.0, (1,), np.float32),
        )

    def reset(self) -> NDArray[np.float32]:
        """Open an episode everywhere; pair i takes the seed of its first member."""
        seeds = self._seeds[::2] if any(s is not None for s in self._seeds) else None
        observation, _ = self.vector_env.reset(seed=seeds)  # type: ignore[arg-type]
        self._reset_seeds()
        self._reset_options()
        return self._apart(observation)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions.reshape(-1, 2)

    def step_wait(self) -> VecEnvStepReturn:
        """Step every pair; each member earns its own reward."""
        observation, _, done, _, infos = self.vector_env.step(self._actions)
        reward = infos["final_info"]["photon_reward"].ravel()
        last = self._apart(infos["final_obs"])
        news = [{"terminal_observation": seen} for seen in last]
        return self._apart(observation), reward, np.repeat(done, 2), news

    def _apart(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        return observation.reshape(self.num_envs, -1)
