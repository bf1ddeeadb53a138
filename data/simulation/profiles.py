"""Lateral shower profiles on the crystal lattice.

An electromagnetic shower has the density sum_k w_k R_k^2 / (pi (r^2 + R_k^2)^2) (r in crystals);
its integral over a rectangle is elementary, so the share of every crystal of a 7 x 7 window is
exact and tabulated on a grid of impact points inside the central crystal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WINDOW = 7
GRID = 32  # impact points per crystal side

#: Weight and radius in barrel crystals of an electromagnetic shower's components.
EM = ((0.85, 0.195), (0.15, 1.45))
EM_WIDTHS = (0.88, 1.0, 1.12)  # shower to shower
EE_CRYSTAL_RATIO = 0.77  # barrel crystal width / endcap crystal width
_HADRON = ((0.55, 0.6), (0.45, 1.8))
_MIP = ((1.0, 0.12),)

#: Row of a profile in the tables.
EM_FIRST, N_EM, HADRON, MIP = 0, len(EM_WIDTHS), 3, 4


def corner_integral(
    x: NDArray[np.float64], y: NDArray[np.float64], radius: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Integral of R^2 / (pi (r^2 + R^2)^2) over (0, x) x (0, y), odd in both."""
    a, b = np.hypot(x, radius), np.hypot(y, radius)
    return (x / a * np.arctan(y / a) + y / b * np.arctan(x / b)) / (2 * np.pi)


def shares(components: tuple[tuple[float, float], ...]) -> NDArray[np.float32]:
    """Energy share of the crystals round an impact, (GRID * GRID, WINDOW * WINDOW).

    Row ``a * GRID + b`` is an impact at ((a + 0.5) / GRID, (b + 0.5) / GRID) of the central one.
    """
    impact = (np.arange(GRID) + 0.5) / GRID - 0.5
    edge = np.arange(WINDOW + 1) - WINDOW / 2
    x = edge[None, None, :, None] - impact[:, None, None, None]
    y = edge[None, None, None, :] - impact[None, :, None, None]
    total = np.zeros((GRID, GRID, WINDOW, WINDOW))
    for weight, radius in components:
        corner = corner_integral(x, y, radius)
        total += weight * np.diff(np.diff(corner, axis=2), axis=3)
    return total.reshape(GRID * GRID, WINDOW * WINDOW).astype(np.float32)


def _tables(ratio: float) -> NDArray[np.float32]:
    profiles = [tuple((w, r * s * ratio) for w, r in EM) for s in EM_WIDTHS]
    profiles += [tuple((w, r * ratio) for w, r in p) for p in (_HADRON, _MIP)]
    return np.stack([shares(p) for p in profiles])


BARREL = _tables(1.0)  # (5, GRID**2, 49)
ENDCAP = _tables(EE_CRYSTAL_RATIO)


@dataclass
class Cells:
    """Energy in cells, unordered: event, flat cell and energy in GeV, all (M,)."""

    event: NDArray[np.int64]
    cell: NDArray[np.int64]
    energy: NDArray[np.float32]

    def take(self, rows: NDArray) -> Cells:
        """Some of the rows."""
        return Cells(self.event[rows], self.cell[rows], self.energy[rows])

    @classmethod
    def empty(cls) -> Cells:
        """No deposits."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def join(parts: list[Cells]) -> Cells:
    """Concatenate."""
    parts = parts or [Cells.empty()]
    return Cells(
        np.concatenate([p.event for p in parts]),
        np.concatenate([p.cell for p in parts]),
        np.concatenate([p.energy for p in parts]),
    )


def spread(
    tables: NDArray[np.float32],
    profile: NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    energy: NDArray[np.float64],
    floor: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Share showers among lattice cells.

    Parameters
    ----------
    tables : ``BARREL`` or ``ENDCAP``
    profile, x, y, energy : (n,) row of the table, impact in lattice units, energy in GeV
    floor : cells below this energy (GeV) are dropped

    Returns
    -------
    shower, column x, column y, energy : (M,) each; cells may lie outside the lattice
    """
    ix, iy = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    a = ((x - ix) * GRID).astype(np.int64)
    b = ((y - iy) * GRID).astype(np.int64)
    cell_energy = tables[profile, a * GRID + b] * energy[:, None].astype(np.float32)
    shower, k = np.nonzero(cell_energy > floor)
    half = WINDOW // 2
    return (
        shower,
        ix[shower] + k // WINDOW - half,
        iy[shower] + k % WINDOW - half,
        cell_energy[shower, k],
    )
