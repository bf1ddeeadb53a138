"""Numbers that describe events, alike for simulated and real ones: hits, tracks, photons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits
from data.detector.geometry import N_ECAL
from data.reconstruction import Clusters, find_photons

FloatArray = NDArray[np.float64]

PHOTON_PT, PHOTON_ETA = 20.0, 1.44
FAR = 26  # crystals: farther than this from every cluster above 10 GeV
HB_ROWS = (13, 43)  # |ieta| <= 15: the event display's files hold no tower beyond


def event_numbers(hits: dict[str, Hits], clusters: Clusters) -> dict[str, FloatArray]:
    """Per-event quantities of N events, (N,) each.

    Parameters
    ----------
    hits : channels EB, EE, HBHE, TRK
    clusters : the standard photons of these events
    """
    eb, ee, hb = hits["EB"], hits["EE"], central_towers(hits["HBHE"])
    far = _far_from(clusters, eb)
    tracks = _per_cell(hits["TRK"])
    return {
        "EB hits": _count(eb),
        "EB hits > 0.1 GeV": _count(eb, 0.1),
        "EB hits 0.3-1 GeV": _count(eb, 0.3, 1.0),
        "EB hits > 1 GeV": _count(eb, 1.0),
        "EB energy [GeV]": _total(eb),
        "EB hits 0.3-1 GeV, far from clusters": _count(far, 0.3, 1.0),
        "EB hits > 1 GeV, far from clusters": _count(far, 1.0),
        "EE hits": _count(ee),
        "EE hits > 1 GeV": _count(ee, 1.0),
        "EE energy [GeV]": _total(ee),
        "HB hits > 0.5 GeV": _count(hb, 0.5),
        "HB hits > 1 GeV": _count(hb, 1.0),
        "HB energy [GeV]": _total(hb),
        "track cells pt > 1 GeV": _count(tracks, 1.0),
        "track cells pt > 5 GeV": _count(tracks, 5.0),
        "barrel clusters pt > 20 GeV": np.bincount(
            clusters.event[_hard(clusters)], minlength=len(eb)
        ).astype(np.float64),
    }


def photon_numbers(clusters: Clusters) -> dict[str, FloatArray]:
    """Per-photon quantities of barrel clusters with pt > 20 GeV, (M,) each."""
    hard = clusters.take(_hard(clusters))
    return {
        "R9": hard.r9,
        "sigmaIetaIeta": hard.sigma_ieta_ieta,
        "H/E": hard.h_over_e,
    }


def standard_photons(hits: dict[str, Hits], vertex_z: FloatArray) -> Clusters:
    """The standard reconstruction."""
    return find_photons(hits["EB"], hits["HBHE"], np.nan_to_num(vertex_z))


def central_towers(hbhe: Hits) -> Hits:
    """HB towers with |ieta| <= 15."""
    row = hbhe.cell // 72
    return _rows(hbhe, (row >= HB_ROWS[0]) & (row < HB_ROWS[1]))


def _hard(clusters: Clusters) -> NDArray[np.bool_]:
    return (clusters.pt > PHOTON_PT) & (np.abs(clusters.eta) < PHOTON_ETA)


def _count(hits: Hits, low: float = 0.0, high: float = np.inf) -> FloatArray:
    inside = (hits.energy > low) & (hits.energy <= high)
    return np.bincount(hits.event[inside], minlength=len(hits)).astype(np.float64)


def _total(hits: Hits) -> FloatArray:
    total = np.bincount(hits.event, weights=hits.energy, minlength=len(hits))
    return total.astype(np.float64)


def _rows(hits: Hits, keep: NDArray[np.bool_]) -> Hits:
    return Hits.from_events(hits.event[keep], len(hits), hits.cell[keep], hits.energy[keep])


def _per_cell(tracks: Hits) -> Hits:
    """Sum tracks in one image cell, as simulated files hold them."""
    key, inverse = np.unique(
        tracks.event * N_ECAL + tracks.cell.astype(np.int64), return_inverse=True
    )
    total = np.bincount(inverse, weights=tracks.energy, minlength=len(key)).astype(np.float32)
    return Hits.from_events(key // N_ECAL, len(tracks), key % N_ECAL, total)


def _far_from(clusters: Clusters, eb: Hits) -> Hits:
    """Barrel hits more than FAR crystals from every cluster of their event."""
    count = np.bincount(clusters.event, minlength=len(eb))
    first = np.cumsum(count) - count
    n = count[eb.event]
    hit = np.repeat(np.arange(len(eb.event)), n)
    start = np.cumsum(n) - n
    cluster = np.arange(n.sum()) - np.repeat(start - first[eb.event], n)
    row, column = (eb.cell // 360).astype(np.int64), (eb.cell % 360).astype(np.int64)
    du = np.abs(row[hit] + 0.5 - clusters.u[cluster])
    dv = np.abs((column[hit] + 0.5 - clusters.v[cluster] + 180) % 360 - 180)
    near = np.bincount(hit[np.hypot(du, dv) < FAR], minlength=len(eb.event)) > 0
    return _rows(eb, ~near)
