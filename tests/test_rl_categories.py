"""Searches, trees and agents for categories, and the stage that compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from common.config import build
from common.errors import ConfigError, InputError
from envs.categories.config import CategoryConfig
from envs.categories.dynamics import CategoryDynamics
from envs.categories.events import CategoryEvents
from rl.categories.config import CategoriseConfig
from rl.categories.inputs import Inputs, matched
from rl.categories.search import SEARCHES, Objective, grid_search
from rl.categories.stage import run
from rl.categories.tree import fit_tree
from rl.uncertainty.products import RESOLUTIONS, write_product
from tests.synthetic_photons import write_pairs
from tests.test_envs_categories import make_events

_SMALL: dict[str, Any] = {
    "categories": {"replicas": 3, "steps": 2, "score_cells": 10, "resolution_cells": 8},
    "agent": {
        "updates": 16, "environments": 32, "buffer_size": 128, "batch_size": 16, "hidden": [8],
    },
    "event_agent": {"rounds": 1, "updates": 4, "batch_size": 32, "hidden": [8], "peer_rounds": 1},
    "tree": {"iterations": 5, "places": 8},
    "seeds": 2, "evaluations": [7, 20], "scenarios": 2, "bootstrap": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def events() -> CategoryEvents:
    return make_events(seed=3)


def _features(events: CategoryEvents) -> np.ndarray:
    return np.column_stack([events.score, np.log(events.resolution)])


def test_searches_spend_what_they_may_and_beat_the_first_edges(events: CategoryEvents) -> None:
    dynamics = CategoryDynamics(events, CategoryConfig(replicas=1))
    first = dynamics.significance(np.array([0]), dynamics.first[None])[0]
    for search in SEARCHES.values():
        objective = Objective(dynamics)
        found = search(objective, 200, np.random.default_rng(0))
        assert found.evaluations == objective.evaluations == 200
        assert found.value > first
        assert dynamics.significance(np.array([0]), found.edges[None])[0] == found.value
        again = search(Objective(dynamics), 200, np.random.default_rng(0))
        np.testing.assert_array_equal(found.edges, again.edges)


def test_the_grid_is_counted(events: CategoryEvents) -> None:
    dynamics = CategoryDynamics(events, CategoryConfig(replicas=1, bands=2))
    assert grid_search(Objective(dynamics)).evaluations == 36 * 25


def test_a_tree_finds_good_categories_on_other_events(events: CategoryEvents) -> None:
    config = build(CategoriseConfig, {"store": "a", "resolutions": "b"}).tree
    found = fit_tree(_features(events), events, 4, config, 0)
    others = make_events(seed=4)
    category = found.assign(_features(others))
    assert category.max() == 3
    purity = [others.is_signal[category == k].mean() for k in range(4)]
    assert (np.diff(purity) > 0).all()
    assert found.evaluations > 100


def test_weights_match_a_spectrum_and_keep_the_yield() -> None:
    rng = np.random.default_rng(0)
    signal = np.arange(20_000) % 2 == 0
    value = np.where(signal, rng.exponential(2.0, 20_000), rng.exponential(1.0, 20_000))
    found = matched(np.ones(20_000), value, signal)
    assert found[signal].sum() == pytest.approx(signal.sum())
    np.testing.assert_array_equal(found[~signal], 1)
    mean = np.average(value[signal], weights=found[signal])
    assert mean == pytest.approx(value[~signal].mean(), rel=0.05)


def test_halves_share_no_parton_event_and_hold_the_whole_yield(events: CategoryEvents) -> None:
    first, second = Inputs(events, _features(events)).halves(0)
    assert not set(first.events.group) & set(second.events.group)
    total = first.events.weight.sum() + second.events.weight.sum()
    assert total == pytest.approx(2 * events.weight.sum())
    mixed = first.shuffled(np.random.default_rng(0))
    np.testing.assert_array_equal(mixed.events.mass, first.events.mass)
    assert abs(np.corrcoef(mixed.events.score, first.events.score)[0, 1]) < 0.1


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CategoriseConfig:
    folder = tmp_path_factory.mktemp("categorise")
    n = 900
    store = write_pairs(folder / "events.h5", "higgs", n)
    label = np.arange(n) % 3
    with h5py.File(store, "r+") as file:  # three classes, alike but in name
        file["event/label"][...] = label
        file["truth/n_prompt"][...] = 1
        event = file["event/event"][()]
    rng = np.random.default_rng(0)
    score = rng.dirichlet([1, 1, 1], n).astype(np.float32)
    score[np.arange(n), label] += 1
    mass = np.where(label == 1, rng.normal(125, 2, n), 100 + rng.exponential(30, n))
    columns = {
        "event/event": event,
        "event/unseen": np.ones(n, dtype=np.int8),
        "scores": score / 2,
        "m_gg": mass.astype(np.float32),
        "photons/r9": rng.uniform(0.8, 1, (n, 2)).astype(np.float32),
        "photons/eta": rng.uniform(-1.4, 1.4, (n, 2)).astype(np.float32),
        "sigma_m/head": rng.uniform(0.005, 0.02, n).astype(np.float32),
    }
    (folder / "uncertainty").mkdir()
    write_product(folder / "uncertainty" / "resolutions.h5", RESOLUTIONS, columns, {})
    paths = {
        "store": store, "resolutions": folder / "uncertainty", "output": folder / "categorise",
        "method": "head",
    }  # fmt: skip
    return build(CategoriseConfig, paths, _SMALL)


def test_the_stage_compares_all_methods(config: CategoriseConfig) -> None:
    metrics = run(config)
    expected = {
        "inclusive", "first", "score", "resolution", "grid", "random", "one_by_one",
        "cross_entropy", "tree", "agent_0", "agent_1", "event_agent", "event_peer",
    }  # fmt: skip
    assert set(metrics["methods"]) == expected
    assert metrics["methods"]["inclusive"]["gain"] == {"value": 1.0, "error": 0.0}
    assert metrics["methods"]["agent_0"]["evaluations"] > 32
    assert "event_agent" not in metrics["controls"]
    assert len(metrics["scenarios"][0]["agent"]["3"]) == 2
    for name in ("gains", "efficiency", "learning", "plane"):
        assert (config.output / "figures" / f"{name}.png").stat().st_size > 5000
    assert len(CategoryEvents.load(config.output / "events.npz")) == 900
    before = (config.output / "run.json").stat().st_mtime_ns
    run(config)
    assert (config.output / "run.json").stat().st_mtime_ns == before


def test_wrong_inputs_are_refused(config: CategoriseConfig, tmp_path: Path) -> None:
    other = {"output": tmp_path / "out"}
    with pytest.raises(ConfigError, match="no resolutions by critic"):
        run(config.model_copy(update=other | {"method": "critic"}))
    store = write_pairs(tmp_path / "other.h5", "higgs", 30)
    with h5py.File(store, "r+") as file:
        file["event/label"][...] = np.arange(30) % 3
    with pytest.raises(InputError, match="not of"):
        run(config.model_copy(update=other | {"store": store}))
