"""DetIds: every cell of the detector to its DetId and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.detector.detid import (
    eb_cells,
    eb_detid,
    ee_cells,
    ee_detid,
    hbhe_cell_towers,
    hbhe_detid,
    hbhe_image_cells,
    hbhe_towers,
)
from data.detector.geometry import EB_ETA, EB_PHI, EE_VALID, N_EB

EE_CELLS = np.flatnonzero(np.stack([EE_VALID, EE_VALID]).ravel())


def test_known_detids() -> None:
    """From a public event display: a hit at eta -0.0117392, phi 2.01642 (ieta -1, iphi 126)."""
    cell = eb_cells([838861438]).cell[0]
    assert cell == 84 * 360 + 125
    assert abs(EB_ETA[cell // 360] + 0.0117392) < 1e-4
    assert abs(EB_PHI[cell % 360] - 2.01642) < 3e-3
    assert eb_detid([85 * 360 + 59])[0] == (3 << 28) | (1 << 25) | (1 << 16) | (1 << 9) | 60


def test_every_barrel_crystal_and_back() -> None:
    cells = np.arange(N_EB)
    back = eb_cells(eb_detid(cells))
    assert back.valid.all()
    np.testing.assert_array_equal(back.cell, cells)


def test_every_endcap_crystal_and_back() -> None:
    assert len(EE_CELLS) == 2 * 7324
    back = ee_cells(ee_detid(EE_CELLS))
    assert back.valid.all()
    np.testing.assert_array_equal(back.cell, EE_CELLS)
    every = ee_cells(ee_detid(np.arange(20000)))
    assert every.valid.sum() == 2 * 7324


def test_signed_numbers_are_the_same_detids() -> None:
    cells = np.arange(0, N_EB, 97)
    signed = eb_detid(cells).astype(np.uint32).astype(np.int32)
    np.testing.assert_array_equal(eb_cells(signed).cell, cells)


def test_negative_numbers_are_masked() -> None:
    bits = np.array([(3 << 28) | (1 << 25) | (1 << 9) | 1])
    np.testing.assert_array_equal(eb_cells(bits - 2**32).cell, eb_cells(bits).cell)


@given(arrays(np.int64, 20, elements=st.integers(-(2**31), 2**32 - 1)))
def test_any_number_is_a_cell_or_refused(detid: np.ndarray) -> None:
    for cells, to_detid, size in ((eb_cells, eb_detid, N_EB), (ee_cells, ee_detid, 20000)):
        found = cells(detid)
        assert (found.cell[~found.valid] == -1).all()
        good = found.cell[found.valid]
        assert ((good >= 0) & (good < size)).all()
        np.testing.assert_array_equal(cells(to_detid(good)).cell, good)
    cell, energy, hit = hbhe_image_cells(detid, np.ones(20))
    assert ((cell >= 0) & (cell < 56 * 72)).all()
    assert hit.size == 0 or hit.max() < 20
    np.testing.assert_allclose(energy.sum(), hbhe_towers(detid).valid.sum())


@pytest.mark.parametrize(("ieta", "row"), [(1, 28), (16, 43), (-1, 27), (-16, 12), (28, 55)])
def test_hbhe_rows(ieta: int, row: int) -> None:
    cell, _, _ = hbhe_image_cells(hbhe_detid(ieta, 5, 1)[None], [4.0])
    assert set(cell // 72) == {row}


def test_narrow_tower_is_one_cell_and_wide_tower_two() -> None:
    cell, energy, _ = hbhe_image_cells(hbhe_detid([20, 21], [71, 71], [1, 2]), [4.0, 6.0])
    narrow, wide = cell // 72 == 47, cell // 72 == 48
    assert cell[narrow] % 72 == 0  # (71 + 1) % 72
    assert energy[narrow] == 4.0
    assert sorted(cell[wide] % 72) == [0, 1]
    assert list(energy[wide]) == [3.0, 3.0]


def test_every_tower_and_back() -> None:
    """Each cell of the 56 x 72 image is filled by the DetId of its tower, and by no other."""
    cells = np.arange(56 * 72)
    ieta, iphi = hbhe_cell_towers(cells)
    filled, energy, hit = hbhe_image_cells(hbhe_detid(ieta, iphi, 1), np.ones(len(cells)))
    wide = np.abs(ieta) > 20
    np.testing.assert_array_equal(np.bincount(hit), np.where(wide, 2, 1))
    assert (cells[hit] // 72 == filled // 72).all()
    image = np.bincount(filled, weights=energy)
    # Both cells of a wide tower name it: its two halves are counted twice.
    np.testing.assert_array_equal(image, np.ones(len(cells)))
    np.testing.assert_array_equal(filled[~wide[hit]], cells[~wide])
    for cell in (48 * 72 + 4, 48 * 72 + 5):
        assert set(filled[hit == cell]) == {48 * 72 + 4, 48 * 72 + 5}


def test_ring_29_counts_as_28() -> None:
    cell, energy, _ = hbhe_image_cells(hbhe_detid([29, -29], [3, 3], [1, 1]), [2.0, 2.0])
    assert set(cell // 72) == {55, 0}
    assert energy.sum() == 4.0


def test_new_hcal_layout() -> None:
    old = hbhe_detid([-7, 19], [33, 12], [2, 3])
    ieta, iphi, depth = np.array([-7, 19]), np.array([33, 12]), np.array([2, 3])
    head = old & 0xFE000000
    side = (ieta > 0).astype(np.int64)
    new = head | (1 << 24) | (depth << 20) | (side << 19) | (np.abs(ieta) << 10) | iphi
    for name in ("ieta", "iphi", "depth", "valid"):
        np.testing.assert_array_equal(
            getattr(hbhe_towers(new), name), getattr(hbhe_towers(old), name)
        )
