"""Simulated dijets: hard partons, calorimeter jets and their flavour, ntuple and store."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import PipelineError
from data.batch import Hits
from data.detector.geometry import HBHE_ETA, N_EB
from data.simulation import generator, jets, particles
from data.simulation.config import SHIPPED_LISTS
from data.simulation.hard_events import varied
from data.simulation.particles import HardPartons, ParticleLists
from data.store import EventStore
from tests.test_simulation_particles import random_lists

TOWER_PHI = np.deg2rad((np.arange(72) - 1.5) * 5.0)


def with_partons(lists: ParticleLists, seed: int = 0) -> ParticleLists:
    rng = np.random.default_rng(seed)
    n = len(lists)
    lists.partons = HardPartons(
        rng.choice([1, -2, 5, 21], (n, 2)).astype(np.int16),
        rng.uniform(60, 170, (n, 2)).astype(np.float32),
        rng.uniform(-2, 2, (n, 2)).astype(np.float32),
        rng.uniform(0, 6.28, (n, 2)).astype(np.float32),
    )
    return lists


def test_partons_survive_the_file_and_joining(tmp_path: Path) -> None:
    lists = with_partons(random_lists(7, 1))
    particles.write(tmp_path / "dijet_0.npz.xz", lists)
    back = particles.read(tmp_path / "dijet_0.npz.xz").partons
    assert lists.partons is not None
    assert back is not None
    np.testing.assert_array_equal(back.pdg_id, lists.partons.pdg_id)
    np.testing.assert_allclose(back.pt, lists.partons.pt, rtol=5e-4)
    np.testing.assert_allclose(back.eta, lists.partons.eta, atol=1e-3)
    np.testing.assert_allclose(back.phi, lists.partons.phi, atol=2e-3)
    joined = particles.concatenate([lists, lists]).take(np.array([9, 1])).partons
    assert joined is not None
    np.testing.assert_array_equal(joined.pt, lists.partons.pt[[2, 1]])
    # Lists without partons are as before, also beside some with.
    plain = random_lists(3, 2)
    assert plain.take(np.array([0])).partons is None
    assert particles.concatenate([lists, plain]).partons is None


def test_variation_turns_partons_with_their_event() -> None:
    lists = with_partons(random_lists(8, 5))
    for values in (lists.eta, lists.phi):
        values[lists.offsets[:-1]] = 0.5
    lists.partons.eta[:], lists.partons.phi[:] = 0.5, 0.5  # type: ignore[union-attr]
    other = varied(lists, np.random.default_rng(0))
    first = other.offsets[:-1]
    assert other.partons is not None
    np.testing.assert_allclose(other.partons.eta[:, 0], other.eta[first])
    np.testing.assert_allclose(other.partons.phi[:, 1], other.phi[first], atol=1e-5)


def test_generated_partons_are_those_of_the_jets() -> None:
    pytest.importorskip("pythia8mc", reason="the optional generator is not installed")
    pytest.importorskip("fastjet", reason="the optional fastjet is not installed")
    lists = generator.generate("dijet", 30, 3)
    partons = lists.partons
    assert partons is not None
    assert set(np.abs(partons.pdg_id).ravel()) <= {1, 2, 3, 4, 5, 21}
    assert np.abs(partons.eta).min(axis=1).max() < generator.JET_ETA
    owner, pt, eta, phi, _ = jets.generated_jets(lists)
    leading = np.searchsorted(owner, np.arange(30))
    distance = np.hypot(
        partons.eta - eta[leading, None],
        (partons.phi - phi[leading, None] + np.pi) % (2 * np.pi) - np.pi,
    )
    assert np.mean(distance.min(axis=1) < jets.PARTON_RADIUS) > 0.8
    assert 60 < np.median(pt[leading]) < 150


def test_shipped_dijets_hold_quarks_and_gluons() -> None:
    lists = particles.read(SHIPPED_LISTS / "dijet_0.npz.xz")
    assert lists.partons is not None
    kinds = np.abs(lists.partons.pdg_id)
    assert 0.6 < (kinds == 21).mean() < 0.8
    assert 0.2 < (kinds <= 3).mean() < 0.4
    assert (SHIPPED_LISTS / "dijet_0.npz.xz").stat().st_size < 1e6


def towers(cells: dict[tuple[int, int], float]) -> dict[str, Hits]:
    row, column = np.array(list(cells)).T
    energy = np.array(list(cells.values())) * np.cosh(HBHE_ETA[row])
    hbhe = Hits.from_events(np.zeros(len(row), int), 1, row * 72 + column, energy)
    # A crystal before the first tower.
    first = ((row[0] - 11) * 5) * 360 + column[0] * 5
    eb = Hits.from_events(np.zeros(1, int), 1, np.array([first]), np.array([20.0]))
    assert 0 <= first < N_EB
    return {"EB": eb, "EE": Hits.empty(1), "HBHE": hbhe, "TRK": Hits.empty(1)}


def test_jets_are_clustered_from_towers_and_matched_to_partons() -> None:
    pytest.importorskip("fastjet", reason="the optional fastjet is not installed")
    hits = towers({(30, 10): 40.0, (31, 11): 10.0, (25, 46): 45.0, (26, 46): 0.1})
    lists = random_lists(1, 1, mean=0)
    z = np.zeros(1)
    lists.partons = HardPartons(
        np.array([[-2, 21]], np.int16),
        np.array([[110.0, 500.0]], np.float32),
        HBHE_ETA[[30, 25]][None].astype(np.float32),
        TOWER_PHI[[10, 46]][None].astype(np.float32),
    )
    found = jets.find_jets(lists, hits, z)
    np.testing.assert_array_equal(found.event, [0, 0])
    assert found.pt[0] > found.pt[1] > 45.0
    np.testing.assert_array_equal(found.seed_row, [30, 25])
    np.testing.assert_array_equal(found.seed_column, [10, 46])
    # The second jet has a tenth of its parton's pt: something else.
    np.testing.assert_array_equal(found.is_quark, [1, -1])
    np.testing.assert_array_equal(found.pdg_id, [2, 0])
    assert found.parton_pt[0] == 110.0
    assert np.isnan(found.parton_pt[1])
    assert np.isnan(found.generated_pt).all()
    assert jets.hard_jet_events(found, 2).tolist() == [True, False]


def test_response_is_inverted() -> None:
    raw = np.geomspace(15, 200, 30)
    for limit, a, b in jets.RESPONSE:
        pt = jets.corrected(raw, np.full(30, min(limit, 2.5) - 0.01))
        np.testing.assert_allclose(pt * (a + b * np.log(pt / 80)), raw, rtol=3e-3)


def test_processes_without_partons_have_no_jets_and_need_no_fastjet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real_import = builtins.__import__

    def no_fastjet(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "fastjet":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_fastjet)
    hits = towers({(30, 10): 40.0})
    assert len(jets.find_jets(random_lists(1, 1), hits, np.zeros(1)).pt) == 0
    with pytest.raises(PipelineError, match=r"cms-e2e-rl\[jets\]"):
        jets.find_jets(with_partons(random_lists(1, 1)), hits, np.zeros(1))


def test_jets_reach_the_store_with_their_flavour(dijet_store: Path) -> None:
    with EventStore(dijet_store) as store:
        assert set(store.event("label")) == {4}
        assert store.simulation
        found, truth = store.objects("Jet"), store.rows("truth/jets")
        np.testing.assert_array_equal(found.offsets, truth.offsets)
        pt, eta = found.columns["pt"], found.columns["eta"]
        label, pdg_id = truth.columns["label"], truth.columns["pdg_id"]
        event = np.repeat(np.arange(len(store)), np.diff(found.offsets))
    assert 120 < found.offsets.shape[0] <= 161
    assert np.all(np.maximum.reduceat(pt, found.offsets[:-1]) > jets.HARD_JET_PT)
    assert np.all((np.diff(pt) <= 0) | (np.diff(event) > 0))
    hard = (pt > 80) & (np.abs(eta) < 1.8)
    assert np.mean(pdg_id[hard] > 0) > 0.85
    assert np.all((label == 0) == (pdg_id == 21))
    assert np.all((label == 1) == np.isin(pdg_id, (1, 2, 3)))
    ratio = pt[hard] / truth.columns["generated_pt"][hard]
    assert np.nanmedian(ratio) == pytest.approx(1.0, abs=0.08)
