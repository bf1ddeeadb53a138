"""Profiles made of a few showers: the peaks, drawn with the shower of a single photon.

The lateral density of an electromagnetic shower in the crystals (`data.simulation.profiles`) is a
sum of terms R² / (π (r² + R²)²), and each of them is a mixture of Gaussians: with t = R² / 2σ²,

    R² / (π (r² + R²)²) = ∫ exp(-t) dt N(r; σ)  over t from 0 to ∞.

On a grid of log σ the sum converges quickly, and Gaussians separate into eta and phi: a profile is
then a product of two small matrices, looked up in tables. Wider showers have other weights of the
same Gaussians. The density is what is known of the detector from electrons in a test beam; widths
here are relative to its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from data.simulation import profiles
from data.simulation.shower_profile import CRYSTALS, FINE, SHAPE

FloatArray = NDArray[np.float32]

N_PEAKS = 3
#: Per peak: log share (up to a constant), u and v in crystals from the seed's centre.
PEAK_NAMES = ("log_share", "u", "v")
#: Columns of peaks (m, 10): those of each peak, and the log width of them all.
NAMES = (*(f"{name}_{k}" for k in range(N_PEAKS) for name in PEAK_NAMES), "log_width")

SIGMA = np.exp(np.linspace(np.log(0.06), np.log(10.0), 10))  # (10,) of the Gaussians, crystals
_LOG_STEP = float(np.log(SIGMA[1] / SIGMA[0]))
_PER_CRYSTAL = 200  # positions of the tables


def mixture_weights(log_width: NDArray[np.floating]) -> FloatArray:
    """(m, 10) weights of the Gaussians for showers of relative log widths (m,)."""
    squared = np.exp(2 * np.asarray(log_width, dtype=np.float64))[:, None]
    weights = np.zeros((len(squared), len(SIGMA)))
    for share, radius in profiles.EM:
        t = radius**2 * squared / (2 * SIGMA**2)
        weights += share * 2 * _LOG_STEP * t * np.exp(-t)
    return weights.astype(np.float32)


def edges(n_cells: int, size: float) -> NDArray[np.float64]:
    """(n + 1,) edges of cells of a size in crystals, their middle at 0."""
    return np.asarray((np.arange(n_cells + 1) - n_cells / 2) * size)


@dataclass(frozen=True)
class _Grid:
    """Tables for cells of one size: Gaussians' shares by position, (positions, 10, cells)."""

    along_u: FloatArray
    along_v: FloatArray

    @classmethod
    def of(cls, cells: tuple[int, int], size: float) -> _Grid:
        return cls(
            *(_table(n, size, n_crystals) for n, n_crystals in zip(cells, CRYSTALS, strict=True))
        )

    def draw(self, peaks: FloatArray) -> FloatArray:
        """(m, cells u, cells v), each of the sum 1."""
        m = len(peaks)
        each = peaks[:, :-1].reshape(m, N_PEAKS, len(PEAK_NAMES))
        weight = shares(peaks)[:, :, None] * mixture_weights(peaks[:, -1])[:, None, :]
        u = self.along_u[_position(each[:, :, 1], CRYSTALS[0])] * weight[..., None]
        v = self.along_v[_position(each[:, :, 2], CRYSTALS[1])]
        terms = N_PEAKS * len(SIGMA)
        drawn = np.matmul(u.reshape(m, terms, -1).transpose(0, 2, 1), v.reshape(m, terms, -1))
        return drawn / drawn.sum(axis=(1, 2), keepdims=True)


def _table(n_cells: int, size: float, crystals: int) -> FloatArray:
    where = (np.arange(crystals * _PER_CRYSTAL) + 0.5) / _PER_CRYSTAL - crystals / 2
    scaled = (edges(n_cells, size)[None, None, :] - where[:, None, None]) / SIGMA[None, :, None]
    return np.diff(ndtr(scaled), axis=2).astype(np.float32)


def _position(where: FloatArray, crystals: int) -> NDArray[np.int64]:
    place = ((where + crystals / 2) * _PER_CRYSTAL).astype(np.int64)
    return place.clip(0, crystals * _PER_CRYSTAL - 1)


_FINE = _Grid.of(SHAPE, 1 / FINE)
_COARSE = _Grid.of(CRYSTALS, 1.0)


def shares(peaks: FloatArray) -> FloatArray:
    """(m, 3) shares of the peaks, of the sum 1."""
    logs = peaks[:, 0 : len(NAMES) - 1 : len(PEAK_NAMES)]
    positive = np.exp(logs - logs.max(axis=1, keepdims=True))
    return positive / positive.sum(axis=1, keepdims=True)


def draw_profiles(peaks: FloatArray) -> FloatArray:
    """Profiles of peaks at a fifth of a crystal, (m, 25, 55), each of the sum 1."""
    return _FINE.draw(peaks)


def draw_crystals(peaks: FloatArray) -> FloatArray:
    """The same in whole crystals, (m, 5, 11)."""
    return _COARSE.draw(peaks)


def in_crystals(profile: FloatArray) -> FloatArray:
    """Sums of fine cells over crystals: (m, 25, 55) to (m, 5, 11)."""
    m = len(profile)
    return profile.reshape(m, CRYSTALS[0], FINE, CRYSTALS[1], FINE).sum(axis=(2, 4))
