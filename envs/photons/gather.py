"""Gather a photon table from an event store and the classifier's low-level outputs."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import Hits
from data.crops import CROP, photon_crops
from data.detector.geometry import EB_ETA, N_EB
from data.store import EventStore
from envs.photons.table import FloatArray, PhotonTable
from envs.photons.truth import true_corrections

_EVENTS_AT_A_TIME = 2000
_SOFT_ET = 1.0  # GeV; a harder hit counts as this much pile-up
_MEV = 1000.0


class LowLevel(Protocol):
    """Low-level outputs per photon slot, row i for row i of the store."""

    @property
    def embedding(self) -> NDArray[np.floating] | None:
        """(N, 2, D) embeddings."""

    @property
    def feature_map(self) -> NDArray[np.floating] | None:
        """(N, 2, C, h, w) feature maps."""


def gather_photons(store: EventStore, low_level: LowLevel | None = None) -> PhotonTable:
    """All reconstructed photons of a store, event by event, leading first.

    Parameters
    ----------
    store
        Event store with EB hits; its truth, where it has one, becomes `target`.
    low_level
        Low-level outputs made from the same store.

    Raises
    ------
    InputError
        If the low-level outputs have another number of events than the store.
    """
    energy = store.clusters("energy")
    row, slot = np.nonzero(np.isfinite(energy) & (energy > 0))

    def cluster(name: str) -> FloatArray:
        return store.clusters(name)[row, slot].astype(np.float32)

    seed = store.clusters("seed")[row, slot].astype(np.int64)
    crop, density = _gather_hits(store, row, seed)
    return PhotonTable(
        row=row,
        slot=slot,
        group=store.event("group")[row],
        label=store.event("label")[row].astype(np.int64),
        energy=cluster("energy"),
        e5x5=cluster("e5x5"),
        u=cluster("u"),
        v=cluster("v"),
        seed=seed,
        r9=cluster("r9"),
        sigma_ieta_ieta=cluster("sigma_ieta_ieta"),
        h_over_e=cluster("h_over_e"),
        density=density,
        crop=crop,
        embedding=_slots(store, low_level.embedding if low_level else None, row, slot),
        feature_map=_slots(store, low_level.feature_map if low_level else None, row, slot),
        target=true_corrections(store, row, slot) if store.has_truth else None,
    )


def _gather_hits(
    store: EventStore, row: NDArray[np.int64], seed: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Crops (n, 11, 11) and event densities (n,), in chunks of events to bound the memory."""
    crop = np.zeros((len(row), CROP, CROP), dtype=np.float32)
    density = np.zeros(len(row), dtype=np.float32)
    for start in range(0, len(store), _EVENTS_AT_A_TIME):
        first, last = np.searchsorted(row, [start, start + _EVENTS_AT_A_TIME])
        part = slice(first, last)
        hits = store.hits("EB", start, start + _EVENTS_AT_A_TIME)
        crop[part], density[part] = crops_and_density(hits, row[part] - start, seed[part])
    return crop, density


def crops_and_density(
    hits: Hits, event: NDArray[np.int64], seed: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """Crops (m, 11, 11) of photons and the density (m,) of their events.

    Parameters
    ----------
    hits
        EB rechits of N events.
    event, seed
        (m,) index of each photon's event, and flat EB cell of its seed; both photons of every
        event belong together in one call.
    """
    crop = photon_crops(hits, event, seed)
    return crop, _density(hits, event, seed, crop)


def _density(
    hits: Hits, event: NDArray[np.int64], seed: NDArray[np.int64], crop: FloatArray
) -> FloatArray:
    """(m,) transverse energy per crystal outside the photons' crops, MeV, for each photon."""
    et = hits.energy / np.cosh(EB_ETA[hits.cell.astype(np.int64) // 360])
    total = np.bincount(hits.event, np.minimum(et, _SOFT_ET), minlength=len(hits))
    rows = (seed // 360)[:, None] + np.arange(CROP) - CROP // 2
    crop_et = crop / np.cosh(EB_ETA[rows.clip(0, 169)])[:, :, None]
    inside = np.minimum(crop_et, _SOFT_ET).sum(axis=(1, 2))
    outside = total - np.bincount(event, inside, minlength=len(hits))
    crystals = N_EB - CROP**2 * np.bincount(event, minlength=len(hits))
    return (_MEV * outside / crystals)[event].astype(np.float32)


def _slots(
    store: EventStore,
    values: NDArray[np.floating] | None,
    row: NDArray[np.int64],
    slot: NDArray[np.int64],
) -> FloatArray | None:
    if values is None:
        return None
    if len(values) != len(store):
        raise InputError(
            store.path,
            f"{len(store)} events, but the low-level outputs have {len(values)}",
            "make them from this store with `classify`",
        )
    chosen = values[row, slot].astype(np.float32)
    return chosen.reshape(len(chosen), -1)
