"""Hits round photons: sparse windows in crystals, aligned over tracks, ECAL and HCAL.

The barrel's three channels share one grid of 170 x 360 crystals: tracks are stored at crystals,
and an HCAL tower is spread evenly over the 5 x 5 crystals in front of it, its energy conserved.
Rows beyond the barrel's ends hold nothing; phi wraps round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from data.batch import Hits

IMAGE_CHANNELS = ("TRK", "EB", "HBHE")  # order of the three image channels
ROWS, COLUMNS = 170, 360
TOWER = 5  # crystals per side of an HCAL tower
_FIRST_TRACK_ROW = 55  # of the barrel in the stitched 280 x 360 image
_FIRST_TOWER_ROW = 11  # of the barrel in the 56 x 72 image
_BARREL_TOWER_ROWS = 34

IntArray = NDArray[np.int64]


@dataclass
class WindowHits:
    """Hits of one channel within a square window round each photon.

    Attributes
    ----------
    photon
        (M,) index of the photon: 2 * event + slot.
    du, dv
        (M,) rows and columns from the photon's seed crystal; of an HCAL tower, from the seed to
        the tower's lowest crystal.
    energy
        (M,) float32 in GeV as reconstructed; for tracks the transverse momentum.
    size
        Crystals per side of a cell: 1, or 5 for HCAL towers.
    """

    photon: IntArray
    du: IntArray
    dv: IntArray
    energy: NDArray[np.float32]
    size: int = 1

    def scaled(self, scale: NDArray[np.floating], cut: float) -> WindowHits:
        """Scale each photon's hits, then drop what lies below the cut.

        Parameters
        ----------
        scale
            (2 N,) factor of each photon; hits of photons without a finite one are dropped.
        cut
            Threshold on the scaled energy in GeV.

        Notes
        -----
        The order matters: scaling alone moves the zero-suppression floor with the scale, and
        the lowest hits of an event then tell its mass. A cut after scaling, above the floor of
        every event, leaves no such edge.
        """
        energy = self.energy * scale[self.photon].astype(np.float32)
        keep = energy >= cut  # False for NaN
        return WindowHits(self.photon[keep], self.du[keep], self.dv[keep], energy[keep], self.size)

    def spread(self, half: int) -> WindowHits:
        """One entry per crystal: towers divided evenly over theirs, trimmed to the window."""
        if self.size == 1:
            return self
        steps = np.arange(self.size)
        du = np.repeat(self.du[:, None] + steps, self.size, axis=1)
        dv = np.tile(self.dv[:, None] + steps, (1, self.size))
        inside = (np.abs(du) <= half) & (np.abs(dv) <= half)
        shape = du.shape
        share = self.energy / np.float32(self.size**2)
        return WindowHits(
            np.broadcast_to(self.photon[:, None], shape)[inside],
            du[inside],
            dv[inside],
            np.broadcast_to(share[:, None], shape)[inside],
        )


def window_hits(
    channel: str,
    hits: Hits,
    seed: NDArray[np.integer],
    half: int,
    shift: NDArray[np.integer] | None = None,
) -> WindowHits:
    """Hits of one channel within `half` crystals of each photon's seed.

    Parameters
    ----------
    channel
        TRK, EB or HBHE; decides how a cell becomes a row and a column of crystals.
    hits
        Hits of N events.
    seed
        (N, 2) flat EB cells of the photons' seeds; -1 for no photon.
    half
        Half width of the window: it has 2 * half + 1 crystals per side.
    shift
        (N, 2) rows by which the hits are moved before they are looked at from each photon.
    """
    row, column, inside = _grid(channel, hits)
    size = TOWER if channel == "HBHE" else 1
    event = hits.event[inside]
    row, column, energy = row[inside], column[inside], hits.energy[inside]
    parts = []
    for slot in (0, 1):
        cell = seed[:, slot].astype(np.int64)[event]
        du = row - cell // COLUMNS
        if shift is not None:
            du = du + shift[:, slot][event]
        dv = (column - cell % COLUMNS + COLUMNS // 2) % COLUMNS - COLUMNS // 2
        near = (cell >= 0) & _overlaps(du, size, half) & _overlaps(dv, size, half)
        parts.append((2 * event[near] + slot, du[near], dv[near], energy[near]))
    photon, du, dv, energy = (np.concatenate([part[i] for part in parts]) for i in range(4))
    rows = WindowHits(photon, du, dv, energy, size)
    return _last_of_cell(rows) if channel == "EB" else _sum_of_cell(rows)


def _keys(hits: WindowHits) -> IntArray:
    span = 2 * COLUMNS  # wider than any window
    return (hits.photon * span + hits.du + COLUMNS) * span + hits.dv + COLUMNS


def _last_of_cell(hits: WindowHits) -> WindowHits:
    """Of a crystal's repeated hits the last counts, as in the clustering."""
    _, backwards = np.unique(_keys(hits)[::-1], return_index=True)
    last = len(hits.photon) - 1 - backwards
    return WindowHits(hits.photon[last], hits.du[last], hits.dv[last], hits.energy[last], hits.size)


def _sum_of_cell(hits: WindowHits) -> WindowHits:
    """Depths of a tower, and tracks at a crystal, are summed before any cut."""
    _, first, inverse = np.unique(_keys(hits), return_index=True, return_inverse=True)
    total = np.bincount(inverse, weights=hits.energy, minlength=len(first)).astype(np.float32)
    return WindowHits(hits.photon[first], hits.du[first], hits.dv[first], total, hits.size)


def _overlaps(first: IntArray, size: int, half: int) -> NDArray[np.bool_]:
    return (first <= half) & (first + size - 1 >= -half)


def _grid(channel: str, hits: Hits) -> tuple[IntArray, IntArray, NDArray[np.bool_]]:
    """Row and column of each hit's (lowest) crystal, and whether it is in the barrel."""
    cell = hits.cell.astype(np.int64)
    positive = hits.energy > 0
    if channel == "HBHE":
        row, column = cell // 72 - _FIRST_TOWER_ROW, cell % 72
        inside = (row >= 0) & (row < _BARREL_TOWER_ROWS) & positive
        return row * TOWER, column * TOWER, inside
    row, column = cell // COLUMNS, cell % COLUMNS
    if channel == "TRK":
        row = row - _FIRST_TRACK_ROW
    return row, column, (row >= 0) & (row < ROWS) & positive
