"""The photon table of simulated events in memory, as the event store's path would make it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.preprocessing.assemble import simulated_groups
from data.simulation.detector import SimulatedEvents
from envs.photons.gather import crops_and_density
from envs.photons.table import FloatArray, PhotonTable
from envs.photons.truth import simulated_corrections

_CLUSTER_COLUMNS = ("energy", "e5x5", "u", "v", "r9", "sigma_ieta_ieta", "h_over_e")


def photons_of(events: SimulatedEvents, label: int) -> PhotonTable:
    """The two leading standard photons of every event that has two, event by event.

    It equals the table that `envs.photons.gather` makes of the same events written as a file and
    preprocessed with the selection `pair`, but that `row` counts the events given here.

    Parameters
    ----------
    events
        N simulated events.
    label
        Their class, see `data.simulation.hard_events.LABELS`.
    """
    rows = pair_rows(events)
    photons = events.photons.take(rows)
    crop, density = crops_and_density(events.hits["EB"], photons.event, photons.seed)
    columns: dict[str, FloatArray] = {
        name: getattr(photons, name).astype(np.float32) for name in _CLUSTER_COLUMNS
    }
    return PhotonTable(
        row=photons.event,
        slot=np.tile(np.arange(2), len(rows) // 2),
        group=simulated_groups(label, events.group)[photons.event],
        label=np.full(len(rows), label),
        seed=photons.seed,
        density=density,
        crop=crop,
        target=simulated_corrections(events, photons),
        **columns,
    )


def pair_rows(events: SimulatedEvents) -> NDArray[np.int64]:
    """(2m,) rows of `events.photons`: the two leading ones of every event that has two."""
    first = np.searchsorted(events.photons.event, np.arange(len(events) + 1))
    has_pair = np.flatnonzero(np.diff(first) >= 2)
    return (first[has_pair][:, None] + np.arange(2)).ravel()
