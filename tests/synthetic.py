"""A small synthetic event store, written in a second: showers, pile-up, tracks and towers.

Not a simulation: just enough physics that a classifier separates the classes, that energies and
positions have a truth to be compared with, and that every dataset of the store is filled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.batch import Collection, Hits
from data.detector.geometry import N_EB, N_ECAL, N_HBHE, eb_uv
from data.reconstruction.clustering import Clusters, find_photons
from data.store import CLUSTER_FIELDS, PHOTON_FIELDS, StoreWriter

CHANNELS = {
    "EB": ["cell", "energy", "time"],
    "EE": ["cell", "energy", "time"],
    "HBHE": ["cell", "energy"],
    "TRK": ["cell", "energy"],
}
_STEPS = np.arange(-4, 5)


def write_store(
    path: str | Path,
    n_events: int = 240,
    seed: int = 0,
    with_truth: bool = True,
    labels: tuple[int, ...] = (0, 1, 2),
    channels: tuple[str, ...] = ("EB", "EE", "HBHE", "TRK"),
    without_pair: float = 0.0,
) -> Path:
    """Write a store of `n_events`, the labels in turn; γ+jet (2) has siblings in groups of three.

    Parameters
    ----------
    without_pair
        Share of events whose second photon is missing.
    """
    rng = np.random.default_rng(seed)
    label = np.resize(np.array(labels), n_events)
    photons = _photons(label, rng)
    lost = rng.random(n_events) < without_pair
    hits, crystals = _hits(photons, label, lost, rng)
    clusters = _pairs(find_photons(hits["EB"], hits["HBHE"], np.zeros(n_events)), n_events)
    tables = _tables(photons, clusters, label, lost, rng)
    if not with_truth:
        tables = {k: v for k, v in tables.items() if not k.startswith("truth")}
    written = {name: CHANNELS[name] for name in channels}
    types = {"truth/crystals": {"cell": "u4", "energy": "f4", "share": "f4"}}
    with StoreWriter(path, written, with_truth, types if with_truth else {}) as writer:
        writer.append(tables, hits, {"truth/crystals": crystals})
        writer.set_attributes({"origin": "simulation" if with_truth else "collision"})
    return Path(path)


def _photons(label: NDArray, rng: np.random.Generator) -> dict[str, NDArray]:
    """Two true photons an event, (N, 2) each, leading first."""
    n = len(label)
    mass = np.where(label == 1, rng.normal(125.0, 0.5, n), 92.0 + rng.exponential(35.0, n))
    eta = rng.uniform(-1.3, 1.3, (n, 2))
    dphi = np.pi - rng.exponential(0.25, n).clip(max=1.5)
    ratio = rng.uniform(0.6, 1.0, n)
    leading = mass / np.sqrt(2 * ratio * (np.cosh(eta[:, 0] - eta[:, 1]) - np.cos(dphi)))
    pt = np.stack([leading, leading * ratio], axis=1)
    phi = rng.uniform(-np.pi, np.pi, n)
    phi = np.stack([phi, (phi + dphi + np.pi) % (2 * np.pi) - np.pi], axis=1)
    u, v = eb_uv(eta, phi)
    return {
        "energy": pt * np.cosh(eta), "pt": pt, "eta": eta, "phi": phi, "u": u, "v": v,
        "converted": (rng.random((n, 2)) < 0.3).astype(np.float64),
    }  # fmt: skip


def _hits(
    photons: dict[str, NDArray], label: NDArray, lost: NDArray, rng: np.random.Generator
) -> tuple[dict[str, Hits], Collection]:
    """Hits of every channel, and what the photons (a jet's too) left in the crystals."""
    n = len(label)
    event = np.repeat(np.arange(n), 2)
    slot = np.tile([0, 1], n)
    keep = ~(lost[event] & (slot == 1))
    event, slot = event[keep], slot[keep]
    energy, u, v = (photons[name][event, slot] for name in ("energy", "u", "v"))
    energy = energy * rng.normal(1.0, 0.015, len(energy))
    jet = (label[event] == 2) & (slot == 1)
    # The jet's photon is a pair of close photons, with tracks and a tower beside it.
    shift = np.where(jet, rng.uniform(0.4, 1.2, len(jet)), 0.0)
    shares = [(0.6, u - shift, v), (0.4, u + shift, v + shift)]
    rows = [_shower(event, share * energy, x, y) for share, x, y in shares]
    rows.append(_uniform(n, 150, N_EB, 0.09, 0.35, rng))
    near = event[jet]
    jet_row, jet_column = u[jet].astype(int), v[jet].astype(int)
    tracks = [_uniform(n, 30, N_ECAL, 0.4, 0.8, rng)]
    for _ in range(2):
        row = (jet_row + rng.integers(-6, 7, len(near))).clip(0, 169) + 55
        column = (jet_column + rng.integers(-6, 7, len(near))) % 360
        tracks.append((near, row * 360 + column, 1.0 + rng.exponential(2.0, len(near))))
    tower = (jet_row // 5 + 11) * 72 + jet_column // 5
    towers = [
        _uniform(n, 12, N_HBHE, 0.5, 0.6, rng),
        (near, tower, rng.exponential(3.0, len(near))),
    ]
    eb = _sparse(rows, n, N_EB)
    hits = {
        "EB": Hits(eb.offsets, eb.cell, eb.energy, rng.normal(0, 1, len(eb.cell)).astype("f4")),
        "EE": _sparse([_uniform(n, 20, 7000, 0.3, 0.5, rng)], n, 20000),
        "HBHE": _sparse(towers, n, N_HBHE),
        "TRK": _sparse(tracks, n, N_ECAL),
    }
    return hits, _crystal_truth(_sparse(rows[:-1], n, N_EB), eb)


Rows = tuple[NDArray, NDArray, NDArray]


def _shower(event: NDArray, energy: NDArray, u: NDArray, v: NDArray) -> Rows:
    """Hits of the 9x9 crystals round each impact; phi wraps, rows beyond the barrel are lost."""
    row = np.floor(u).astype(int)[:, None, None] + _STEPS[None, :, None]
    column = np.floor(v).astype(int)[:, None, None] + _STEPS[None, None, :]
    distance = np.hypot(row + 0.5 - u[:, None, None], column + 0.5 - v[:, None, None])
    share = np.exp(-distance / 0.38) + 0.002 * np.exp(-distance / 2.0)
    share /= share.sum(axis=(1, 2), keepdims=True)
    inside = (row >= 0) & (row < 170) & (column == column)
    cell = row * 360 + column % 360
    return (
        np.broadcast_to(event[:, None, None], share.shape)[inside],
        cell[inside],
        (energy[:, None, None] * share)[inside],
    )


def _uniform(
    n: int, mean: float, cells: int, floor: float, scale: float, rng: np.random.Generator
) -> Rows:
    count = int(rng.poisson(mean * n))
    return (
        rng.integers(0, n, count),
        rng.integers(0, cells, count),
        floor + rng.exponential(scale, count),
    )


def _sparse(parts: list[Rows], n_events: int, n_cells: int) -> Hits:
    """Sum the rows that share an event and a cell; drop what zero suppression would."""
    event, cell, energy = (np.concatenate([part[i] for part in parts]) for i in range(3))
    key, inverse = np.unique(event * n_cells + cell, return_inverse=True)
    total = np.bincount(inverse, weights=energy)
    key, total = key[total > 0.08], total[total > 0.08]
    return Hits.from_events(key // n_cells, n_events, key % n_cells, total)


def _crystal_truth(photons: Hits, every: Hits) -> Collection:
    """What photons left in crystals that have a hit, and its share of the hit."""
    key, known = (x.event * N_EB + x.cell.astype(np.int64) for x in (photons, every))
    there = np.isin(key, known)
    share = photons.energy[there] / every.energy[np.searchsorted(known, key[there])]
    counts = np.bincount(photons.event[there], minlength=len(photons))
    columns = {"cell": photons.cell[there], "energy": photons.energy[there],
               "share": share.astype(np.float32).clip(0, 1)}  # fmt: skip
    return Collection(np.concatenate([[0], np.cumsum(counts)]), columns)


def _pairs(found: Clusters, n_events: int) -> dict[str, NDArray]:
    """(N, 2) tables of the two leading clusters, NaN (seed -1) where there is none."""
    rank = np.arange(len(found.event)) - np.searchsorted(found.event, found.event)
    first = rank < 2
    tables = {}
    for name, dtype in CLUSTER_FIELDS.items():
        table = np.full((n_events, 2), -1 if name == "seed" else np.nan, dtype=dtype)
        table[found.event[first], rank[first]] = getattr(found, name)[first]
        tables[name] = table
    return tables


def _tables(
    photons: dict[str, NDArray],
    clusters: dict[str, NDArray],
    label: NDArray,
    lost: NDArray,
    rng: np.random.Generator,
) -> dict[str, dict[str, NDArray]]:
    n = len(label)
    pt, eta, phi = (clusters[name].astype(np.float64) for name in ("pt", "eta", "phi"))
    mass = np.sqrt(
        2 * pt[:, 0] * pt[:, 1] * (np.cosh(eta[:, 0] - eta[:, 1]) - np.cos(phi[:, 0] - phi[:, 1]))
    )
    n_prompt = np.where(label == 2, 1 + (rng.random(n) < 0.1), 2)
    event: dict[str, Any] = {
        "run": np.ones(n), "lumi": np.ones(n), "event": np.arange(n) + 1, "label": label,
        "event_weight": np.ones(n), "m_gg": mass, "m0_file": np.full(n, np.nan),
        "n_vertices": rng.poisson(20, n), "source": np.zeros(n),
        "group": np.where(label == 2, 10**6 + np.arange(n) // 9, np.arange(n)),
        "selected": np.isfinite(mass),
    }  # fmt: skip
    # The truth follows the clusters' order; the reconstruction may swap photons of equal pt.
    swap = np.abs(clusters["v"][:, 0] - photons["v"][:, 0]) > 3
    order = np.where(swap[:, None], [[1, 0]], [[0, 1]])
    truth = {name: np.take_along_axis(x, order, axis=1) for name, x in photons.items()}
    missing = np.isnan(clusters["energy"])
    return {
        "event": event,
        "photons": {name: clusters[name] for name in PHOTON_FIELDS},
        "clusters": clusters,
        "vertex": {"z": np.zeros(n)},
        "truth": {
            "process": label, "n_prompt": n_prompt, "vertex_z": np.zeros(n),
            "n_pileup": rng.poisson(20, n), "gen_mass": np.where(lost, np.nan, mass),
        },
        "truth/photons": {name: np.where(missing, np.nan, x) for name, x in truth.items()},
    }  # fmt: skip
