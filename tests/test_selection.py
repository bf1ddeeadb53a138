"""Selections of the paper, on made-up photons."""

from __future__ import annotations

from collections import Counter
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.kinematics import delta_phi, diphoton_mass
from data.selection import Pairs, Photons, pair_mass, select

GOOD = {"r9": 0.95, "sigma_ieta_ieta": 0.009, "h_over_e": 0.01, "pixel_seed": False}


def photons(*events: list[dict[str, Any]]) -> Photons:
    """Photons of events given as lists of {pt, eta, phi, ...}."""
    filled = [
        [{**GOOD, **p, "energy": p["pt"] * float(np.cosh(p["eta"]))} for p in event]
        for event in events
    ]
    return Photons.from_source(ak.Array(filled))


def pair(pt: float = 60.0, pt2: float = 50.0, **changes: Any) -> list[dict[str, Any]]:
    """Back to back, m = 2 sqrt(pt pt2) = 109.5 GeV by default; changes are of the second."""
    return [{"pt": pt, "eta": 0.1, "phi": 0.0}, {"pt": pt2, "eta": 0.1, "phi": np.pi, **changes}]


def run(name: Any, *events: list[dict[str, Any]]) -> tuple[Pairs, Photons, Counter[str]]:
    found = photons(*events)
    warnings: Counter[str] = Counter()
    everywhere = np.full(len(found.pt), True)
    return select(found, len(events), name, everywhere, warnings), found, warnings


@given(st.floats(1, 500), st.floats(1, 500), st.floats(-2, 2), st.floats(-2, 2), st.floats(-3, 3))
@settings(max_examples=50)
def test_mass_is_that_of_the_four_vectors(
    pt1: float, pt2: float, eta1: float, eta2: float, dphi: float
) -> None:
    pt, eta, phi = np.array([pt1, pt2]), np.array([eta1, eta2]), np.array([0.0, dphi])
    energy, pz = (pt * np.cosh(eta)).sum(), (pt * np.sinh(eta)).sum()
    px, py = (pt * np.cos(phi)).sum(), (pt * np.sin(phi)).sum()
    square = energy**2 - px**2 - py**2 - pz**2
    mass = float(diphoton_mass(pt, eta, phi))
    np.testing.assert_allclose(mass**2, square, atol=1e-6 * energy**2)


@given(st.floats(-50, 50), st.floats(-50, 50))
def test_delta_phi_is_the_short_way_round(a: float, b: float) -> None:
    difference = float(delta_phi(a, b))
    assert -np.pi <= difference < np.pi + 1e-12
    assert abs(np.cos(difference) - np.cos(a - b)) < 1e-9


@pytest.mark.parametrize(
    ("event", "passes"),
    [
        (pair(), True),
        (pair()[::-1], True),  # the order in the file counts for nothing
        (pair(pt=45, pt2=44), False),  # m = 89 < 90
        (pair(pt=45.1, pt2=45), True),
        (pair(pt=120, pt2=19.9), False),
        (pair(eta=1.45), False),
        (pair(pt=200, pt2=25), False),  # pt2 < m/4 = 35
        (pair()[:1], False),
        ([], False),
        ([*pair(), {"pt": 25, "eta": 1.0, "phi": 1.0}], False),  # exactly two
        ([*pair(), {"pt": 25, "eta": 2.0, "phi": 1.0}], True),
        ([*pair(), {"pt": 15, "eta": 1.0, "phi": 1.0}], True),
        (pair(r9=0.1, pixel_seed=True), True),
    ],
)
def test_diphoton2012(event: list[dict[str, Any]], passes: bool) -> None:
    pairs, _, _ = run("diphoton2012", event, pair())
    assert pairs.passes.tolist() == [passes, True]


@pytest.mark.parametrize(
    ("event", "passes"),
    [
        (pair(), True),
        (pair(pt=150, pt2=18.5), False),
        (pair(r9=0.49), False),
        (pair(h_over_e=0.08), False),
        (pair(sigma_ieta_ieta=0.011), False),
        (pair(pixel_seed=True), False),
        (pair(r9=float("nan")), False),
        ([*pair(), {"pt": 60, "eta": 1.0, "phi": 1.0, "r9": 0.2}], True),
        ([*pair(), {"pt": 19, "eta": 1.0, "phi": 1.0}], False),
    ],
)
def test_diphoton2012_id(event: list[dict[str, Any]], passes: bool) -> None:
    pairs, _, warnings = run("diphoton2012_id", event)
    assert pairs.passes.tolist() == [passes]
    assert not warnings


def test_leading_pt_cuts() -> None:
    """Both pt >= m/4 but the leading one below m/3: possible only with a wide opening in eta."""
    wide = [{"pt": 50, "eta": 1.2, "phi": 0.0}, {"pt": 49, "eta": -1.2, "phi": np.pi}]
    pairs, found, _ = run("diphoton2012", wide)
    mass = pair_mass(found, pairs.row)[0]
    assert 50 < mass / 3 < 200 / 3
    assert not pairs.passes[0]


def test_a_quantity_that_the_source_lacks_is_not_cut_on_and_said() -> None:
    found = photons(pair(), pair())
    found.pixel_seed = None
    warnings: Counter[str] = Counter()
    pairs = select(found, 2, "diphoton2012_id", np.full(4, True), warnings)
    assert pairs.passes.all()
    assert warnings == {"selection: the source has no pixel_seed, photons not cut on it": 4}


def test_none_shows_the_candidates_of_2012_or_the_two_leading() -> None:
    forward = {"pt": 200.0, "eta": 2.0, "phi": 1.0}
    third = {"pt": 30.0, "eta": 0.5, "phi": 1.0}
    pairs, found, _ = run("none", [*pair(), forward], [*pair(), forward, third], pair()[:1], [])
    assert found.pt[pairs.row[0]].tolist() == [60.0, 50.0]
    assert found.pt[pairs.row[1]].tolist() == [200.0, 60.0]
    assert pairs.row[2, 1] == -1
    assert pairs.row[3].tolist() == [-1, -1]
    assert pairs.passes.tolist() == [True, False, False, False]
    assert np.isnan(pair_mass(found, pairs.row)[2:]).all()


def test_pair_needs_two_clustered_photons() -> None:
    found = photons([*pair(), {"pt": 30.0, "eta": 0.5, "phi": 1.0}], pair())
    clustered = np.array([False, True, True, True, False])
    pairs = select(found, 2, "pair", clustered, Counter())
    assert found.pt[pairs.row[0]].tolist() == [50.0, 30.0]
    assert pairs.passes.tolist() == [True, False]


def test_photons_that_are_not_finite_are_left_out() -> None:
    found = photons([*pair(), {"pt": float("nan"), "eta": 0.0, "phi": 0.0}])
    assert found.pt.tolist() == [60.0, 50.0]


def test_no_photons_at_all() -> None:
    empty = np.zeros(0)
    found = Photons(empty.astype(int), empty, empty, empty, empty)
    pairs = select(found, 3, "diphoton2012", empty.astype(bool), Counter())
    assert pairs.row.tolist() == [[-1, -1]] * 3
    assert not pairs.passes.any()
