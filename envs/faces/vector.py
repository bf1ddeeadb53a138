"""Any dynamics as a native Gymnasium `VectorEnv`: many episodes at a time, without a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.faces.arrays import host, like, namespace
from envs.faces.dynamics import BoolArray, Dynamics, FloatArray, merge, rows
from envs.faces.pictures import IN_A_WINDOW, RENDER_MODES, Image, Window, tiled
from envs.faces.single import action_space, observation_space
from envs.faces.starts import Starts

StepResult = tuple[FloatArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]


class DynamicsVectorEnv(VectorEnv[FloatArray, FloatArray, NDArray[Any]]):
    """`num_envs` episodes of a dynamics at once.

    Environment i of a vector with seed s behaves as a single environment with seed s + i.

    Parameters
    ----------
    dynamics
        The rules. If they are kept on tensors, observations, rewards and the rest are tensors too,
        and actions are best given as such: nothing then leaves the device but the mask of ended
        episodes.
    num_envs
        Environments.
    render_mode
        `"rgb_array"`: `render` returns a picture of each; `"human"`: a window shows the first few
        after every reset and step; or None.
    autoreset_mode
        What follows the end of an episode. SAME_STEP: the step that ends it returns the next
        episode's first observation, the last one is in `infos["final_obs"]`. NEXT_STEP: the step
        after it resets and ignores the action. DISABLED: reset by
        `reset(options={"reset_mask": terminated})`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium's form
        "render_modes": list(RENDER_MODES),
        "render_fps": 2,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        dynamics: Dynamics[Any],
        num_envs: int = 1,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.dynamics = dynamics
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space(dynamics)
        self.single_action_space = action_space(dynamics)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._starts: Starts | None = None
        self._state: Any = None
        self._ended = np.zeros(num_envs, dtype=bool)
        self._window = Window(type(self).__name__, self.metadata["render_fps"])

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Open episodes everywhere, or where `options["reset_mask"]` (num_envs,) is true.

        The option named by the dynamics' `start_name` (num_envs,) chooses the starts.
        """
        self._seed(seed)
        options = options or {}
        mask = host(options.get("reset_mask", np.ones(self.num_envs, dtype=bool)))
        self._restart(mask, options.get(self.dynamics.start_name))
        self._ended[mask] = False
        self._show()
        return self.dynamics.observe(self._current), self._infos(mask)

    def step(self, actions: FloatArray) -> StepResult:
        """Move every hypothesis."""
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            raise gym.error.ResetNeeded("episodes have ended: reset them with a reset_mask")
        next_step = self.autoreset_mode is AutoresetMode.NEXT_STEP
        result = self._step_next(actions) if next_step else self._step_same(actions)
        self._show()
        return result

    def render(self) -> Any:
        """One (H, W, 3) uint8 image per environment; None if they went to a window."""
        if self.render_mode is None:
            return None
        if self.render_mode == "rgb_array":
            return tuple(self._draw(i) for i in range(self.num_envs))
        shown = min(self.num_envs, IN_A_WINDOW)
        return self._window.show(tiled([self._draw(i) for i in range(shown)]))

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window, if there is one."""
        self._window.close()

    def _draw(self, i: int) -> Image:
        return self.dynamics.draw(rows(self._current, np.array([i])))

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()

    @property
    def _current(self) -> Any:
        if self._state is None:
            raise gym.error.ResetNeeded("call reset before step or render")
        return self._state

    def _seed(self, seed: int | Sequence[int] | None) -> None:
        if seed is None and self._starts is not None:
            return
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        elif isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
        first = np.asarray(seed, dtype=np.int64)
        self._starts = Starts(first + np.arange(self.num_envs) if first.ndim == 0 else first)

    def _restart(self, mask: BoolArray, which: Any = None) -> None:
        assert self._starts is not None
        if which is None:
            chosen = self._starts.draw(len(self.dynamics), mask)
        else:
            chosen = np.broadcast_to(np.asarray(which, dtype=np.int64), mask.shape)[mask]
        fresh = self.dynamics.start(chosen)
        self._state = fresh if mask.all() else merge(self._current, fresh, mask)

    def _step_same(self, actions: FloatArray) -> StepResult:
        self._state, reward, terminated = self.dynamics.step(self._current, actions)
        observation = self.dynamics.observe(self._state)
        infos: dict[str, Any] = {}
        ended = host(terminated)
        if self.autoreset_mode is AutoresetMode.DISABLED:
            self._ended = ended.copy()
        elif ended.any():
            # The whole batch: entries of episodes that go on are masked by `_final_obs`.
            infos["final_obs"], infos["_final_obs"] = observation, ended.copy()
            infos["final_info"] = self._infos(ended)
            infos["_final_info"] = ended.copy()
            self._restart(ended)
            observation = self.dynamics.observe(self._current)
        infos.update(self._infos(np.ones(self.num_envs, dtype=bool)))
        truncated = namespace(terminated).zeros_like(terminated)
        return observation, reward, terminated, truncated, infos

    def _step_next(self, actions: FloatArray) -> StepResult:
        resets = self._ended
        self._state, reward, terminated = self.dynamics.step(self._current, actions)
        xp = namespace(reward)
        if resets.any():
            self._restart(resets)
            mask = like(resets, reward)
            reward, terminated = xp.where(mask, 0.0, reward), terminated & ~mask
        self._ended = host(terminated).copy()
        observation = self.dynamics.observe(self._current)
        infos = self._infos(np.ones(self.num_envs, dtype=bool))
        return observation, reward, terminated, xp.zeros_like(terminated), infos

    def _infos(self, mask: BoolArray) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for name, values in self.dynamics.info(self._current).items():
            copied = namespace(values).asarray(values, copy=True)
            infos[name], infos[f"_{name}"] = copied, mask.copy()
        return infos
