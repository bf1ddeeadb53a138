"""Noise and the reduced rechit collections.

As measured on public collision data, the reduced barrel collection holds every crystal above zero
suppression within 0.6 of photon candidates, full windows round energetic crystals, and elsewhere
only a part of the soft deposits.  Noise is drawn where it can matter and nowhere else: of the
crystals without any deposit, some two an event would be kept by their noise alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits
from data.detector.geometry import EB_ETA, EE_VALID, N_EB, N_EE, N_HBHE
from data.simulation.profiles import Cells

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class EcalReadout:
    """Thresholds in GeV of one ECAL part (tuned to the hit spectra of public collision data).

    noise : standard deviation per crystal
    suppression : lowest energy read out outside full windows: mean and spread over the crystals
    seed : a crystal above may keep its suppressed 3 x 3 neighbourhood
    soft_share : share of the seeds that do
    sure : a seed above certainly does
    full_window : a crystal above keeps every positive crystal of its 5 x 5 neighbourhood
    """

    noise: float
    suppression: tuple[float, float]
    seed: float
    soft_share: float
    sure: float
    full_window: float


BARREL_READOUT = EcalReadout(
    noise=0.043, suppression=(0.120, 0.015), seed=0.15, soft_share=0.22, sure=1.3, full_window=1.4
)
ENDCAP_READOUT = EcalReadout(
    noise=0.150, suppression=(0.55, 0.16), seed=0.60, soft_share=0.60, sure=1.3, full_window=3.3
)


def _endcap_scale() -> NDArray[np.float32]:
    """Noise and thresholds of every endcap crystal over those of :data:`ENDCAP_READOUT`, (20000,).

    They are much the same in counts; a count is worth more GeV towards the beam, where crystals
    lost more of their transparency.
    """
    y, x = np.divmod(np.arange(10000), 100)
    radius = np.hypot(x - 49.5, y - 49.5)
    scale = (ENDCAP_AT_BEAM - ENDCAP_FALL * radius) / ENDCAP_READOUT.suppression[0]
    return np.tile(scale, 2).astype(np.float32)


# lowest energy read out, GeV, on the beam's axis, and by how much it falls per crystal (tuned)
ENDCAP_AT_BEAM, ENDCAP_FALL = 1.25, 0.0215
_ENDCAP_SCALE = _endcap_scale()
_ONE = np.ones(1, np.float32)

CANDIDATE_ET = 8.0  # GeV in one crystal: a photon candidate with its isolation region
CANDIDATE_RADIUS = 34  # crystals, dR = 0.6

HCAL_NOISE = 0.22  # GeV per tower
HCAL_THRESHOLD = (1.35, 0.4)  # mean and spread

TIME_FLOOR, TIME_NOISE = 0.6, 0.5  # ns, and ns GeV

_KEEP_SUPPRESSED, _KEEP_ALL = 1, 2


def _square(half: int) -> tuple[IntArray, IntArray]:
    steps = np.arange(-half, half + 1)
    a, b = np.meshgrid(steps, steps, indexing="ij")
    return a.ravel(), b.ravel()


def _disc(radius: int) -> tuple[IntArray, IntArray]:
    a, b = _square(radius)
    inside = a**2 + b**2 <= radius**2
    return a[inside], b[inside]


_AROUND, _WINDOW, _REGION = _square(1), _square(2), _disc(CANDIDATE_RADIUS)
_COSH_ETA = np.cosh(EB_ETA)


def _barrel_neighbours(key: IntArray, offsets: tuple[IntArray, IntArray]) -> IntArray:
    """Keys (event * 61200 + cell) round each key, phi wrapping, without those beyond the ends."""
    event, cell = np.divmod(key, N_EB)
    row = (cell // 360)[:, None] + offsets[0]
    column = ((cell % 360)[:, None] + offsets[1]) % 360
    around = event[:, None] * N_EB + row * 360 + column
    return around[(row >= 0) & (row < 170)]


def _endcap_neighbours(key: IntArray, offsets: tuple[IntArray, IntArray]) -> IntArray:
    """Keys (event * 20000 + cell) round each key where there are crystals."""
    side, cell = np.divmod(key, 10000)
    y = (cell // 100)[:, None] + offsets[0]
    x = (cell % 100)[:, None] + offsets[1]
    inside = (x >= 0) & (x < 100) & (y >= 0) & (y < 100)
    inside[inside] = EE_VALID[y[inside], x[inside]]
    return (side[:, None] * 10000 + y * 100 + x)[inside]


def total_energy(cells: Cells, n_events: int, n_cells: int) -> NDArray[np.float32]:
    """Dense energies (n_events * n_cells,) of deposits."""
    key = cells.event * n_cells + cells.cell
    dense = np.bincount(key, weights=cells.energy, minlength=n_events * n_cells)
    return dense.astype(np.float32)


def _add_noise(
    energy: NDArray[np.float32], noise: float, scale: NDArray[np.float32], rng: np.random.Generator
) -> IntArray:
    """Make dense energies noisy where there is a deposit, in place; return those places."""
    hit = np.flatnonzero(energy != 0)  # of booleans it is several times faster
    energy[hit] += noise * _of(scale, hit) * rng.standard_normal(len(hit), dtype=np.float32)
    return hit


def _of(scale: NDArray[np.float32], key: IntArray) -> NDArray[np.float32]:
    """Scale of each key's cell; one number serves all cells of a homogeneous part."""
    return scale if len(scale) == 1 else scale[key % len(scale)]


def _kept(
    energy: NDArray[np.float32],
    mask: NDArray[np.uint8],
    readout: EcalReadout,
    scale: NDArray[np.float32],
    rng: np.random.Generator,
) -> IntArray:
    """Keys that are read out; crystals of the mask without deposit get their noise now."""
    key = np.flatnonzero(mask > 0)
    factor = _of(scale, key)
    value = energy[key]
    empty = value == 0
    drawn = readout.noise * factor * rng.standard_normal(len(key), dtype=np.float32)
    value[empty] = drawn[empty]
    energy[key] = value
    mean, width = readout.suppression
    threshold = factor * (mean + width * rng.standard_normal(len(key), dtype=np.float32))
    threshold[mask[key] == _KEEP_ALL] = 0
    return key[value > np.maximum(threshold, 0)]


def _seeds(
    hit: IntArray, value: NDArray[np.float32], readout: EcalReadout, rng: np.random.Generator
) -> IntArray:
    """Places whose neighbourhood is read out: sure ones, and a share of the soft ones."""
    rows = np.flatnonzero(value > readout.seed)
    rows = rows[(value[rows] > readout.sure) | (rng.random(len(rows)) < readout.soft_share)]
    return hit[rows]


def _to_hits(key: IntArray, energy: NDArray[np.float32], n_events: int, n_cells: int) -> Hits:
    offsets = np.searchsorted(key, np.arange(n_events + 1) * n_cells).astype(np.int64)
    return Hits(offsets, (key % n_cells).astype(np.uint32), energy[key])


def read_barrel(
    energy: NDArray[np.float32],
    dead: NDArray[np.bool_],
    rng: np.random.Generator,
    noise: float = 1.0,
) -> Hits:
    """Barrel rechits with times.

    Parameters
    ----------
    energy : (N * 61200,) noise-free energies; noise is added in place
    dead : (61200,) channels that are never read out
    noise : factor on the noise; the thresholds stay
    """
    readout = replace(BARREL_READOUT, noise=noise * BARREL_READOUT.noise)
    n_events = len(energy) // N_EB
    hit = _add_noise(energy, readout.noise, _ONE, rng)
    value = energy[hit]
    seeds = _seeds(hit, value, readout, rng)
    strong = hit[value > readout.full_window]
    candidates = strong[energy[strong] > CANDIDATE_ET * _COSH_ETA[strong % N_EB // 360]]
    candidates = _isolated_maxima(candidates, energy)
    mask = np.zeros(len(energy), np.uint8)
    mask[_barrel_neighbours(candidates, _REGION)] = _KEEP_SUPPRESSED
    mask[_barrel_neighbours(seeds, _AROUND)] = _KEEP_SUPPRESSED
    mask[_barrel_neighbours(strong, _WINDOW)] = _KEEP_ALL
    mask.reshape(n_events, N_EB)[:, dead] = 0
    hits = _to_hits(_kept(energy, mask, readout, _ONE, rng), energy, n_events, N_EB)
    spread = np.hypot(TIME_FLOOR, TIME_NOISE / np.maximum(hits.energy, 0.05))
    hits.time = (spread * rng.standard_normal(len(spread))).astype(np.float32)
    return hits


def _isolated_maxima(key: IntArray, energy: NDArray[np.float32]) -> IntArray:
    """Keys that no other of the keys in their 5 x 5 neighbourhood exceeds."""
    if not len(key):
        return key
    row, column = (key % N_EB) // 360, key % 360
    keep = np.ones(len(key), bool)
    for a, b in zip(*_WINDOW, strict=True):
        other_row = row + a
        inside = (other_row >= 0) & (other_row < 170)
        other = key + a * 360 + (column + b) % 360 - column
        keep &= ~inside | (energy[np.where(inside, other, 0)] <= energy[key])
    return key[keep]


def read_endcap(cells: Cells, n_events: int, rng: np.random.Generator) -> Hits:
    """Endcap rechits."""
    readout = ENDCAP_READOUT
    energy = total_energy(cells, n_events, N_EE)
    hit = _add_noise(energy, readout.noise, _ENDCAP_SCALE, rng)
    value = energy[hit] / _of(_ENDCAP_SCALE, hit)
    mask = np.zeros(len(energy), np.uint8)
    seeds = _seeds(hit, value, readout, rng)
    mask[_endcap_neighbours(seeds, _AROUND)] = _KEEP_SUPPRESSED
    mask[_endcap_neighbours(hit[value > readout.full_window], _WINDOW)] = _KEEP_ALL
    return _to_hits(_kept(energy, mask, readout, _ENDCAP_SCALE, rng), energy, n_events, N_EE)


def read_hcal(cells: Cells, out_of_time: Cells, n_events: int, rng: np.random.Generator) -> Hits:
    """HBHE rechits: towers above threshold, in this crossing or in one before or after.

    Parameters
    ----------
    cells : noise-free deposits, what other crossings leave included
    out_of_time : the largest deposit of any other crossing in a tower
    n_events : N
    """
    energy = total_energy(cells, n_events, N_HBHE)
    energy += HCAL_NOISE * rng.standard_normal(len(energy), dtype=np.float32)
    mean, width = HCAL_THRESHOLD
    kept = energy > mean + width * rng.standard_normal(len(energy), dtype=np.float32)
    spread = np.hypot(width, HCAL_NOISE)
    passed = out_of_time.energy > mean + spread * rng.standard_normal(len(out_of_time.energy))
    kept[(out_of_time.event * N_HBHE + out_of_time.cell)[passed]] = True
    return _to_hits(np.flatnonzero(kept & (energy > 0)), energy, n_events, N_HBHE)
