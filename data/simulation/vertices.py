"""Reconstructed vertices, and which of them a pair of photons is said to come from.

Photons leave no track, so CMS chose the vertex by what its tracks say (arXiv:1407.0558, section 5):
the sum of their pt^2, and how they balance the photon pair in the transverse plane.  CMS put these
into boosted trees, with the direction of converted photons, and found the right vertex within 1 cm
for some 80 % of H -> gamma gamma at 20 interactions.  Here they are added with constant weights,
and conversions are not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.reconstruction import Clusters
from data.simulation.overlay import Overlay
from data.simulation.particles import ParticleLists

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TRACK_PT, TRACK_ETA, TRACK_EFFICIENCY = 0.3, 2.4, 0.85  # of tracks that make vertices
MIN_TRACKS = 5
SEPARATION = 0.1  # cm, below which neighbouring interactions make one vertex
RESOLUTION = 0.03  # cm, over the root of the number of tracks
PHOTON_PT = 15.0  # GeV
#: Weights of ln(sum pt^2 / GeV^2), of the balance in GeV, and of the asymmetry: a logistic
#: regression on simulated H -> gamma gamma at 20 interactions.
W_SUM, W_BALANCE, W_ASYMMETRY = 0.56, 0.160, 1.24


@dataclass
class TrackSums:
    """Over the tracks of each of N interactions: number, sum of pt^2, sum of px and py."""

    n: FloatArray
    pt2: FloatArray
    px: FloatArray
    py: FloatArray


@dataclass
class Vertices:
    """Reconstructed vertices, flat and sorted by event: z in cm, and the sums of their tracks."""

    event: IntArray
    z: FloatArray
    sums: TrackSums


def track_sums(lists: ParticleLists, rng: np.random.Generator) -> TrackSums:
    """Sums over the tracks of particle lists."""
    found = (lists.charge != 0) & (lists.pt > TRACK_PT) & (np.abs(lists.eta) < TRACK_ETA)
    rows = np.flatnonzero(found)
    rows = rows[rng.random(len(rows)) < TRACK_EFFICIENCY]
    event, n = lists.event[rows], len(lists)
    pt, phi = lists.pt[rows].astype(np.float64), lists.phi[rows].astype(np.float64)
    columns = (np.ones(len(rows)), pt**2, pt * np.cos(phi), pt * np.sin(phi))
    return TrackSums(*(_summed(event, column, n) for column in columns))


def _summed(index: IntArray, values: FloatArray, n: int) -> FloatArray:
    return np.bincount(index, weights=values, minlength=n).astype(np.float64)


def reconstruct(
    hard: TrackSums,
    vertex_z: FloatArray,
    library: TrackSums,
    library_z: FloatArray,
    overlay: Overlay,
    underlying: int,
    rng: np.random.Generator,
) -> Vertices:
    """Vertices of N events with enough tracks; interactions close to each other make one.

    Parameters
    ----------
    hard, vertex_z : sums and z of the N hard interactions
    library, library_z : those of the library's events
    overlay : library events laid over; the first ``underlying`` of each event at the hard vertex
    """
    cos, sin = np.cos(overlay.angle), np.sin(overlay.angle)
    px, py = library.px[overlay.index], library.py[overlay.index]
    z = library_z[overlay.index] * np.where(overlay.flip, -1.0, 1.0)
    first = np.searchsorted(overlay.event, np.arange(len(vertex_z)))
    at_hard = np.arange(len(z)) - first[overlay.event] < underlying
    z[at_hard] = vertex_z[overlay.event[at_hard]]
    event = np.concatenate([np.arange(len(vertex_z)), overlay.event])
    z = np.concatenate([vertex_z, z])
    columns = (
        np.concatenate([hard.n, library.n[overlay.index]]),
        np.concatenate([hard.pt2, library.pt2[overlay.index]]),
        np.concatenate([hard.px, px * cos - py * sin]),
        np.concatenate([hard.py, px * sin + py * cos]),
    )
    return _merged(event, z, columns, rng)


def _merged(
    event: IntArray, z: FloatArray, columns: tuple[FloatArray, ...], rng: np.random.Generator
) -> Vertices:
    order = np.lexsort((z, event))
    event, z = event[order], z[order]
    new = np.append(True, (event[1:] != event[:-1]) | (np.diff(z) > SEPARATION))
    vertex = np.cumsum(new) - 1
    n_all = int(vertex[-1]) + 1
    sums = TrackSums(*(_summed(vertex, column[order], n_all) for column in columns))
    kept = np.flatnonzero(sums.n >= MIN_TRACKS)
    sums_z = _summed(vertex, columns[0][order] * z, n_all)
    n = sums.n[kept]
    measured = sums_z[kept] / n + RESOLUTION / np.sqrt(n) * rng.standard_normal(len(n))
    rows = TrackSums(n, sums.pt2[kept], sums.px[kept], sums.py[kept])
    return Vertices(event[new][kept], measured, rows)


def choose(vertices: Vertices, photons: Clusters, n_events: int) -> FloatArray:
    """z in cm of the vertex chosen in each of N events, 0 where there is none.

    Of events without two photons above 15 GeV it is the one with the largest sum of pt^2.

    Parameters
    ----------
    photons : the standard photons as seen from the origin
    """
    px, py, has_pair = _pair_momentum(photons, n_events)
    v, s = vertices.event, vertices.sums
    pair_pt = np.hypot(px, py)[v]
    balance = -(s.px * px[v] + s.py * py[v]) / np.maximum(pair_pt, 1e-6)
    track_pt = np.hypot(s.px, s.py)
    asymmetry = (track_pt - pair_pt) / np.maximum(track_pt + pair_pt, 1e-6)
    score = W_SUM * np.log(s.pt2)
    score += np.where(has_pair[v], W_BALANCE * balance + W_ASYMMETRY * asymmetry, 0.0)
    order = np.lexsort((score, v))
    last = np.searchsorted(v[order], np.arange(n_events), "right") - 1
    found = np.bincount(v, minlength=n_events) > 0
    z = np.zeros(n_events)
    z[found] = vertices.z[order[last[found]]]
    return z


def _pair_momentum(
    photons: Clusters, n_events: int
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """px and py of the two leading photons (N,), and whether there are two."""
    hard = photons.pt > PHOTON_PT
    has_pair = np.bincount(photons.event[hard], minlength=n_events) >= 2
    first = np.searchsorted(photons.event, np.arange(n_events))
    rank = np.arange(len(photons.event)) - first[photons.event]
    pair = photons.take(np.flatnonzero((rank < 2) & has_pair[photons.event]))
    px = _summed(pair.event, pair.pt * np.cos(pair.phi), n_events)
    py = _summed(pair.event, pair.pt * np.sin(pair.phi), n_events)
    return px, py, has_pair
