"""Any dynamics as a `gymnasium.Env`: one episode at a time."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.faces.dynamics import Dynamics
from envs.faces.pictures import RENDER_MODES, Window
from envs.faces.starts import Starts

Observation = NDArray[np.float32]


def observation_space(dynamics: Dynamics[Any]) -> Any:
    """Box of one observation."""
    bound = dynamics.observation_bound
    return spaces.Box(-bound, bound, (len(dynamics.observation_names),), np.float32)


def action_space(dynamics: Dynamics[Any]) -> Any:
    """Box of one action."""
    return spaces.Box(-1.0, 1.0, (len(dynamics.action_names),), np.float32)


class DynamicsEnv(gym.Env[Observation, NDArray[np.float32]]):
    """One episode of a dynamics at a time.

    Parameters
    ----------
    dynamics
        The rules.
    render_mode
        `"rgb_array"`: `render` returns a picture of the episode's state; `"human"`: a window, or
        the output of a notebook's cell, shows it after every reset and step; or None.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 2}  # noqa: RUF012 - Gymnasium's form

    def __init__(self, dynamics: Dynamics[Any], render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.dynamics = dynamics
        self.observation_space = observation_space(dynamics)
        self.action_space = action_space(dynamics)
        self._starts: Starts | None = None
        self._state: Any = None
        self._window = Window(type(self).__name__, self.metadata["render_fps"])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Open an episode on a random start, or on the one that `options` name.

        The option's key is the dynamics' `start_name`, for instance `{"photon": 7}`.
        """
        super().reset(seed=seed)
        if seed is not None or self._starts is None:
            first = self.np_random.integers(2**31) if seed is None else seed
            self._starts = Starts(np.array([first]))
        name = self.dynamics.start_name
        if options and name in options:
            which = np.array([options[name]], dtype=np.int64)
        else:
            which = self._starts.draw(len(self.dynamics))
        self._state = self.dynamics.start(which)
        if self.render_mode == "human":
            self.render()
        return self._observe(), self._info()

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Act once."""
        self._state, reward, terminated = self.dynamics.step(self._current, action[None])
        if self.render_mode == "human":
            self.render()
        return self._observe(), float(reward[0]), bool(terminated[0]), False, self._info()

    def render(self) -> Any:
        """The episode's state as an RGB image, (H, W, 3) uint8; None if it went to a window."""
        if self.render_mode is None:
            return None
        image = self.dynamics.draw(self._current)
        if self.render_mode == "rgb_array":
            return image
        return self._window.show(image)

    def close(self) -> None:
        """Close the window, if there is one."""
        self._window.close()

    @property
    def _current(self) -> Any:
        if self._state is None:
            raise gym.error.ResetNeeded("call reset before step or render")
        return self._state

    def _observe(self) -> Observation:
        return self.dynamics.observe(self._current)[0]

    def _info(self) -> dict[str, Any]:
        found = self.dynamics.info(self._current)
        return {
            name: values[0].copy() if values.ndim > 1 else values[0].item()
            for name, values in found.items()
        }
