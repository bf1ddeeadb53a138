"""Pixels of the calorimeter images: where a hit lies in each geometry, and what it counts there.

Every component is taken at the hit's own cell, before cells are joined: E_T = E / cosh(eta) and
E_z = E tanh(eta) with eta of the cell's centre seen from the origin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits
from data.detector.geometry import (
    EB_ETA,
    ECAL_SHAPE,
    EE_ETA,
    EE_TO_ECAL,
    EE_TO_HBHE,
    HBHE_ETA,
    N_HBHE,
    eb_to_hbhe,
)
from data.detector.pixels import Filler, IntArray, Pixels, joined

FIRST_EB_CELL = 55 * 360  # of the stitched image
FIRST_EB_TOWER = 11 * 72  # of the towers behind the barrel's crystals
N_TOWERS_EB = 34 * 72
N_EE_SIDE = 10000
_MORE_THAN_CELLS = 1 << 20  # than any image has

_CELL_ETA = {
    "EB": np.repeat(EB_ETA, 360),
    "EE": np.nan_to_num(EE_ETA).ravel(),
    "HBHE": np.repeat(HBHE_ETA, 72),
}
_SHARE = {  # of the energy, by component, detector and cell
    "energy": {name: np.ones_like(eta) for name, eta in _CELL_ETA.items()},
    "ET": {name: 1 / np.cosh(eta) for name, eta in _CELL_ETA.items()},
    "EZ": {name: np.tanh(eta) for name, eta in _CELL_ETA.items()},
}
Place = Callable[[IntArray], IntArray]
Places = Mapping[str, Place | None]  # by detector; None: the hit's own cell


def hits_of(detector: str, component: str, place: Place | None = None) -> Filler:
    """Hits of EB, EE or HBHE at the cells that `place` puts them, with one of the components."""
    share = _SHARE[component][detector]

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        found = hits[detector]
        cell = found.cell.astype(np.int64)
        value = found.energy if component == "energy" else found.energy * share[cell]
        return Pixels(found.event, cell if place is None else place(cell), value)

    return fill


def time_of(places: Places) -> Filler:
    """Mean time in ns of the hits in each pixel, weighted by energy; hits without one left out."""

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        parts = [_timed(hits[detector], place) for detector, place in places.items()]
        event, cell, energy, time = (np.concatenate(column) for column in zip(*parts, strict=True))
        _, inverse = np.unique(event * _MORE_THAN_CELLS + cell, return_inverse=True)
        total = np.bincount(inverse, weights=energy)[inverse]
        return Pixels(event, cell, time * energy / total)

    return fill


def _timed(hits: Hits, place: Place | None) -> tuple[IntArray, IntArray, NDArray, NDArray]:
    """Event, cell, energy and time of the hits that have a time."""
    time = np.zeros(len(hits.cell)) if hits.time is None else hits.time.astype(np.float64)
    cell = hits.cell.astype(np.int64)
    cell = cell if place is None else place(cell)
    good = np.isfinite(time) & (hits.energy > 0)
    return hits.event[good], cell[good], hits.energy[good].astype(np.float64), time[good]


def in_ecal(detector: str) -> Place:
    """Cells of the stitched image."""
    if detector == "EB":
        return lambda cell: cell + FIRST_EB_CELL
    return lambda cell: EE_TO_ECAL[cell]


def on_side(side: int) -> Place:
    """Cells of one endcap; the other's are outside."""
    return lambda cell: np.where(cell // N_EE_SIDE == side, cell % N_EE_SIDE, -1)


def ecal(component: str) -> Filler:
    """The stitched image."""
    return joined(*(hits_of(name, component, in_ecal(name)) for name in ("EB", "EE")))


def ecal_resampled(component: str) -> Filler:
    """The stitched image with the endcaps' bins summed 2 x 2 and spread back evenly."""
    return joined(
        hits_of("EB", component, in_ecal("EB")), _resampled(hits_of("EE", component, in_ecal("EE")))
    )


def _resampled(endcaps: Filler) -> Filler:
    """Pairs of rows are counted from the barrel outwards; the outermost row is left alone.

    The authors' code pads the 55 rows of an endcap with an empty 56th, which then takes half of the
    outermost row's energy out of the image; here that row shares with itself, so that none is lost.
    """
    last = ECAL_SHAPE[0] - 1

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        event, cell, value = endcaps(hits)
        event, cell, value = event[cell >= 0], cell[cell >= 0], value[cell >= 0]
        row, column = cell // 360, cell % 360
        partner = np.where(row % 2 == 1, row + 1, row - 1)
        partner = np.where((row == 0) | (row == last), row, partner)
        rows = np.stack([row, row, partner, partner], axis=1)
        columns = np.stack([column, column ^ 1] * 2, axis=1)
        cells = rows * 360 + columns
        return Pixels(np.repeat(event, 4), cells.ravel(), np.repeat(value / 4, 4))

    return fill


def towers(component: str) -> Filler:
    """HBHE as it is."""
    return hits_of("HBHE", component)


def towers_behind_eb(component: str) -> Filler:
    """Rows 11 to 44 of HBHE."""

    def place(cell: IntArray) -> IntArray:
        row = cell - FIRST_EB_TOWER
        return np.where((row >= 0) & (row < N_TOWERS_EB), row, -1)

    return hits_of("HBHE", component, place)


def ecal_in_towers(component: str) -> Filler:
    """ECAL crystals in front of each tower."""
    return joined(
        hits_of("EB", component, lambda cell: eb_to_hbhe(cell)),
        hits_of("EE", component, lambda cell: EE_TO_HBHE[cell]),
    )


def _crystals_of_towers() -> tuple[IntArray, IntArray]:
    """EE cells ordered by tower, and the (N_HBHE + 1,) offsets of each tower's."""
    cells = np.flatnonzero(EE_TO_HBHE >= 0)
    cells = cells[np.argsort(EE_TO_HBHE[cells], kind="stable")]
    counts = np.bincount(EE_TO_HBHE[cells], minlength=N_HBHE)
    return cells, np.concatenate([[0], np.cumsum(counts)])


_CRYSTALS, _FIRST_CRYSTAL = _crystals_of_towers()


def towers_at_ee(component: str, side: int) -> Filler:
    """Towers in front of no barrel crystal, shared evenly by the endcap crystals they cover."""
    to_side = on_side(side)

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        event, tower, value = towers(component)(hits)
        count = np.diff(_FIRST_CRYSTAL)[tower]
        first = np.repeat(_FIRST_CRYSTAL[tower] - (np.cumsum(count) - count), count)
        cell = _CRYSTALS[first + np.arange(count.sum())]
        share = value / np.maximum(count, 1)
        return Pixels(np.repeat(event, count), to_side(cell), np.repeat(share, count))

    return fill
