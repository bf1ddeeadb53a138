"""Seeded 5x5 clustering of barrel rechits, vectorised over a batch of events.

This one algorithm defines the standard reconstruction, on simulated and on real events. A seed
is a crystal that no other crystal of its 5x5 neighbourhood exceeds; a crystal that lies in
several windows belongs to the one with the most energetic seed. The energy is a constant times
the window's sum; the position is the logarithmically weighted mean (w0 = 4.7) in crystals, as in
CMS's shower shapes (CMS-EGM-14-001, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits
from data.detector.geometry import (
    CRYSTAL,
    EB_ETA,
    N_EB,
    N_HBHE,
    eb_eta_phi,
    eb_to_hbhe,
    vertex_eta,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CONTAINMENT_5X5 = 0.965  # part of a photon's energy in its 5x5 window, constant for all photons
SEED_ET = 2.0  # GeV
MIN_PT = 10.0  # GeV
LOG_WEIGHT = 4.7
_STEPS = np.arange(-2, 3)


@dataclass
class Clusters:
    """Photon candidates of a batch, sorted by event, then by falling pt; all arrays (M,).

    energy, e5x5 and pt in GeV; eta and phi in radians, seen from the event's vertex; u, v in
    crystals (see `data.detector.geometry.eb_uv`); seed is a flat EB cell; sigma_ieta_ieta in
    units of eta.
    """

    event: IntArray
    energy: FloatArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    u: FloatArray
    v: FloatArray
    seed: IntArray
    r9: FloatArray
    sigma_ieta_ieta: FloatArray
    h_over_e: FloatArray
    e5x5: FloatArray

    def take(self, rows: NDArray) -> Clusters:
        """The candidates of the given rows."""
        return Clusters(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def find_photons(eb: Hits, hbhe: Hits | None, vertex_z: NDArray[np.floating]) -> Clusters:
    """Find photon candidates with pt > 10 GeV in the barrel.

    Parameters
    ----------
    eb, hbhe
        Rechits of N events; without `hbhe`, `h_over_e` is NaN.
    vertex_z
        (N,) z of the vertex in cm.
    """
    key, energy = _unique_cells(eb)
    seeds, window, values = _seeds(key, energy)
    owned = _owned(window, energy[seeds])
    values = np.where(owned >= 0, values, 0.0)  # (M, 5, 5)
    return _measure(key[seeds], values, hbhe, np.asarray(vertex_z, dtype=np.float64))


def _unique_cells(hits: Hits) -> tuple[IntArray, FloatArray]:
    """Sorted event*61200+cell keys with positive energy; the last of duplicated hits counts."""
    key = hits.event * N_EB + hits.cell.astype(np.int64)
    energy = hits.energy.astype(np.float64)
    if (key[1:] <= key[:-1]).any():  # readers sort hits and drop duplicates; others need not
        # np.unique keeps the first of equal keys, so look at the hits backwards.
        key, last = np.unique(key[::-1], return_index=True)
        energy = energy[::-1][last]
    positive = energy > 0
    return key[positive], energy[positive]


def _lookup(wanted: IntArray, key: IntArray, values: FloatArray) -> FloatArray:
    """Value at each wanted key, 0 where it has no hit (or is -1)."""
    if len(key) == 0:
        return np.zeros(wanted.shape)
    position = np.searchsorted(key, wanted).clip(max=len(key) - 1)
    return np.where(key[position] == wanted, values[position], 0.0)


def _window_keys(seed_key: IntArray) -> IntArray:
    """(M, 5, 5) keys of the crystals round each seed, phi wrapping; -1 beyond the barrel."""
    event, cell = seed_key // N_EB, seed_key % N_EB
    row = (cell // 360)[:, None, None] + _STEPS[None, :, None]
    column = ((cell % 360)[:, None, None] + _STEPS[None, None, :]) % 360
    keys = event[:, None, None] * N_EB + row * 360 + column
    return np.where((row >= 0) & (row < 170), keys, -1)


def _seeds(key: IntArray, energy: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Crystals above threshold that are the maximum of their 5x5 window.

    Returns
    -------
    Their rows (M,), the keys of their windows and the energies in them, (M, 5, 5) each.
    """
    rows = np.flatnonzero(energy > SEED_ET)  # few; and E_T is at most E
    rows = rows[energy[rows] / np.cosh(EB_ETA[key[rows] % N_EB // 360]) > SEED_ET]
    window = _window_keys(key[rows])
    around = _lookup(window, key, energy)
    highest = around.max(axis=(1, 2), initial=0.0)
    # Of two equal neighbours only the one with the lower key is a seed.
    tied = (around == energy[rows][:, None, None]) & (window >= 0)
    first = np.where(tied, window, np.iinfo(np.int64).max).min(axis=(1, 2), initial=2**62)
    is_seed = (energy[rows] >= highest) & (first == key[rows])
    return rows[is_seed], window[is_seed], around[is_seed]


def _owned(window: IntArray, seed_energy: FloatArray) -> IntArray:
    """Set to -1 the crystals that belong to the window of a more energetic seed."""
    flat = window.reshape(len(window), _STEPS.size**2)
    rank = np.empty(len(window), dtype=np.int64)
    rank[np.argsort(-seed_energy, kind="stable")] = np.arange(len(window))
    ranks = np.repeat(rank, flat.shape[1])
    keys = flat.ravel()
    order = np.lexsort((ranks, keys))
    again = np.zeros(len(keys), dtype=bool)
    again[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return np.where(again, -1, keys).reshape(window.shape)


def _measure(
    seed_key: IntArray, window: FloatArray, hbhe: Hits | None, vertex_z: FloatArray
) -> Clusters:
    event, seed = seed_key // N_EB, seed_key % N_EB
    e5x5 = window.sum(axis=(1, 2))
    with np.errstate(divide="ignore"):
        weight = np.maximum(0.0, LOG_WEIGHT + np.log(window / e5x5[:, None, None]))
    total = weight.sum(axis=(1, 2))
    du = (weight.sum(axis=2) @ _STEPS) / total
    dv = (weight.sum(axis=1) @ _STEPS) / total
    spread = (weight.sum(axis=2) * (_STEPS[None, :] - du[:, None]) ** 2).sum(axis=1) / total
    u, v = seed // 360 + 0.5 + du, (seed % 360 + 0.5 + dv) % 360
    eta_detector, phi = eb_eta_phi(u, v)
    eta = vertex_eta(eta_detector, vertex_z[event])
    energy = e5x5 / CONTAINMENT_5X5
    clusters = Clusters(
        event=event,
        energy=energy,
        pt=energy / np.cosh(eta),
        eta=eta,
        phi=phi,
        u=u,
        v=v,
        seed=seed,
        r9=window[:, 1:4, 1:4].sum(axis=(1, 2)) / e5x5,
        sigma_ieta_ieta=np.sqrt(spread) * CRYSTAL,
        h_over_e=_hadronic(event, seed, hbhe) / energy,
        e5x5=e5x5,
    )
    order = np.lexsort((-clusters.pt, event))
    return clusters.take(order[clusters.pt[order] > MIN_PT])


def _hadronic(event: IntArray, seed: IntArray, hbhe: Hits | None) -> FloatArray:
    """Energy in GeV of the HBHE tower behind each seed, NaN without HCAL."""
    if hbhe is None:
        return np.full(len(event), np.nan)
    key, inverse = np.unique(hbhe.event * N_HBHE + hbhe.cell.astype(np.int64), return_inverse=True)
    energy = np.bincount(inverse, weights=hbhe.energy, minlength=len(key)).astype(np.float64)
    return _lookup(event * N_HBHE + eb_to_hbhe(seed), key, energy)
