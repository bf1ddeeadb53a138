"""The true answer for each photon: read here, used by rewards and metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.store import EventStore
from envs.photons.table import FloatArray, wrap_crystals


def true_corrections(
    store: EventStore, row: NDArray[np.int64], slot: NDArray[np.int64]
) -> FloatArray:
    """(n, 3) true corrections of log energy, u and v; NaN for photons without a match."""
    energy = store.truth("energy")[row, slot] / store.clusters("energy")[row, slot]
    du = store.truth("u")[row, slot] - store.clusters("u")[row, slot]
    dv = wrap_crystals(store.truth("v")[row, slot] - store.clusters("v")[row, slot])
    with np.errstate(invalid="ignore"):
        return np.stack([np.log(energy), du, dv], axis=1).astype(np.float32)
