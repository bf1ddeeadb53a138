"""Pile-up out of time, and the choice of the vertex."""

from __future__ import annotations

import numpy as np
import pytest

from data.batch import Hits
from data.reconstruction import find_photons
from data.simulation import vertices
from data.simulation.chunks import Chunk, simulate_chunk
from data.simulation.config import SHIPPED_LISTS
from data.simulation.imperfections import DEAD
from data.simulation.merit import vertex_efficiency
from data.simulation.out_of_time import (
    CROSSINGS,
    HCAL_READ_OUT,
    PULSE_EB,
    PULSE_EE,
    ecal_weights,
    pulse,
)
from data.simulation.overlay import Overlay
from data.simulation.particles import read
from data.simulation.pileup import MinimumBiasLibrary
from data.simulation.vertices import TrackSums


@pytest.fixture(scope="module")
def library() -> MinimumBiasLibrary:
    lists = read(SHIPPED_LISTS / "minimum_bias_0.npz.xz").take(np.arange(300))
    return MinimumBiasLibrary.simulate(lists, np.random.default_rng(0))


@pytest.mark.parametrize("shape", [PULSE_EB, PULSE_EE])
def test_late_pulses_add_and_old_ones_take_off(shape: tuple[float, float]) -> None:
    assert pulse(np.zeros(1), shape)[0] == pytest.approx(1)
    assert pulse(np.array([-3.0]), shape)[0] == 0
    weights = ecal_weights(shape)
    assert set(weights) == set(CROSSINGS)
    assert 0.2 < weights[-1] < 0.6
    assert 0.2 < weights[1] < 0.6
    assert -0.8 < weights[-2] < -0.5
    assert -0.1 < weights[-6] < 0  # all but forgotten
    assert abs(weights[2]) < 0.1  # not there yet


def test_crossings_are_the_same_every_time_and_grow_with_pileup(
    library: MinimumBiasLibrary,
) -> None:
    few, many = library.out_of_time(5.0), library.out_of_time(30.0)
    assert library.out_of_time(5.0) is few
    again = type(few).build(library.eb, library.ee, library.hbhe, 5.0)
    np.testing.assert_array_equal(few.eb.columns[2], again.eb.columns[2])
    assert len(many.eb.columns[2]) > 3 * len(few.eb.columns[2])
    energy = many.eb.columns[2]
    assert 0.2 < np.mean(energy < 0) < 0.8  # of either sign
    crossing = many.draw(10, np.random.default_rng(0))
    left, largest = many.hbhe_cells(crossing)
    assert largest.energy.min() > HCAL_READ_OUT
    assert left.energy.sum() < 0.5 * largest.energy.sum()
    assert len(library.out_of_time(0.0).eb.columns[2]) == 0


def test_dead_trigger_towers_are_whole() -> None:
    towers = DEAD.reshape(34, 5, 72, 5).sum(axis=(1, 3))
    assert (towers == 25).sum() == 6
    assert towers[towers < 25].max() <= 2  # single dead crystals beside
    assert 0.003 < DEAD.mean() < 0.006


def sums(n: list[float], pt2: list[float], px: list[float]) -> TrackSums:
    return TrackSums(*(np.array(a, float) for a in (n, pt2, px, [0.0] * len(n))))


def test_near_interactions_make_one_vertex_and_few_tracks_none() -> None:
    rng = np.random.default_rng(0)
    overlay = Overlay(
        event=np.zeros(4, int), index=np.arange(4), turn=np.zeros(4, int), flip=np.zeros(4, bool)
    )
    found = vertices.reconstruct(
        sums([10], [50], [3]), np.array([1.0]),
        sums([6, 2, 20, 9], [5, 1, 9, 4], [0, 0, 0, 0]), np.array([-9.0, 5.0, 7.0, 7.05]),
        overlay, 1, rng,
    )  # fmt: skip
    # the first library event stands at the hard vertex; the last two are one; one has two tracks
    np.testing.assert_allclose(found.z, [1.0, 7.0155], atol=0.05)
    np.testing.assert_allclose(found.sums.n, [16, 29])
    np.testing.assert_allclose(found.sums.pt2, [55, 13])


def test_the_vertex_that_balances_the_photons_is_chosen() -> None:
    eb = Hits.from_events(
        np.zeros(2, int), 1, np.array([85 * 360, 85 * 360 + 60]), np.full(2, 40.0)
    )
    photons = find_photons(eb, None, np.zeros(1))
    assert len(photons.event) == 2
    px = 40 / 0.965 * np.cos(photons.phi).sum()
    py = 40 / 0.965 * np.sin(photons.phi).sum()
    balancing = vertices.Vertices(
        np.zeros(2, int),
        np.array([3.0, -2.0]),
        TrackSums(
            np.full(2, 10.0), np.array([40.0, 60.0]), np.array([-px, px]), np.array([-py, py])
        ),
    )
    np.testing.assert_allclose(vertices.choose(balancing, photons, 1), [3.0])
    # without the photons only the sum of pt^2 counts; without a vertex the origin
    np.testing.assert_allclose(vertices.choose(balancing, photons.take(np.arange(0)), 2), [-2, 0])


def test_efficiency_of_the_choice() -> None:
    def chunk(process: str, size: int, choose: bool) -> Chunk:
        return Chunk(process, 0, 0, size, 7000, str(SHIPPED_LISTS), 20.0, 5, False, choose)

    chosen = simulate_chunk(chunk("higgs", 256, True)).events
    # CMS's boosted trees with conversions: some 0.80
    assert 0.6 < vertex_efficiency(chosen) < 0.85
    assert chosen.n_vertices.mean() == pytest.approx(14.5, abs=1.5)
    wrong = np.abs(chosen.vertex_z - chosen.true_z) > 1
    assert np.std(chosen.vertex_z[wrong] - chosen.true_z[wrong]) > 4
    right = np.abs(chosen.vertex_z - chosen.true_z) < 0.05
    assert np.std(chosen.vertex_z[right] - chosen.true_z[right]) < 0.02
    for process, choose in (("higgs", False), ("gun", True)):
        events = simulate_chunk(chunk(process, 64, choose)).events
        np.testing.assert_array_equal(events.vertex_z, events.true_z)
