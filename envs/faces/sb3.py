"""Any dynamics as a stable-baselines3 `VecEnv`, on the native Gymnasium vector face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from envs.faces.arrays import host
from envs.faces.dynamics import Dynamics
from envs.faces.vector import DynamicsVectorEnv


class DynamicsVecEnv(VecEnv):
    """A `DynamicsVectorEnv` under the interface that stable-baselines3's agents use.

    Parameters
    ----------
    dynamics
        The rules; if they are kept on tensors, what they say is copied to NumPy arrays here.
    num_envs
        Environments.
    render_mode
        As for `DynamicsVectorEnv`.
    """

    def __init__(
        self, dynamics: Dynamics[Any], num_envs: int = 1, render_mode: str | None = None
    ) -> None:
        self.vector_env = DynamicsVectorEnv(dynamics, num_envs, render_mode)
        self.render_mode = self.vector_env.render_mode
        super().__init__(
            num_envs,
            self.vector_env.single_observation_space,
            self.vector_env.single_action_space,
        )
        self._actions: NDArray[Any] = np.zeros(
            (num_envs, len(dynamics.action_names)), dtype=np.float32
        )
        # One dictionary per environment, but never written: an episode under way has no news.
        self._no_news: list[dict[str, Any]] = [{} for _ in range(num_envs)]

    def reset(self) -> NDArray[np.float32]:
        """Open an episode everywhere; seeds set by `seed` are used once."""
        seeds = self._seeds if any(s is not None for s in self._seeds) else None
        observation, _ = self.vector_env.reset(seed=seeds)  # type: ignore[arg-type]
        self._reset_seeds()
        self._reset_options()
        return host(observation)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Step; an ended episode's last observation is in its info."""
        *found, _, infos = self.vector_env.step(self._actions)
        observation, reward, done = (host(values) for values in found)
        if not done.any():
            return observation, reward, done, self._no_news
        last = host(infos["final_obs"])
        news = [{"terminal_observation": last[i]} if done[i] else {} for i in range(self.num_envs)]
        return observation, reward, done, news

    def close(self) -> None:
        """Close the window, if there is one."""
        self.vector_env.close()

    def render(self, mode: str | None = None) -> NDArray[np.uint8] | None:
        """All pictures as one; None if a window shows them, after every step."""
        if self.render_mode == "human":
            return None
        return super().render(mode)

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """One picture per environment."""
        return self.vector_env.render() or [None] * self.num_envs

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The vector's attribute, once per chosen environment."""
        return [getattr(self.vector_env, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Environments share their attributes, so one of them cannot be set alone."""
        raise NotImplementedError("environments of this vector share their attributes")

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Environments are rows of arrays and have no methods of their own."""
        raise NotImplementedError("environments of this vector are rows of arrays")

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """No environment is wrapped."""
        return [False] * len(list(self._get_indices(indices)))
