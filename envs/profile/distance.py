"""How far one profile is from another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.simulation.shower_profile import FINE
from envs.profile.config import ProfileEnvironmentConfig

FloatArray = NDArray[np.float32]


def l1(a: FloatArray, b: FloatArray) -> FloatArray:
    """(m,) sums of the absolute differences of profiles (m, 25, 55) of the sum 1: 0 to 2."""
    return np.abs(a - b).sum(axis=(1, 2))


def wasserstein(a: FloatArray, b: FloatArray, axis: int) -> FloatArray:
    """(m,) Wasserstein distances, in crystals, of the projections on eta (axis 1) or phi (2).

    On a line it is the area between the two cumulative distributions.
    """
    between = np.cumsum((a - b).sum(axis=3 - axis), axis=1)
    return np.abs(between).sum(axis=1) / FINE


def distance(a: FloatArray, b: FloatArray, config: ProfileEnvironmentConfig) -> FloatArray:
    """(m,) distances of the configured kind, in units of its scales."""
    total = np.zeros(len(a), dtype=np.float32)
    if config.distance != "wasserstein":
        total += l1(a, b) / np.float32(config.l1_scale)
    if config.distance != "l1":
        both = wasserstein(a, b, 1) + wasserstein(a, b, 2)
        total += both / np.float32(config.wasserstein_scale)
    return total
