"""The peak finder: up to three showers that explain a photon's crystals, by a non-negative fit.

Matching pursuit: the shower of a single photon is tried at every point of a grid, the one that
explains most is kept, then the next one for what is left; afterwards each is tried again with
the others in place. Energies are fitted together and cannot be negative. It knows the mean shower
and the crystals' errors, and nothing of how conversions look: that is left to those who refine it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.simulation.shower_profile import CRYSTALS
from envs.photons.table import PhotonTable
from envs.profile.peaks import N_PEAKS, NAMES, draw_crystals

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

STEP = 0.1  # crystals, of the grid that is searched
#: Errors of a crystal: noise and pile-up in GeV, stochastic (GeV^1/2), and of calibration.
NOISE, STOCHASTIC, CONSTANT = 0.08, 0.03, 0.02
MIN_IMPROVEMENT = 16.0  # of chi-squared: a peak that explains less is left out
ABSENT = -6.0  # log share of a peak that was left out; it lies on the first
_ROUNDS = 2  # of trying each peak again
_SWEEPS = 12  # of the fit of energies, one after the other
_AT_A_TIME = 1024


def crystals_of(table: PhotonTable) -> FloatArray:
    """(n, 5, 11) energies round the seed, GeV: the crystals under the profile."""
    row, column = ((a - b) // 2 for a, b in zip(table.crop.shape[1:], CRYSTALS, strict=True))
    return table.crop[:, row : row + CRYSTALS[0], column : column + CRYSTALS[1]]


def squared_errors(energy: FloatArray) -> FloatArray:
    """Variances, GeV², of crystals that were read with an energy in GeV."""
    variance = NOISE**2 + STOCHASTIC**2 * energy + (CONSTANT * energy) ** 2
    return variance.astype(np.float32)


def find_peaks(energy: FloatArray) -> FloatArray:
    """Peaks (n, 10) of photons with crystals (n, 5, 11) in GeV; columns as in `peaks.NAMES`."""
    grid, shapes = _dictionary()
    flat = energy.reshape(len(energy), -1)
    parts = [
        _find(flat[start : start + _AT_A_TIME], grid, shapes)
        for start in range(0, len(flat), _AT_A_TIME)
    ]
    return np.concatenate([np.zeros((0, len(NAMES)), np.float32), *parts])


def _dictionary() -> tuple[FloatArray, FloatArray]:
    """Points (k, 2) of the grid, and the crystals' shares (k, 55) of a shower at each."""
    along = [(np.arange(round(c / STEP)) + 0.5) * STEP - c / 2 for c in CRYSTALS]
    u, v = (axis.ravel() for axis in np.meshgrid(*along, indexing="ij"))
    peaks = np.zeros((len(u), len(NAMES)), np.float32)
    for k in range(N_PEAKS):
        peaks[:, 3 * k + 1], peaks[:, 3 * k + 2] = u, v
    return peaks[:, 1:3], draw_crystals(peaks).reshape(len(u), -1)


def _find(energy: FloatArray, grid: FloatArray, shapes: FloatArray) -> FloatArray:
    weight = np.reciprocal(squared_errors(energy))
    norm = weight @ (shapes**2).T
    n = len(energy)
    which = np.zeros((n, N_PEAKS), np.int64)
    size = np.zeros((n, N_PEAKS), np.float32)
    for turn in range(N_PEAKS * (1 + _ROUNDS)):
        k = turn % N_PEAKS
        others = [j for j in range(min(turn, N_PEAKS)) if j != k]
        left = energy - _sum(size[:, others], shapes[which[:, others]])
        which[:, k] = _best(left, weight, shapes, norm)
        used = sorted([*others, k])
        size[:, used] = _energies(energy, weight, shapes[which[:, used]])
    gain = size**2 * np.take_along_axis(norm, which, axis=1)
    return _as_peaks(np.where(gain > MIN_IMPROVEMENT, size, 0), grid[which])


def _best(left: FloatArray, weight: FloatArray, shapes: FloatArray, norm: FloatArray) -> IntArray:
    """(n,) point whose shower explains most of what is left."""
    along = np.maximum((weight * left) @ shapes.T, 0)
    return (along * along / norm).argmax(axis=1)


def _energies(energy: FloatArray, weight: FloatArray, shower: FloatArray) -> FloatArray:
    """Non-negative least squares: (n, p) energies of showers (n, p, 55), by coordinates."""
    weighted = shower * weight[:, None, :]
    normal = weighted @ shower.transpose(0, 2, 1)
    right = (weighted @ energy[:, :, None])[..., 0]
    size: FloatArray = np.zeros(right.shape, dtype=np.float32)
    for _ in range(_SWEEPS):
        for k in range(size.shape[1]):
            rest = (normal[:, k] * size).sum(axis=1) - normal[:, k, k] * size[:, k]
            size[:, k] = np.maximum(right[:, k] - rest, 0) / normal[:, k, k]
    return size


def _sum(size: FloatArray, shower: FloatArray) -> FloatArray:
    return (size[:, :, None] * shower).sum(axis=1)


def _as_peaks(size: FloatArray, place: FloatArray) -> FloatArray:
    """Peaks by falling energy; those left out lie on the first."""
    order = np.argsort(-size, axis=1, kind="stable")
    size = np.take_along_axis(size, order, axis=1)
    place = np.take_along_axis(place, order[:, :, None], axis=1)
    share = size / np.maximum(size[:, :1], 1e-6)
    absent = share < np.exp(ABSENT)
    place = np.where(absent[:, :, None], place[:, :1], place)
    with np.errstate(divide="ignore"):
        logs = np.where(absent, ABSENT, np.log(share))
    each = np.concatenate([logs[:, :, None], place], axis=2).reshape(len(size), -1)
    return np.concatenate([each, np.zeros((len(size), 1))], axis=1).astype(np.float32)
