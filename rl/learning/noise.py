"""Exploration, drawn for all environments at once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.noise import VectorizedActionNoise

FloatArray = NDArray[np.float32]


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
    final
        Standard deviation after `draws` draws, reached linearly; None: as at the start.
    draws
        Draws until then.
    single
        Whether only one coordinate of each environment's action, a random one, is disturbed at a
        time: a reward that is a sum over coordinates then tells of one without the others' noise.
    """

    def __init__(
        self,
        sigma: float,
        shape: tuple[int, int],
        seed: int,
        final: float | None = None,
        draws: int = 1,
        single: bool = False,
    ) -> None:
        self.sigma = sigma
        self.shape = shape
        self._final = final
        self._n_draws = draws
        self._single = single
        self._count = 0
        self._rng = np.random.default_rng(seed)

    def reset(self, indices: Any = None) -> None:
        """Nothing: draws are independent."""

    def __call__(self) -> FloatArray:
        sigma = self._deviation()
        self._count += 1
        draw = self._rng.standard_normal(self.shape, dtype=np.float32)
        if self._single:
            n, actions = self.shape
            draw *= np.arange(actions) == self._rng.integers(0, actions, n)[:, None]
        return draw * np.float32(sigma)

    def _deviation(self) -> float:
        if self._final is None:
            return self.sigma
        done = min(self._count / self._n_draws, 1.0)
        return self.sigma + (self._final - self.sigma) * done

    def state(self) -> str:
        """Everything that later draws depend on, as JSON."""
        return json.dumps({"drawn": self._count, "generator": self._rng.bit_generator.state})

    def restore(self, state: str) -> None:
        """Go on from `state`."""
        content = json.loads(state)
        self._count = content["drawn"]
        self._rng.bit_generator.state = content["generator"]
