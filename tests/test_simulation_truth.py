"""Prompt photons' part of the barrel crystals: shares, sums, and the way into the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from data.config import PreprocessConfig
from data.detector.geometry import N_EB
from data.preprocessing.stage import run as preprocess
from data.simulation.config import SHIPPED_LISTS
from data.simulation.detector import SimulatedEvents, simulate_events
from data.simulation.hard_events import gun
from data.simulation.particles import read
from data.simulation.pileup import MinimumBiasLibrary
from data.simulation.profiles import Cells
from data.simulation.truth import MIN_SHARE, prompt_shares
from data.simulation.writer import RHTreeWriter
from data.sources import open_source
from data.store import EventStore

N = 64


@pytest.fixture(scope="module")
def library() -> MinimumBiasLibrary:
    lists = read(SHIPPED_LISTS / "minimum_bias_0.npz.xz").take(np.arange(150))
    return MinimumBiasLibrary.simulate(lists, np.random.default_rng(0))


@pytest.fixture(scope="module")
def pairs(library: MinimumBiasLibrary) -> SimulatedEvents:
    """Pairs of photons with pile-up."""
    rng = np.random.default_rng(4)
    vertex_z = rng.normal(0, 5, N)
    return simulate_events(gun(0, vertex_z, rng), library, 20.0, rng, vertex_z)


def test_shares_are_parts_of_crystals_that_are_read_out(pairs: SimulatedEvents) -> None:
    c, hits = pairs.crystals, pairs.hits["EB"]
    assert c.share.min() > MIN_SHARE
    assert c.share.max() <= 1
    assert np.all(c.energy > 0)
    key = c.event * N_EB + c.cell
    assert np.all(np.diff(key) > 0)
    assert np.isin(key, hits.event * N_EB + hits.cell).all()
    # most energy of the event's hardest crystals, and little of what is left, is the photons'
    mine = np.zeros(N * N_EB)
    mine[key] = c.share
    share = mine[hits.event * N_EB + hits.cell]
    assert share[hits.energy > 20].min() > 0.5
    assert (share > 0).mean() < 0.6


def test_the_crystals_hold_the_photons_energy(pairs: SimulatedEvents) -> None:
    seen = np.bincount(pairs.crystals.event, pairs.crystals.energy, N)
    true = np.bincount(pairs.truth.event, pairs.truth.energy, N)
    ratio = seen / true
    assert np.median(ratio) == pytest.approx(0.97, abs=0.02)  # thresholds, gaps and leakage
    assert ratio.max() < 1.1
    assert (ratio > 0.85).mean() > 0.9  # dead crystals and lost conversions


def test_other_particles_have_no_share(library: MinimumBiasLibrary) -> None:
    lists = read(SHIPPED_LISTS / "minimum_bias_0.npz.xz").take(np.arange(20))
    events = simulate_events(lists, library, 20.0, np.random.default_rng(1))
    prompt = np.bincount(lists.event[lists.prompt], minlength=20) > 0
    assert set(np.unique(events.crystals.event)) <= set(np.flatnonzero(prompt))


def test_two_photons_in_one_crystal_are_summed() -> None:
    total = np.zeros(2 * N_EB, np.float32)
    total[[7, N_EB + 3, N_EB + 9]] = 8.0, 1.0, 10.0
    prompt = Cells(
        np.array([0, 1, 0, 1]), np.array([7, 3, 7, 9]), np.array([1, 2, 3, 0.01], np.float32)
    )
    found = prompt_shares(prompt, total)
    np.testing.assert_array_equal(found.event, [0, 1])
    np.testing.assert_array_equal(found.cell, [7, 3])
    np.testing.assert_allclose(found.energy, [4, 2])
    np.testing.assert_allclose(found.share, [0.5, 1])  # never above 1


def test_crystals_reach_the_store(pairs: SimulatedEvents, tmp_path: Path) -> None:
    with RHTreeWriter(tmp_path / "gun.root", 3) as writer:
        writer.write(pairs, 1, np.arange(N) + 1)
        writer.write_provenance({"origin": "simulation"})
    config = PreprocessConfig(
        input=[str(tmp_path / "gun.root")], output=tmp_path / "gun.h5", selection="none"
    )
    preprocess(config)
    with EventStore(tmp_path / "gun.h5") as store:
        assert store.collections["truth/crystals"] == {"cell": "u4", "energy": "f4", "share": "f4"}
        rows = store.rows("truth/crystals")
    np.testing.assert_array_equal(
        np.repeat(np.arange(N), np.diff(rows.offsets)), pairs.crystals.event
    )
    np.testing.assert_array_equal(rows.columns["cell"], pairs.crystals.cell)
    np.testing.assert_allclose(rows.columns["energy"], pairs.crystals.energy, rtol=1e-3)
    np.testing.assert_allclose(rows.columns["share"], pairs.crystals.share, rtol=1e-3)
    assert rows.columns["share"].max() <= 1


def test_impossible_shares_are_refused(pairs: SimulatedEvents, tmp_path: Path) -> None:
    wrong = np.full_like(pairs.crystals.share, 1.5)
    crystals = type(pairs.crystals)(**{**vars(pairs.crystals), "share": wrong})
    damaged = SimulatedEvents(**{**vars(pairs), "crystals": crystals})
    with RHTreeWriter(tmp_path / "gun.root", 3) as writer:
        writer.write(damaged, 1, np.arange(N) + 1)
    with (
        open_source(tmp_path / "gun.root") as source,
        pytest.raises(InputError, match=r"share 1\.5"),
    ):
        next(source.batches(0, N, N))
