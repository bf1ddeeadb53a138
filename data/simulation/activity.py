"""Numbers that describe events, alike for simulated and real ones: hits, tracks, photons."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits
from data.detector.geometry import N_ECAL
from data.reconstruction import Clusters, find_photons

FloatArray = NDArray[np.float64]

PHOTON_PT, PHOTON_ETA = 20.0, 1.44
FAR = 26  # crystals: farther than this from every cluster above 10 GeV
INNER_RADIUS = 29.6  # crystals, |eta| = 2
_BARREL_EDGES = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
_ENDCAP_EDGES = (0.0, 0.5, 0.75, 1.0, 2.0, 5.0)
_TOWER_EDGES = (0.0, 0.2, 0.4, 0.6, 1.0, 2.0, 5.0)
HB_ROWS = (13, 43)  # |ieta| <= 15: the event display's files hold no tower beyond


def event_numbers(hits: dict[str, Hits], clusters: Clusters) -> dict[str, FloatArray]:
    """Per-event quantities of N events, (N,) each.

    Parameters
    ----------
    hits : channels EB, EE, HBHE, TRK
    clusters : the standard photons of these events
    """
    eb, ee, hb = hits["EB"], hits["EE"], central_towers(hits["HBHE"])
    tracks = _per_cell(hits["TRK"])
    return {
        "EB hits": _count(eb),
        "EB hits > 1 GeV": _count(eb, 1.0),
        "EB energy [GeV]": _total(eb),
        **_spectrum("EB far from clusters", _far_from(clusters, eb), _BARREL_EDGES),
        "EE hits": _count(ee),
        "EE energy [GeV]": _total(ee),
        **_spectrum("EE below eta 2", _endcap(ee, inner=False), _ENDCAP_EDGES),
        **_spectrum("EE above eta 2", _endcap(ee, inner=True), _ENDCAP_EDGES),
        "HB towers": _count(hb),
        "HB energy [GeV]": _total(hb),
        **_spectrum("HB", hb, _TOWER_EDGES),
        "track cells pt > 1 GeV": _count(tracks, 1.0),
        "track cells pt > 5 GeV": _count(tracks, 5.0),
        "barrel clusters pt > 20 GeV": np.bincount(
            clusters.event[_hard(clusters)], minlength=len(eb)
        ).astype(np.float64),
    }


#: Rows that pile-up decides, not the hard process.
PILEUP_ROWS = ("EB far", "EE below", "EE above", "HB,", "track cells pt > 1")


def is_pileup_row(name: str) -> bool:
    """Whether a row of :func:`event_numbers` is mostly pile-up: the soft ones of each detector."""
    hard = name.endswith(("> 2 GeV", "> 5 GeV", "[GeV]", "towers"))
    return name.startswith(PILEUP_ROWS) and not hard


def _spectrum(name: str, hits: Hits, edges: tuple[float, ...]) -> dict[str, FloatArray]:
    """Hits per event in intervals of energy, the last one open."""
    rows = {
        f"{name}, {low:g}-{high:g} GeV": _count(hits, low, high) for low, high in pairwise(edges)
    }
    return {**rows, f"{name}, > {edges[-1]:g} GeV": _count(hits, edges[-1])}


def _endcap(ee: Hits, *, inner: bool) -> Hits:
    """Endcap hits nearer to the beam than |eta| = 2, or farther."""
    y, x = np.divmod(ee.cell.astype(np.int64) % 10000, 100)
    return _rows(ee, (np.hypot(x - 49.5, y - 49.5) < INNER_RADIUS) == inner)


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
