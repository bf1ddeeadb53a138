"""Photon pairs from a few lines of shower model, for tests that need an event store at once.

Not the project's simulation: showers are one fixed profile, conversions two displaced showers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits
from data.detector.geometry import EB_ETA, N_EB, detector_eta, eb_uv
from data.reconstruction import Clusters, find_photons
from data.store import CLUSTER_FIELDS, PHOTON_FIELDS, StoreWriter

Floats = NDArray[np.float64]
LABEL = {"diphoton": 0, "higgs": 1, "gun": 3}
_WINDOW = np.arange(-4, 5)


def _corner(x: Floats, y: Floats, radius: float) -> Floats:
    a, b = np.hypot(x, radius), np.hypot(y, radius)
    return (x / a * np.arctan(y / a) + y / b * np.arctan(x / b)) / (2 * np.pi)


def _shares(u: Floats, v: Floats) -> Floats:
    """(n, 9, 9) energy shares of the crystals round the one hit."""
    x = np.arange(-4.0, 6.0)[None, :, None] - (u % 1)[:, None, None]
    y = np.arange(-4.0, 6.0)[None, None, :] - (v % 1)[:, None, None]
    density = 0.89 * _corner(x, y, 0.23) + 0.11 * _corner(x, y, 1.15)
    return np.diff(np.diff(density, axis=1), axis=2)


def _pairs(kind: str, n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    """pt, eta, phi (n, 2) and vertex z (n,)."""
    z = rng.normal(0, 4.5, n)
    if kind == "gun":
        eta = rng.uniform(-1.35, 1.35, (n, 2))
        return rng.uniform(25, 120, (n, 2)), eta, rng.uniform(-np.pi, np.pi, (n, 2)), z
    mass = np.full(n, 125.0) if kind == "higgs" else rng.uniform(95, 160, n)
    cosine, phi = rng.uniform(-0.7, 0.7, n), rng.uniform(-np.pi, np.pi, n)
    pt = mass / 2 * np.sqrt(1 - cosine**2)
    eta = np.arctanh(cosine)
    boost = rng.uniform(-0.4, 0.4, n)
    phis = np.stack([phi, (phi + 2 * np.pi) % (2 * np.pi) - np.pi], axis=1)
    return np.stack([pt, pt], axis=1), np.stack([eta + boost, boost - eta], axis=1), phis, z


def _deposits(
    energy: Floats, u: Floats, v: Floats, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """Photon index, cell and energy of the crystals hit by photons."""
    n = len(energy)
    converted = rng.random(n) < 0.35
    fraction = np.where(converted, rng.uniform(0.1, 0.9, n), 1.0)
    bend = np.where(converted, rng.exponential(0.8, n), 0.0)
    around = np.abs((v + 10) % 20 - 10)
    kept = 1 - 0.1 * np.exp(-0.5 * (around / 0.4) ** 2)
    kept *= 1 - rng.exponential(0.004, n)
    seen = energy * kept * (1 + 0.028 / np.sqrt(energy) * rng.normal(size=n))
    parts = []
    for share, dv in ((fraction, -bend * (1 - fraction)), (1 - fraction, bend * fraction)):
        place = (v + dv) % 360
        crystals = _shares(u, place) * (seen * share)[:, None, None]
        row = np.floor(u).astype(int)[:, None, None] + _WINDOW[None, :, None]
        column = (np.floor(place).astype(int)[:, None, None] + _WINDOW[None, None, :]) % 360
        index, a, b = np.nonzero((crystals > 0.02) & (row >= 0) & (row < 170))
        cell = (row * 360 + column)[index, a, b]
        parts.append((index, cell, crystals[index, a, b]))
    index, cell, deposit = (np.concatenate(column) for column in zip(*parts, strict=True))
    return index, cell, deposit


def _hits(
    pt: Floats, eta: Floats, phi: Floats, z: Floats, rng: np.random.Generator
) -> tuple[Hits, Floats, Floats]:
    n = len(pt)
    u, v = eb_uv(detector_eta(eta, z[:, None]), phi)
    u = u.clip(0.01, 169.99)
    photon, cell, energy = _deposits((pt * np.cosh(eta)).ravel(), u.ravel(), v.ravel(), rng)
    soft = rng.integers(0, N_EB, 200 * n)
    event = np.concatenate([photon // 2, np.repeat(np.arange(n), 200)])
    cell = np.concatenate([cell, soft])
    energy = np.concatenate(
        [energy, rng.exponential(0.3, 200 * n) * np.cosh(EB_ETA[soft // 360]) + 0.08]
    )
    key, inverse = np.unique(event * N_EB + cell, return_inverse=True)
    total = np.bincount(inverse, weights=energy) + rng.normal(0, 0.04, len(key))
    keep = total > 0.08
    return Hits.from_events(key[keep] // N_EB, n, key[keep] % N_EB, total[keep]), u, v


def _nearest(clusters: Clusters, u: Floats, v: Floats) -> NDArray[np.int64]:
    """(N, 2) cluster at each true photon, -1 for none within 3 crystals."""
    found = np.full(u.shape, -1)
    for slot in (0, 1):
        du = clusters.u - u[clusters.event, slot]
        dv = (clusters.v - v[clusters.event, slot] + 180) % 360 - 180
        rows = np.flatnonzero(np.hypot(du, dv) < 3)[::-1]
        found[clusters.event[rows], slot] = rows
    return found


def write_pairs(path: Path, kind: str, n_events: int, seed: int = 0) -> Path:
    """Write an event store of photon pairs: kind is gun, higgs or diphoton."""
    rng = np.random.default_rng(seed)
    pt, eta, phi, z = _pairs(kind, n_events, rng)
    hits, u, v = _hits(pt, eta, phi, z, rng)
    clusters = find_photons(hits, None, z)
    index = _nearest(clusters, u, v)

    def column(name: str, missing: float = np.nan) -> NDArray:
        values = np.append(getattr(clusters, name), missing)
        return values[index]

    tables = {
        "event": {
            "run": np.ones(n_events), "lumi": np.ones(n_events), "event": np.arange(n_events),
            "label": np.full(n_events, LABEL[kind]), "event_weight": np.ones(n_events),
            "m_gg": np.full(n_events, np.nan), "m0_file": np.full(n_events, np.nan),
            "n_vertices": np.full(n_events, 20),
            "group": np.arange(n_events) + 10**6 * LABEL[kind], "source": np.zeros(n_events),
            "selected": (index >= 0).all(axis=1),
        },
        "photons": {k: column(k, -1 if k == "seed" else np.nan) for k in PHOTON_FIELDS},
        "clusters": {k: column(k, -1 if k == "seed" else np.nan) for k in CLUSTER_FIELDS},
        "vertex": {"z": z},
        "truth": {
            "process": np.full(n_events, LABEL[kind]), "n_prompt": np.full(n_events, 2),
            "vertex_z": z, "n_pileup": np.full(n_events, 20), "gen_mass": np.zeros(n_events),
        },
        "truth/photons": {
            "energy": pt * np.cosh(eta), "pt": pt, "eta": eta, "phi": phi, "u": u, "v": v,
            "converted": np.zeros_like(pt),
        },
    }  # fmt: skip
    with StoreWriter(path, {"EB": ["cell", "energy"]}, with_truth=True) as writer:
        writer.append(tables, {"EB": hits})
        writer.set_attributes({"origin": "simulation"})
    return path
