"""CMS DetIds to cells and back (bit layout measured on 400,000 hits of public CMS files)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.detector.geometry import EE_VALID

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

ECAL, HCAL = 3, 4
EB, EE, ES = 1, 2, 3
HB, HE, HO, HF = 1, 2, 3, 4


class Cells(NamedTuple):
    """Flat cell of each input DetId, -1 where the DetId is none of the wanted detector."""

    cell: IntArray
    valid: NDArray[np.bool_]


def _bits(detid: ArrayLike) -> IntArray:
    # Event displays print DetIds as signed 32-bit numbers.
    return np.asarray(detid).astype(np.int64) & 0xFFFFFFFF


def is_detector(detid: ArrayLike, detector: int, *subdetectors: int) -> NDArray[np.bool_]:
    """Whether a DetId belongs to one of the subdetectors."""
    head = _bits(detid) >> 25
    found = head == detector << 3 | subdetectors[0]
    for subdetector in subdetectors[1:]:
        found |= head == detector << 3 | subdetector
    return found


# A rechit's cell is looked up, not computed: a file has a thousand rechits an event.
_EB_BITS, _EE_BITS = 17, 15  # that vary within the detector; those above them are constant


def _eb_table() -> IntArray:
    bits = np.arange(1 << _EB_BITS)
    abs_ieta, iphi = bits >> 9 & 0x7F, bits & 0x1FF
    row = np.where(bits & 0x10000, abs_ieta + 84, 85 - abs_ieta)
    valid = (abs_ieta >= 1) & (abs_ieta <= 85) & (iphi >= 1) & (iphi <= 360)
    return np.where(valid, row * 360 + iphi - 1, -1)


def _ee_table() -> IntArray:
    bits = np.arange(1 << _EE_BITS)
    side, ix, iy = bits >> 14, bits >> 7 & 0x7F, bits & 0x7F
    valid = (ix >= 1) & (ix <= 100) & (iy >= 1) & (iy <= 100)
    valid &= EE_VALID[(iy - 1).clip(0, 99), (ix - 1).clip(0, 99)]
    return np.where(valid, side * 10000 + (iy - 1) * 100 + ix - 1, -1)


_EB_TABLE, _EE_TABLE = _eb_table(), _ee_table()


def _looked_up(detid: ArrayLike, subdetector: int, bits: int, table: IntArray) -> Cells:
    numbers = np.asarray(detid)
    if numbers.dtype != np.uint32:
        numbers = _bits(numbers).astype(np.uint32)
    head = np.uint32((ECAL << 28 | subdetector << 25) >> bits)
    cell = table[numbers & np.uint32((1 << bits) - 1)]
    cell[numbers >> np.uint32(bits) != head] = -1
    return Cells(cell, cell >= 0)


def eb_cells(detid: ArrayLike) -> Cells:
    """Flat EB cells of barrel DetIds; bits without a meaning must be 0."""
    return _looked_up(detid, EB, _EB_BITS, _EB_TABLE)


def eb_detid(cell: ArrayLike) -> IntArray:
    """DetIds of flat EB cells."""
    cell = np.asarray(cell, dtype=np.int64)
    row, iphi = cell // 360, cell % 360 + 1
    side = (row >= 85).astype(np.int64)
    abs_ieta = np.where(side, row - 84, 85 - row)
    return (ECAL << 28) | (EB << 25) | (side << 16) | (abs_ieta << 9) | iphi


def ee_cells(detid: ArrayLike) -> Cells:
    """Flat EE cells of endcap DetIds; bits without a meaning must be 0."""
    return _looked_up(detid, EE, _EE_BITS, _EE_TABLE)


def ee_detid(cell: ArrayLike) -> IntArray:
    """DetIds of flat EE cells."""
    cell = np.asarray(cell, dtype=np.int64)
    side, iy, ix = cell // 10000, cell % 10000 // 100 + 1, cell % 100 + 1
    return (ECAL << 28) | (EE << 25) | (side << 14) | (ix << 7) | iy


class Towers(NamedTuple):
    """HBHE tower numbers of DetIds, as (ieta, iphi, depth) with a validity flag."""

    ieta: IntArray
    iphi: IntArray
    depth: IntArray
    valid: NDArray[np.bool_]


def hbhe_towers(detid: ArrayLike) -> Towers:
    """ieta (signed), iphi and depth of HB and HE DetIds, old (bit 24 clear) or new layout."""
    bits = _bits(detid)
    new = (bits >> 24) & 1 == 1
    positive = np.where(new, (bits >> 19) & 1, (bits >> 13) & 1) == 1
    abs_ieta = np.where(new, (bits >> 10) & 0x1FF, (bits >> 7) & 0x3F)
    iphi = np.where(new, bits & 0x3FF, bits & 0x7F)
    depth = np.where(new, (bits >> 20) & 0xF, (bits >> 14) & 0x7)
    valid = is_detector(bits, HCAL, HB, HE)
    valid &= (abs_ieta >= 1) & (abs_ieta <= 29) & (iphi >= 1) & (iphi <= 72)
    return Towers(np.where(positive, abs_ieta, -abs_ieta), iphi, depth, valid)


def hbhe_detid(ieta: ArrayLike, iphi: ArrayLike, depth: ArrayLike) -> IntArray:
    """DetIds (old layout) of towers; |ieta| <= 16 belongs to HB, above it to HE."""
    ieta, iphi, depth = (np.asarray(a, dtype=np.int64) for a in (ieta, iphi, depth))
    subdetector = np.where(np.abs(ieta) <= 16, HB, HE)
    side = (ieta > 0).astype(np.int64)
    head = (HCAL << 28) | (subdetector << 25)
    return head | (depth << 14) | (side << 13) | (np.abs(ieta) << 7) | iphi


def hbhe_cell_towers(cell: ArrayLike) -> tuple[IntArray, IntArray]:
    """Signed ieta and iphi of the tower that fills a cell of the 56 x 72 image.

    Above |ieta| 20, where a tower fills two columns, iphi is the odd one of the pair; the last row
    is given as |ieta| 28, which holds 29 too.
    """
    row, column = np.divmod(np.asarray(cell, dtype=np.int64), 72)
    ieta = np.where(row >= 28, row - 27, row - 28)
    iphi = (column - 2) % 72 + 1
    return ieta, np.where(np.abs(ieta) > 20, (iphi - 1) // 2 * 2 + 1, iphi)


def hbhe_image_cells(detid: ArrayLike, energy: ArrayLike) -> tuple[IntArray, FloatArray, IntArray]:
    """Spread HBHE rechits over the cells of the 56 x 72 image.

    |ieta| 29 counts as 28. A tower with |ieta| > 20 is 10 degrees wide: half of its energy goes
    into each of the two columns it covers (the paper's ntuple does the same).

    Returns
    -------
    cell, energy, hit
        One row per filled cell: flat cell, energy in GeV, and index of the input hit. Invalid
        DetIds fill nothing.
    """
    towers = hbhe_towers(detid)
    energy = np.asarray(energy, dtype=np.float64)
    abs_ieta = np.minimum(np.abs(towers.ieta), 28)
    row = np.where(towers.ieta > 0, abs_ieta + 27, 28 - abs_ieta)
    column = (towers.iphi + 1) % 72
    wide = np.abs(towers.ieta) > 20
    hit = np.arange(len(energy))
    first = towers.valid
    second = towers.valid & wide
    share = np.where(wide, energy / 2, energy)
    cell = np.concatenate([(row * 72 + column)[first], (row * 72 + (column + 1) % 72)[second]])
    return (
        cell,
        np.concatenate([share[first], share[second]]),
        np.concatenate([hit[first], hit[second]]),
    )
