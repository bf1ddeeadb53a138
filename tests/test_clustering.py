"""The standard reconstruction: energies, positions, symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.batch import Hits, concatenate_hits
from data.detector.geometry import EB_ETA, eb_eta_phi, eb_to_hbhe, vertex_eta
from data.reconstruction import Clusters, find_photons
from data.reconstruction.clustering import CONTAINMENT_5X5

PROFILE = np.outer(*[np.array([0.01, 0.08, 0.82, 0.08, 0.01])] * 2)
row_ = st.integers(2, 167)
column_ = st.integers(0, 359)


def shower(row: int, column: int, energy: float) -> dict[int, float]:
    """A symmetric shower of a given 5x5 energy, round a crystal."""
    return {
        (row + i - 2) * 360 + (column + j - 2) % 360: energy * float(PROFILE[i, j] / PROFILE.sum())
        for i in range(5)
        for j in range(5)
    }


def hits(*events: dict[int, float]) -> Hits:
    cells = np.array([cell for event in events for cell in event], dtype=np.int64)
    energies = np.array([e for event in events for e in event.values()])
    index = np.repeat(np.arange(len(events)), [len(event) for event in events])
    return Hits.from_events(index, len(events), cells, energies)


def find(*events: dict[int, float], vertex_z: float = 0.0, hbhe: Hits | None = None) -> Clusters:
    return find_photons(hits(*events), hbhe, np.full(len(events), vertex_z))


@given(row_, column_, st.floats(60, 500), st.floats(-15, 15))
@settings(max_examples=40, deadline=None)
def test_one_shower(row: int, column: int, energy: float, z: float) -> None:
    clusters = find(shower(row, column, energy), vertex_z=z)
    assert len(clusters.event) == 1
    assert clusters.seed[0] == row * 360 + column
    np.testing.assert_allclose(clusters.e5x5, energy, rtol=1e-6)
    np.testing.assert_allclose(clusters.energy, energy / CONTAINMENT_5X5, rtol=1e-6)
    np.testing.assert_allclose([clusters.u[0], clusters.v[0]], [row + 0.5, column + 0.5], atol=1e-6)
    eta, phi = eb_eta_phi(row + 0.5, column + 0.5)
    np.testing.assert_allclose(clusters.eta, vertex_eta(eta, z), atol=1e-6)
    np.testing.assert_allclose(np.cos(clusters.phi - phi), 1, atol=1e-9)
    np.testing.assert_allclose(clusters.pt, clusters.energy / np.cosh(clusters.eta))
    np.testing.assert_allclose(clusters.r9, PROFILE[1:4, 1:4].sum() / PROFILE.sum(), rtol=1e-5)
    assert np.isnan(clusters.h_over_e).all()


@given(row_, column_, st.integers(1, 359), st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_phi_rotation(row: int, column: int, steps: int, seed: int) -> None:
    """Turning all hits by whole crystals turns the clusters and changes nothing else."""
    event = noisy(row, column, seed)
    turned = {cell // 360 * 360 + (cell % 360 + steps) % 360: e for cell, e in event.items()}
    before, after = find(event), find(turned)
    for name in ("energy", "pt", "eta", "u", "r9", "sigma_ieta_ieta", "e5x5"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-6)
    np.testing.assert_allclose((after.v - before.v - steps + 180) % 360 - 180, 0, atol=1e-6)
    np.testing.assert_allclose(np.cos(after.phi - before.phi - np.deg2rad(steps)), 1, atol=1e-9)


@given(row_, column_, st.floats(-15, 15), st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_z_mirror(row: int, column: int, z: float, seed: int) -> None:
    """Mirroring hits and vertex mirrors eta and u and changes nothing else."""
    event = noisy(row, column, seed)
    mirrored = {(169 - cell // 360) * 360 + cell % 360: e for cell, e in event.items()}
    before, after = find(event, vertex_z=z), find(mirrored, vertex_z=-z)
    for name in ("energy", "pt", "phi", "v", "r9", "sigma_ieta_ieta"):
        np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-6)
    np.testing.assert_allclose(after.eta, -before.eta, atol=1e-7)
    np.testing.assert_allclose(after.u, 170 - before.u, atol=1e-6)


def noisy(row: int, column: int, seed: int) -> dict[int, float]:
    """A 100 GeV shower with every crystal's energy varied, so that no two are equal."""
    rng = np.random.default_rng(seed)
    event = shower(row, column, 100.0)
    return {cell: energy * rng.uniform(0.9, 1.1) for cell, energy in event.items()}


@given(st.lists(st.integers(0, 61199), min_size=1, max_size=60, unique=True), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_no_energy_is_counted_twice(cells: list[int], seed: int) -> None:
    """Windows share nothing: the clusters' energies never exceed that of the hits."""
    energies = np.random.default_rng(seed).uniform(1, 100, len(cells))
    clusters = find(dict(zip(cells, energies.tolist(), strict=True)))
    assert clusters.e5x5.sum() <= energies.sum() * (1 + 1e-6)
    assert (clusters.pt > 10).all()
    assert (clusters.r9 <= 1 + 1e-6).all()


def test_events_do_not_touch_each_other() -> None:
    events = [noisy(20 + 9 * i, (40 * i) % 360, i) | noisy(80, 100, i) for i in range(6)]
    together = find(*events)
    parts = [find(event) for event in events]
    for name in ("energy", "u", "v", "r9", "seed"):
        np.testing.assert_allclose(
            getattr(together, name), np.concatenate([getattr(p, name) for p in parts]), rtol=1e-6
        )
    both = concatenate_hits([hits(events[0]), hits(events[1])])
    assert (find_photons(both, None, np.zeros(2)).event >= 0).all()


def test_sorted_by_falling_pt() -> None:
    clusters = find(shower(85, 10, 50.0) | shower(85, 100, 90.0) | shower(85, 200, 70.0))
    assert (np.diff(clusters.pt) < 0).all()
    assert clusters.seed.tolist() == [85 * 360 + c for c in (100, 200, 10)]


def test_neighbouring_showers_share_the_border() -> None:
    near = find(shower(85, 10, 80.0) | shower(85, 14, 60.0))
    assert near.seed.tolist() == [85 * 360 + 10, 85 * 360 + 14]
    assert near.e5x5.sum() == pytest.approx(
        sum((shower(85, 10, 80.0) | shower(85, 14, 60.0)).values()), rel=1e-6
    )


def test_hadronic_energy_of_the_tower_behind() -> None:
    seed = 90 * 360 + 77
    tower = int(eb_to_hbhe(seed))
    behind = Hits.from_events(
        np.array([0, 0, 0]), 1, np.array([tower, tower, tower + 1]), np.array([2.0, 3.0, 50.0])
    )
    clusters = find(shower(90, 77, 100.0), hbhe=behind)
    np.testing.assert_allclose(clusters.h_over_e, 5.0 / clusters.energy)


def test_edge_of_the_barrel() -> None:
    event = {169 * 360 + 5: 40.0, 168 * 360 + 5: 30.0}
    clusters = find(event)
    assert clusters.e5x5[0] == pytest.approx(70.0)
    assert clusters.pt[0] < 70.0 / np.cosh(EB_ETA[166])


@pytest.mark.parametrize("n_events", [1, 4])
def test_no_hits_and_no_seeds(n_events: int) -> None:
    assert len(find_photons(Hits.empty(n_events), None, np.zeros(n_events)).event) == 0
    assert len(find(*[{5000: 0.5}] * n_events).event) == 0
    assert len(find(*[{5000: -3.0}] * n_events).event) == 0


def test_last_of_duplicated_hits_counts() -> None:
    cell = np.full(2, 85 * 360 + 7)
    doubled = Hits.from_events(np.zeros(2, dtype=int), 1, cell, np.array([90.0, 40.0]))
    assert find_photons(doubled, None, np.zeros(1)).e5x5.tolist() == [40.0]
