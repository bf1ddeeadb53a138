"""Particle lists: the compact format, the shipped files, the generator's preselection."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.simulation import generator, particles, preselection
from data.simulation.config import SHIPPED_LISTS
from data.simulation.hard_events import GUN_ETA, GUN_PT, GUN_SEPARATION, gun, varied
from data.simulation.particles import CODE_OF, ParticleLists


def random_lists(n_events: int, seed: int, mean: float = 20.0) -> ParticleLists:
    rng = np.random.default_rng(seed)
    count = rng.poisson(mean, n_events)
    total = int(count.sum())
    return ParticleLists(
        offsets=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        species=rng.integers(0, len(particles.SPECIES), total).astype(np.uint8),
        pt=(0.1 * np.exp(rng.exponential(1.5, total))).clip(0.1, 900).astype(np.float32),
        eta=rng.uniform(-3, 3, total).astype(np.float32),
        phi=rng.uniform(0, 2 * np.pi, total).astype(np.float32),
        prompt=rng.random(total) < 0.1,
        group=np.sort(rng.integers(0, 50, n_events)).astype(np.int64),
        n_prompt=rng.integers(0, 3, n_events).astype(np.int32),
        info={"process": "test"},
    )


@settings(max_examples=25, deadline=None)
@given(n_events=st.integers(1, 12), seed=st.integers(0, 10_000), mean=st.floats(0, 40))
def test_round_trip_keeps_what_matters(
    tmp_path_factory: pytest.TempPathFactory, n_events: int, seed: int, mean: float
) -> None:
    lists = random_lists(n_events, seed, mean)
    path = tmp_path_factory.mktemp("lists") / "x_0.npz.xz"
    particles.write(path, lists)
    back = particles.read(path)
    order = np.lexsort((-lists.pt, lists.event))
    for name in ("offsets", "group", "n_prompt"):
        np.testing.assert_array_equal(getattr(back, name), getattr(lists, name))
    np.testing.assert_array_equal(back.species, lists.species[order])
    np.testing.assert_array_equal(back.prompt, lists.prompt[order])
    pt, eta = lists.pt[order], lists.eta[order]
    dphi = (back.phi - lists.phi[order] + np.pi) % (2 * np.pi) - np.pi
    hard = pt > particles.HARD_PT * 1.03
    assert np.all(np.abs(back.pt / pt - 1)[hard] < 1e-4)
    assert np.all(np.abs(back.eta - eta)[hard] < 1e-4)
    assert np.all(np.abs(dphi)[hard] < 1e-4)
    assert np.all(np.abs(back.pt / pt - 1) < 0.025)
    assert np.all(np.abs(back.eta - eta) < 0.03)
    assert np.all(np.abs(dphi) < 0.03)
    assert back.info == lists.info


def test_damaged_lists_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "higgs_0.npz.xz"
    particles.write(path, random_lists(5, 1))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="higgs_0"):
        particles.read(path)


def test_take_and_concatenate() -> None:
    lists = random_lists(6, 3)
    twice = lists.take(np.array([4, 0, 4]))
    assert len(twice) == 3
    first, last = twice.offsets[0], twice.offsets[1]
    original = slice(lists.offsets[4], lists.offsets[5])
    np.testing.assert_array_equal(twice.pt[first:last], lists.pt[original])
    joined = particles.concatenate([lists, lists])
    assert len(joined) == 12
    assert set(joined.group[:6]).isdisjoint(joined.group[6:])
    np.testing.assert_allclose(joined.energy[: len(lists.pt)], lists.energy)


def test_shipped_lists_are_small_and_hold_what_they_promise() -> None:
    files = list(SHIPPED_LISTS.glob("*.npz.xz"))
    assert sum(f.stat().st_size for f in files) < 8e6
    assert max(f.stat().st_size for f in files) < 4e6
    higgs = particles.read(SHIPPED_LISTS / "higgs_0.npz.xz")
    assert len(higgs) >= 5000
    rows = np.flatnonzero(higgs.prompt & (higgs.pt > 15))
    events, start, count = np.unique(higgs.event[rows], return_index=True, return_counts=True)
    pairs = rows[start[count == 2][:, None] + np.arange(2)]
    pt, eta, phi = higgs.pt[pairs], higgs.eta[pairs].astype(float), higgs.phi[pairs].astype(float)
    angle = np.cosh(eta[:, 0] - eta[:, 1]) - np.cos(phi[:, 0] - phi[:, 1])
    mass = np.sqrt(2 * pt[:, 0] * pt[:, 1] * angle)
    assert len(events) > 0.99 * len(higgs)
    assert np.median(mass) == pytest.approx(125.0, abs=0.01)
    assert np.mean(np.abs(mass - 125.0) < 0.1) > 0.9


def test_two_photon_parton_events_are_hadronised_once() -> None:
    lists = particles.read_process(SHIPPED_LISTS, "gamma_jet")
    assert len(lists) >= 10_000
    twice = lists.group[lists.n_prompt >= 2]
    assert len(np.unique(twice)) == len(twice)
    siblings = np.unique(lists.group[lists.n_prompt < 2], return_counts=True)[1]
    assert 1 < siblings.max() <= generator.REHADRONISATIONS


def test_preselection_asks_for_two_isolated_photons() -> None:
    photon, pion = CODE_OF[22], CODE_OF[211]
    species = np.array([photon, photon, pion, photon], np.uint8)
    pt = np.array([60.0, 55.0, 3.0, 4.0])
    eta = np.array([0.2, -0.4, 0.25, 0.21])
    phi = np.array([0.1, 3.1, 0.12, 0.2])
    found = preselection.candidates(species, pt, eta, phi)
    assert found.shape == (2, 3)
    assert found[0, 0] == pytest.approx(64.0)  # the soft photon is merged into the hard one
    assert preselection.passes(found)
    pt[2] = 30.0  # a jet round the leading photon
    assert len(preselection.candidates(species, pt, eta, phi)) == 1


def test_without_pythia_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def no_pythia(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pythia8mc":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_pythia)
    with pytest.raises(ImportError, match="pip install"):
        generator.generate("higgs", 1, 1)


def test_pythia_settings_are_checked() -> None:
    pytest.importorskip("pythia8mc", reason="the optional generator is not installed")
    with pytest.raises(ValueError, match="HiggsSM:typo"):
        generator.start(generator.Recipe(("HiggsSM:typo = on",)), 1)


def test_generated_events_are_reproducible() -> None:
    pytest.importorskip("pythia8mc", reason="the optional generator is not installed")
    first, second = (generator.generate("higgs", 3, 7) for _ in range(2))
    np.testing.assert_array_equal(first.pt, second.pt)
    assert np.all(first.n_prompt == 2)
    assert first.info["accepted"] == 3
    assert np.all(np.abs(first.eta) < particles.MAX_ETA)
    assert np.all(first.pt >= particles.MIN_PT)


def test_variation_keeps_masses_and_momenta() -> None:
    lists = random_lists(8, 5)
    other = varied(lists, np.random.default_rng(0))
    np.testing.assert_array_equal(other.pt, lists.pt)
    np.testing.assert_allclose(np.abs(other.eta), np.abs(lists.eta))
    turn = (other.phi.astype(float) - lists.phi + 2 * np.pi) % (2 * np.pi)
    for event in range(len(lists)):
        values = np.exp(1j * turn[lists.offsets[event] : lists.offsets[event + 1]])
        np.testing.assert_allclose(values, values[:1].repeat(len(values)), atol=1e-5)


def test_gun_is_flat_central_and_separated() -> None:
    vertex_z = np.random.default_rng(2).normal(0, 5, 4000)
    lists = gun(10, vertex_z, np.random.default_rng(1))
    pt = lists.pt
    assert GUN_PT[0] <= pt.min()
    assert pt.max() <= GUN_PT[1]
    assert np.histogram(pt, 5, GUN_PT)[0] == pytest.approx(len(pt) / 5, rel=0.1)
    at_crystals = np.arcsinh(np.sinh(lists.eta) + np.repeat(vertex_z, 2) / 129.0)
    assert np.abs(at_crystals).max() <= GUN_ETA + 1e-5
    assert np.histogram(at_crystals, 4, (-GUN_ETA, GUN_ETA))[0] == pytest.approx(2000, rel=0.1)
    phi = lists.phi.reshape(-1, 2).astype(float)
    dphi = (phi[:, 0] - phi[:, 1] + np.pi) % (2 * np.pi) - np.pi
    separation = np.hypot(dphi, np.diff(at_crystals.reshape(-1, 2))[:, 0])
    assert separation.min() >= GUN_SEPARATION - 1e-4
    np.testing.assert_array_equal(lists.group, 10 + np.arange(4000))
