"""Crystal positions and cells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.detector import geometry as geo

eb_u = st.floats(0.001, 169.999)
angle = st.floats(-np.pi, np.pi, exclude_max=True)


@given(eb_u, st.floats(0, 359.999))
def test_crystal_coordinates_and_back(u: float, v: float) -> None:
    u_back, v_back = geo.eb_uv(*geo.eb_eta_phi(u, v))
    assert abs(u_back - u) < 1e-9
    assert abs((v_back - v + 180) % 360 - 180) < 1e-9


@given(eb_u, angle, st.integers(-360, 360))
def test_phi_rotation_moves_columns(u: float, phi: float, steps: int) -> None:
    eta, _ = geo.eb_eta_phi(u, 0.0)
    _, v = geo.eb_uv(eta, phi)
    _, turned = geo.eb_uv(eta, phi + np.deg2rad(steps))
    assert abs((turned - v - steps + 180) % 360 - 180) < 1e-6


@given(st.floats(-1.47, 1.47), angle)
def test_z_reflection_mirrors_rows(eta: float, phi: float) -> None:
    u, v = geo.eb_uv(eta, phi)
    mirrored, same = geo.eb_uv(-eta, phi)
    assert abs(mirrored - (170 - u)) < 1e-9
    assert same == v


def test_every_barrel_crystal_centre_lies_in_its_cell() -> None:
    cells = np.arange(geo.N_EB)
    eta, phi = geo.EB_ETA[cells // 360], geo.EB_PHI[cells % 360]
    np.testing.assert_array_equal(geo.eb_cell(eta, phi), cells)


def test_every_endcap_crystal_centre_lies_in_its_cell() -> None:
    iy, ix = np.nonzero(geo.EE_VALID)
    assert len(ix) == 7324
    for side in (0, 1):
        cell = geo.ee_cell_xy(geo.EE_X[iy, ix], geo.EE_Y[iy, ix], np.full(len(ix), 2 * side - 1))
        # Within 0.8 cm of the lattice: a few crystals at supercrystal edges are their neighbours.
        assert (cell == side * 10000 + iy * 100 + ix).mean() > 0.9
        assert (cell >= 0).mean() > 0.99


def test_every_stitched_cell_of_the_barrel_lies_in_row_plus_55() -> None:
    cells = np.arange(geo.N_EB)
    eta, phi = geo.EB_ETA[cells // 360], geo.EB_PHI[cells % 360]
    inside = np.abs(eta) < geo.ETA_EB_END
    stitched = geo.ecal_cell(eta, phi)
    np.testing.assert_array_equal(stitched[inside], cells[inside] + 55 * 360)


def test_endcap_rows_of_the_stitched_image() -> None:
    """EE- fills rows 0-54 and EE+ rows 225-279, the most forward ones outermost."""
    table = geo.EE_TO_ECAL.reshape(2, 100, 100)
    minus, plus = table[0][geo.EE_VALID], table[1][geo.EE_VALID]
    inside = minus >= 0  # |eta| < 3
    assert inside.mean() > 0.99
    assert (minus[inside] // 360 <= 54).all()
    assert (plus[inside] // 360 >= 225).all()
    np.testing.assert_array_equal(minus[inside] // 360, 279 - plus[inside] // 360)
    np.testing.assert_array_equal(minus % 360, plus % 360)


def test_towers_are_five_by_five_crystals() -> None:
    cells = np.arange(geo.N_EB)
    towers = geo.eb_to_hbhe(cells)
    assert set(np.bincount(towers)[np.unique(towers)]) == {25}
    eta, phi = geo.EB_ETA[cells // 360], geo.EB_PHI[cells % 360]
    # Crystal rows are not exactly a fifth of a tower: a few at tower edges lean over.
    assert (geo.hbhe_cell(eta, phi) == towers).mean() > 0.9


@given(st.floats(-1.4, 1.4), st.floats(-15, 15))
def test_vertex_and_detector_eta_are_inverse(eta: float, z: float) -> None:
    assert abs(geo.detector_eta(geo.vertex_eta(eta, z), z) - eta) < 1e-9


def test_directions_outside_have_no_cell() -> None:
    assert geo.eb_cell(1.6, 0.0) == -1
    assert geo.hbhe_cell(3.2, 0.0) == -1
    assert geo.ecal_cell(-3.2, 0.0) == -1
    assert geo.ee_cell_xy(0.0, 0.0, 1) == -1


def test_tables_agree_with_the_measured_files(real_data: Path) -> None:
    table = json.loads((real_data / "geometry" / "eb_eta_table.json").read_text())
    np.testing.assert_allclose(geo.EB_ETA[85:], table["abs_eta"], atol=1e-5)
    endcap = np.load(real_data / "geometry" / "geom_ee.npz")
    np.testing.assert_array_equal(endcap["valid"][1].astype(bool), geo.EE_VALID)
    np.testing.assert_allclose(endcap["eta"][1][geo.EE_VALID], geo.EE_ETA[1][geo.EE_VALID],
                               atol=1e-3)  # fmt: skip
