"""Peaks off the grid: a least-squares fit of their shares, places and width to the crystals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.profile.finder import squared_errors
from envs.profile.peaks import N_PEAKS, NAMES, draw_crystals

FloatArray = NDArray[np.float32]

#: How far the fit may be expected to go, by column: the deviations of its prior.
PRIOR = np.array([*([0.7, 0.1, 0.2] * N_PEAKS), 0.1], dtype=np.float32)
_DIFFERENCE = np.array([*([0.1, 0.03, 0.03] * N_PEAKS), 0.05], dtype=np.float32)
_ITERATIONS = 4
_AT_A_TIME = 2048


def fit_peaks(energy: FloatArray, start: FloatArray) -> FloatArray:
    """Fit peaks to crystals, from those of the finder.

    Gauss-Newton steps on chi-squared, with a Gaussian prior about the start that holds what the
    crystals leave open, such as the place of a peak without energy.

    Parameters
    ----------
    energy
        (n, 5, 11) crystals, GeV.
    start
        (n, 10) peaks, columns as in `peaks.NAMES`.
    """
    parts = [
        _fit(energy[first : first + _AT_A_TIME], start[first : first + _AT_A_TIME])
        for first in range(0, len(energy), _AT_A_TIME)
    ]
    return np.concatenate([start[:0], *parts])


def _fit(energy: FloatArray, start: FloatArray) -> FloatArray:
    flat = energy.reshape(len(energy), -1)
    total = flat.sum(axis=1, keepdims=True)
    observed = flat / total
    error = np.sqrt(squared_errors(flat)) / total
    peaks = start.copy()
    for _ in range(_ITERATIONS):
        left = (observed - _drawn(peaks)) / error
        slope = np.stack([_slope(peaks, k) / error for k in range(len(NAMES))], axis=2)
        normal = slope.transpose(0, 2, 1) @ slope + np.diag(1 / PRIOR**2)
        right = (slope.transpose(0, 2, 1) @ left[:, :, None])[..., 0] + (start - peaks) / PRIOR**2
        step = np.linalg.solve(normal.astype(np.float64), right[:, :, None].astype(np.float64))
        peaks = peaks + step[..., 0].clip(-2 * PRIOR, 2 * PRIOR).astype(np.float32)
    return peaks


def _drawn(peaks: FloatArray) -> FloatArray:
    return draw_crystals(peaks).reshape(len(peaks), -1)


def _slope(peaks: FloatArray, column: int) -> FloatArray:
    up, down = peaks.copy(), peaks.copy()
    up[:, column] += _DIFFERENCE[column]
    down[:, column] -= _DIFFERENCE[column]
    return (_drawn(up) - _drawn(down)) / (2 * _DIFFERENCE[column])
