"""What a shower at a hypothesis should look like, measured from photons themselves."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.faces.arrays import Array, namespace, on_device

FloatArray = NDArray[np.float32]

IMAGE = 7  # crystals per side of the residual image
_PATTERN = IMAGE + 2  # one crystal more on each side: the hypothesis may leave the seed
_CELLS = 16  # impact points per crystal and direction
_REACH = 1.25  # crystals from the seed's centre that the table covers
_WIDTH = 0.08  # of the smoothing kernel, crystals
_CHUNK = 8192


class ShowerTemplate:
    """Mean energy shares of the crystals round a seed, by impact point.

    The shares are averages over photons near the impact point that the reconstruction gave them:
    no photon's truth enters, and real photons can be used as well as simulated ones.

    Parameters
    ----------
    table
        (N * N, 49) shares of the 7x7 crystals round the seed; row a * N + b is an impact
        ((a, b) + 0.5) / 16 - 1.25 crystals from the seed's centre, N = 40.
    """

    def __init__(self, table: FloatArray) -> None:
        self.table: Array = np.ascontiguousarray(table, dtype=np.float32)
        self._side = round(2 * _REACH * _CELLS)
        if self.table.shape != (self._side**2, IMAGE**2):
            raise ValueError(f"a shower table of shape {self.table.shape} cannot be used")

    def to(self, device: Any) -> ShowerTemplate:
        """The same template as a tensor on a device."""
        moved = copy(self)
        moved.table = on_device(self.table, device)
        return moved

    @classmethod
    def fit(cls, shares: FloatArray, offset: FloatArray) -> ShowerTemplate:
        """Average photons' crystal shares in a narrow kernel round each impact point.

        Parameters
        ----------
        shares
            (n, 11, 11) crystal energies round the seed over the standard energy.
        offset
            (n, 2) reconstructed impact relative to the seed's centre, crystals.
        """
        edge = (shares.shape[1] - _PATTERN) // 2
        pattern = shares[:, edge : edge + _PATTERN, edge : edge + _PATTERN]
        pattern = pattern.reshape(len(shares), -1).astype(np.float64)
        centre = (np.arange(_CELLS) + 0.5) / _CELLS - 0.5
        total = np.zeros((_CELLS**2, _PATTERN**2))
        weight = np.zeros((_CELLS**2, 1))
        for start in range(0, len(pattern), _CHUNK):
            part = slice(start, start + _CHUNK)
            kernel = _kernel(centre, offset[part])
            total += kernel.T @ pattern[part]
            weight += kernel.sum(axis=0)[:, None]
        mean = (total / weight).reshape(_CELLS, _CELLS, _PATTERN, _PATTERN)
        # A shower and its mirror image in phi are equally likely.
        mean = (mean + mean[:, ::-1, :, ::-1]) / 2
        return cls(_shifted(mean))

    def rows(self, offset: FloatArray) -> NDArray[np.int64]:
        """(n,) table rows of impacts relative to the seed's centre, clipped to its reach."""
        xp = namespace(offset)
        place = xp.clip((offset + _REACH) * _CELLS, 0, self._side - 1)
        cell = xp.asarray(place, dtype=xp.int64)
        return cell[:, 0] * self._side + cell[:, 1]

    def expected(self, offset: FloatArray) -> FloatArray:
        """(n, 49) expected shares of the 7x7 crystals round the seed."""
        return self.table[self.rows(offset)]


def residual_image(
    observed: FloatArray, expected: FloatArray, log_energy: FloatArray
) -> FloatArray:
    """Observed minus expected shower, on a scale on which small differences stay visible.

    Parameters
    ----------
    observed, expected
        (n, 49) shares of the standard energy.
    log_energy
        (n,) change of the log energy of the hypothesis from the standard reconstruction.

    Returns
    -------
    ndarray
        (n, 49): sign(r) log(1 + 200 |r|) / 2; 1 per cent of the energy gives 0.55.
    """
    xp = namespace(observed)
    residual = observed - xp.exp(log_energy)[:, None] * expected
    # In place: fresh memory for every step of the formula would cost more than the formula.
    size = xp.abs(residual)
    size *= 200.0
    xp.log1p(size, out=size)
    size *= 0.5
    return xp.copysign(size, residual, out=size)


def _kernel(centre: NDArray[np.float64], offset: FloatArray) -> NDArray[np.float64]:
    """(n, 256) weights of photons at the impact points of one crystal."""
    along_u, along_v = (
        np.exp(-0.5 * ((offset[:, axis, None] - centre[None, :]) / _WIDTH) ** 2) for axis in (0, 1)
    )
    # The floor lends every photon to impact points that none is near.
    return (along_u[:, :, None] * along_v[:, None, :] + 1e-6).reshape(len(offset), -1)


def _shifted(mean: NDArray[np.float64]) -> FloatArray:
    """Extend the table of one crystal to impacts in its neighbours, by moving the pattern."""
    steps = (np.arange(round(2 * _REACH * _CELLS)) + 0.5) / _CELLS - _REACH
    crystal = np.round(steps).astype(np.int64)
    inside = np.floor((steps - crystal + 0.5) * _CELLS).astype(np.int64)
    window = np.arange(IMAGE)
    rows = (1 - crystal)[:, None] + window[None, :]
    table = mean[
        inside[:, None, None, None],
        inside[None, :, None, None],
        rows[:, None, :, None],
        rows[None, :, None, :],
    ]
    return table.reshape(len(steps) ** 2, IMAGE**2).astype(np.float32)
