"""The true answer for each photon: read here, used by rewards and metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.reconstruction import Clusters
from data.reconstruction.matching import nearest_in_crystals, pad, without_sharing
from data.simulation.detector import SimulatedEvents
from data.store import EventStore
from envs.photons.table import FloatArray, wrap_crystals


def true_corrections(
    store: EventStore, row: NDArray[np.int64], slot: NDArray[np.int64]
) -> FloatArray:
    """(n, 3) true corrections of log energy, u and v; NaN for photons without a match."""
    truth = [store.truth(name)[row, slot] for name in ("energy", "u", "v")]
    found = [store.clusters(name)[row, slot] for name in ("energy", "u", "v")]
    return _corrections(truth, found)


def simulated_corrections(events: SimulatedEvents, photons: Clusters) -> FloatArray:
    """The same for pairs of events in memory.

    Parameters
    ----------
    photons
        (2m,) standard photons, the two of an event one after the other.
    """
    # in single precision, as the event store holds both
    found = [getattr(photons, name).astype(np.float32) for name in ("energy", "u", "v")]
    true = events.truth
    event = photons.event[::2]
    u, v = (column.astype(np.float64).reshape(-1, 2) for column in found[1:])
    row, distance = nearest_in_crystals(u, v, pad(true.event, len(events))[event], true.u, true.v)
    matched = without_sharing(row, distance).ravel()
    truth = [
        np.append(getattr(true, name), np.nan).astype(np.float32)[matched]
        for name in ("energy", "u", "v")
    ]
    return _corrections(truth, found)


def _corrections(truth: list[NDArray], found: list[NDArray]) -> FloatArray:
    """From energy, u and v of the true photons (NaN: none) and of the reconstructed ones."""
    du, dv = truth[1] - found[1], wrap_crystals(truth[2] - found[2])
    with np.errstate(invalid="ignore"):
        return np.stack([np.log(truth[0] / found[0]), du, dv], axis=1).astype(np.float32)
