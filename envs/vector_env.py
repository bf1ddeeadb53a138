"""The environment as a native Gymnasium `VectorEnv`: many photons at a time, without a loop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.dynamics import Hypotheses, RefinementDynamics
from envs.faces import Starts, action_space, make_dynamics, observation_space

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
StepResult = tuple[FloatArray, FloatArray, BoolArray, BoolArray, dict[str, Any]]


class PhotonRefinementVectorEnv(VectorEnv[FloatArray, FloatArray, NDArray[Any]]):
    """`num_envs` photons refined at once; see `PhotonRefinementEnv` for spaces and rewards.

    Environment i of a vector with seed s behaves as a single environment with seed s + i.

    Parameters
    ----------
    num_envs
        Environments.
    render_mode
        `"rgb_array"` or None.
    sample, dynamics, **settings
        As for `PhotonRefinementEnv`.
    autoreset_mode
        What follows the end of an episode. SAME_STEP: the step that ends it returns the next
        episode's first observation, the last one is in `infos["final_obs"]`. NEXT_STEP: the step
        after it resets and ignores the action. DISABLED: reset by
        `reset(options={"reset_mask": terminated})`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium's form
        "render_modes": ["rgb_array"],
        "render_fps": 2,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        sample: str | Path | None = None,
        dynamics: RefinementDynamics | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        **settings: Any,
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.dynamics = make_dynamics(sample, settings) if dynamics is None else dynamics
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = observation_space(self.dynamics)
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._starts: Starts | None = None
        self._state: Hypotheses | None = None
        self._ended = np.zeros(num_envs, dtype=bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[FloatArray, dict[str, Any]]:
        """Open episodes everywhere, or where `options["reset_mask"]` (num_envs,) is true.

        `options["photon"]` (num_envs,) chooses the photons.
        """
        self._seed(seed)
        options = options or {}
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, dtype=bool)))
        self._restart(mask, options.get("photon"))
        self._ended[mask] = False
        return self.dynamics.observe(self._current), self._infos(mask)

    def step(self, actions: FloatArray) -> StepResult:
        """Move every hypothesis."""
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            return self._step_next(actions)
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            raise gym.error.ResetNeeded("episodes have ended: reset them with a reset_mask")
        return self._step_same(actions)

    def render(self) -> Any:
        """One (H, W, 3) uint8 image per environment."""
        if self.render_mode is None:
            return None
        from envs.render import draw_hypothesis

        state = self._current
        return tuple(
            draw_hypothesis(self.dynamics, _rows(state, np.array([i])))
            for i in range(self.num_envs)
        )

    @property
    def _current(self) -> Hypotheses:
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

    def _restart(self, mask: BoolArray, photon: Any = None) -> None:
        assert self._starts is not None
        if photon is None:
            chosen = self._starts.draw(len(self.dynamics), mask)
        else:
            chosen = np.broadcast_to(np.asarray(photon, dtype=np.int64), mask.shape)[mask]
        fresh = self.dynamics.start(chosen)
        self._state = fresh if mask.all() else _merge(self._current, fresh, mask)

    def _step_same(self, actions: FloatArray) -> StepResult:
        self._state, reward, terminated = self.dynamics.step(self._current, actions)
        observation = self.dynamics.observe(self._state)
        infos: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.DISABLED:
            self._ended = terminated
        elif terminated.any():
            # The whole batch: entries of episodes that go on are masked by `_final_obs`.
            infos["final_obs"], infos["_final_obs"] = observation, terminated.copy()
            infos["final_info"] = self._infos(terminated)
            infos["_final_info"] = terminated.copy()
            self._restart(terminated)
            observation = self.dynamics.observe(self._current)
        infos.update(self._infos(np.ones(self.num_envs, dtype=bool)))
        return observation, reward, terminated, np.zeros_like(terminated), infos

    def _step_next(self, actions: FloatArray) -> StepResult:
        before, resets = self._current, self._ended
        self._state, reward, terminated = self.dynamics.step(before, actions)
        if resets.any():
            self._restart(resets)
            reward, terminated = np.where(resets, np.float32(0), reward), terminated & ~resets
        self._ended = terminated
        observation = self.dynamics.observe(self._current)
        everywhere = np.ones(self.num_envs, dtype=bool)
        return observation, reward, terminated, np.zeros_like(terminated), self._infos(everywhere)

    def _infos(self, mask: BoolArray) -> dict[str, Any]:
        state = self._current
        return {
            "photon": state.photon.copy(),
            "_photon": mask.copy(),
            "correction": state.correction.copy(),
            "_correction": mask.copy(),
        }


def _rows(state: Hypotheses, rows: NDArray[np.int64]) -> Hypotheses:
    return Hypotheses(
        state.photon[rows], state.correction[rows], state.step[rows], state.distance[rows]
    )


def _merge(state: Hypotheses, fresh: Hypotheses, mask: BoolArray) -> Hypotheses:
    merged = Hypotheses(
        state.photon.copy(), state.correction.copy(), state.step.copy(), state.distance.copy()
    )
    merged.photon[mask] = fresh.photon
    merged.correction[mask] = fresh.correction
    merged.step[mask] = fresh.step
    merged.distance[mask] = fresh.distance
    return merged
