"""How far a hypothesis is from the truth, and what a step towards it is worth."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.faces.arrays import Array, namespace, on_device

if TYPE_CHECKING:
    from envs.refinement.config import EnvironmentConfig

FloatArray = NDArray[np.float32]


class TruthDistance:
    """Weighted, capped L1 distance of hypotheses to the truth, in units of typical errors.

    d = sum_k weight_k min(|target_k - correction_k| / scale_k, cap), k = log energy, u, v.

    Parameters
    ----------
    target
        (n, 3) true corrections of the table's photons.
    config
        Scales, weights and cap.
    """

    def __init__(self, target: FloatArray, config: EnvironmentConfig) -> None:
        self._target: Array = target.astype(np.float32)
        self._scales: Array = np.array(config.scales, dtype=np.float32)
        self._weights: Array = np.array(config.weights, dtype=np.float32)
        self._cap = config.cap

    def to(self, device: Any) -> TruthDistance:
        """The same distance for tensors on a device."""
        moved = copy(self)
        for name in ("_target", "_scales", "_weights"):
            setattr(moved, name, on_device(getattr(self, name), device))
        return moved

    def __call__(self, photon: NDArray[np.int64], correction: FloatArray) -> FloatArray:
        """(m,) distances of hypotheses `correction` (m, 3) about the photons `photon` (m,)."""
        xp = namespace(correction)
        error = xp.abs(self._target[photon] - correction) / self._scales
        # Written out, because a matrix product may round differently for other batch sizes.
        parts = xp.clip(error, None, self._cap) * self._weights
        return parts[:, 0] + parts[:, 1] + parts[:, 2]


def potential(before: FloatArray, after: FloatArray) -> FloatArray:
    """What the step took off the distance."""
    return before - after


def negative_distance(before: FloatArray, after: FloatArray) -> FloatArray:
    """Minus the distance that is left: an expected reward is then a predicted error."""
    return -after


Reward = Callable[[FloatArray, FloatArray], FloatArray]

#: Reward of a step by the distances before and after it; add your own under a new key.
REWARDS: dict[str, Reward] = {
    "potential": potential,
    "negative_distance": negative_distance,
}
