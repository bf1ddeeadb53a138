"""The photons of a run: training photons, held-out gun photons, and the events to refine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from data.store import EventStore
from e2e.low_level.regression import fold_of
from envs.photons.gather import LowLevel, gather_photons
from envs.photons.table import PhotonTable
from rl.evaluation.pairs import Floats


@dataclass(frozen=True)
class StorePhotons:
    """The photons of one event store.

    Attributes
    ----------
    table
        All photons of the store, in its order.
    vertex_z
        (N,) vertices of its events, cm.
    simulation
        Whether its events are simulated.
    """

    table: PhotonTable
    vertex_z: Floats
    simulation: bool


def read_photons(path: Path, low_level: LowLevel | None) -> StorePhotons:
    """Gather the photons of a store.

    Raises
    ------
    InputError
        If the store holds no photons.
    """
    with EventStore(path) as store:
        table = gather_photons(store, low_level)
        found = StorePhotons(table, store.vertex_z().astype(np.float64), store.simulation)
    if len(table) == 0:
        raise InputError(path, "no photons in this event store", "check its selection")
    return found


def split_by_group(
    table: PhotonTable, test_fraction: float, seed: int
) -> tuple[PhotonTable, PhotonTable]:
    """Matched photons for training, and those of held-out parton events."""
    table = table.matched()
    folds = round(1 / test_fraction)
    held_out = fold_of(table.group, folds, seed) == 0
    return table.take(np.flatnonzero(~held_out)), table.take(np.flatnonzero(held_out))
