"""Categories of events: significance, look-ups, edges, and the reward without a gradient."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from envs.categories.config import CategoryConfig
from envs.categories.dynamics import CategoryDynamics
from envs.categories.events import SHIPPED, CategoryEvents
from envs.categories.grid import Sample
from envs.categories.per_event import PerEventDynamics
from envs.categories.significance import (
    MASS_RANGE,
    Contents,
    asimov,
    background_bins,
    cautious,
    fill,
    significance,
    squared,
)


def make_events(n: int = 6000, seed: int = 0) -> CategoryEvents:
    """A third H→γγ; score and resolution tell something."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 3
    signal = label == 1
    resolution = rng.lognormal(-4.3, 0.4, n)
    mass = np.where(
        signal, 125 * (1 + resolution * rng.standard_normal(n)), 100 + rng.exponential(30, n)
    )
    return CategoryEvents(
        score=rng.normal(np.where(signal, 1.0, 0.0), 1.0),
        resolution=resolution,
        mass=mass,
        label=label,
        weight=np.where(signal, 300.0, 50_000.0) / (n / 3),
        group=np.arange(n) // 2,
    )


@pytest.fixture(scope="module")
def events() -> CategoryEvents:
    return make_events()


@pytest.fixture(scope="module")
def dynamics(events: CategoryEvents) -> CategoryDynamics:
    return CategoryDynamics(events, CategoryConfig(replicas=4))


@given(st.floats(0.0, 50.0), st.floats(20.0, 1e5))
def test_asimov_is_s_over_root_b_for_much_background(s: float, b: float) -> None:
    value = float(asimov(np.array(s), np.array(b)))
    assert 0 <= value <= s**2 / b + 1e-6
    if s < 0.01 * b:
        assert value == pytest.approx(s**2 / b, rel=0.01, abs=1e-9)


@given(st.floats(-0.05, 0.3))
@settings(max_examples=25, deadline=None)
def test_the_background_follows_the_mean_mass(rate: float) -> None:
    width = MASS_RANGE[1] - MASS_RANGE[0]
    x = (np.arange(200_000) + 0.5) / 200_000 * width
    density = np.exp(-rate * x)
    density /= density.mean() * width
    mean = float((density * x).mean() * width)
    contents = Contents(
        np.zeros(20), np.array(1000.0), np.array(1000.0 * mean), np.array(1000.0), np.zeros(2)
    )
    expected = 1000 * np.interp(np.arange(15.5, 35.5), x, density)
    np.testing.assert_allclose(background_bins(contents), expected, rtol=0.01)


def test_no_simulated_background_is_not_no_background() -> None:
    signal = np.full((2, 20), 0.5)
    contents = Contents(
        signal, np.array([100.0, 0.0]), np.array([2000.0, 0.0]), np.array([100.0, 0.0]),
        np.array([1.0, 20.0]),
    )  # fmt: skip
    known = cautious(contents)
    assert known.background[0] == pytest.approx(100 + np.sqrt(100.75) + 1)
    assert known.background[1] == pytest.approx(np.sqrt(0.75) + 1)
    assert np.isfinite(squared(contents)).all()


def test_look_ups_agree_with_filling(events: CategoryEvents, dynamics: CategoryDynamics) -> None:
    rng = np.random.default_rng(1)
    for _ in range(10):
        edges = dynamics.ordered(rng.uniform(0, 1, (1, dynamics.n_edges)))
        category = dynamics.assign(edges[0], events)
        filled = fill(category, dynamics.n_categories, events.mass, events.is_signal, events.weight)
        found = dynamics.contents(np.array([0]), edges)
        np.testing.assert_allclose(found.signal[0], filled.signal, atol=1e-9)
        np.testing.assert_allclose(found.background[0], filled.background, atol=1e-6)
        np.testing.assert_allclose(found.mass_sum[0], filled.mass_sum, atol=1e-4)
        np.testing.assert_allclose(found.simulated[0], filled.simulated)
        np.testing.assert_allclose(found.typical[0], filled.typical[None].repeat(1, 0))


def test_one_category_is_worth_one(events: CategoryEvents, dynamics: CategoryDynamics) -> None:
    every = np.zeros((1, dynamics.n_edges))
    assert dynamics.significance(np.array([0]), every)[0] == pytest.approx(1.0)
    assert (dynamics.assign(every[0], events) >= 0).all()
    assert dynamics.start(np.arange(4)).value.min() > 1.0


def test_the_mass_decides_no_category(events: CategoryEvents, dynamics: CategoryDynamics) -> None:
    moved = replace(events, mass=events.mass[::-1].copy(), label=events.label[::-1].copy())
    edges = dynamics.first
    np.testing.assert_array_equal(dynamics.assign(edges, events), dynamics.assign(edges, moved))


def test_rewards_add_up_and_have_no_gradient(dynamics: CategoryDynamics) -> None:
    state = first = dynamics.start(np.arange(4))
    rng = np.random.default_rng(0)
    total = np.zeros(4)
    for _ in range(dynamics.steps):
        state, reward, terminated = dynamics.step(state, rng.uniform(-1, 1, (4, 6)))
        total += reward
    assert terminated.all()
    expected = (state.value - first.value) / dynamics.config.reward_unit
    np.testing.assert_allclose(total, expected, rtol=1e-4, atol=1e-4)
    tiny = dynamics.start(np.arange(4))
    _, reward, _ = dynamics.step(tiny, np.full((4, 6), 1e-3))
    np.testing.assert_array_equal(reward, 0)


def test_edges_stay_in_order_and_categories_apart(dynamics: CategoryDynamics) -> None:
    rng = np.random.default_rng(2)
    state = dynamics.start(np.zeros(16, dtype=np.int64))
    for _ in range(dynamics.steps):
        state, _, _ = dynamics.step(state, rng.uniform(-1, 1, (16, 6)))
        assert (np.diff(state.edges[:, :3], axis=1) >= 0).all()
        assert ((state.edges >= 0) & (state.edges <= 1)).all()
        contents = dynamics.contents(state.replica, state.edges)
        signal = contents.signal.sum(axis=(1, 2))
        assert (signal <= dynamics.events.weight[dynamics.events.is_signal].sum() + 1e-6).all()
        assert np.isfinite(dynamics.observe(state)).all()


def test_samples_have_their_yields(events: CategoryEvents) -> None:
    none = np.ones(len(events))
    samples = [Sample(none, np.array([1.0, 1.0])), Sample(none, np.array([2.0, 0.5]))]
    other = CategoryDynamics(events, CategoryConfig(), samples=samples)
    every = other.contents(np.arange(2), np.zeros((2, other.n_edges)))
    category = np.zeros(len(events), dtype=np.int64)
    factor = np.where(events.label == 0, 2.0, np.where(events.label == 2, 0.5, 1.0))
    expected = fill(category, 1, events.mass, events.is_signal, events.weight * factor)
    np.testing.assert_allclose(every.background[1].sum(), expected.background.sum())
    np.testing.assert_allclose(every.signal[1].sum(), expected.signal.sum())


def test_the_worth_of_a_move_is_what_the_significance_gains(events: CategoryEvents) -> None:
    features = np.column_stack([events.score, np.log(events.resolution)])
    dynamics = PerEventDynamics(events, features, 3)
    category = np.digitize(events.score, [0.0, 1.0]).astype(np.int64)
    dynamics.sort(category)
    assert (dynamics.worth[~events.is_signal] <= 0).all()
    assert (dynamics.worth[events.is_signal] >= 0).all()
    coordinates = np.array([-1.0, -0.4, 0.0, 0.4, 1.0])
    np.testing.assert_array_equal(dynamics.category(coordinates), [0, 0, 1, 2, 2])
    better = dynamics.worth.argmax(axis=1)  # by the truth: only to see the sign of the worth
    contents = fill(better, 3, events.mass, events.is_signal, events.weight)
    before = fill(category, 3, events.mass, events.is_signal, events.weight)
    assert significance(contents) > significance(before)


def test_samples_are_written_and_read(events: CategoryEvents, tmp_path: Path) -> None:
    events.save(tmp_path / "events.npz")
    found = CategoryEvents.load(tmp_path / "events.npz")
    np.testing.assert_allclose(found.mass, events.mass, rtol=1e-6)
    np.testing.assert_array_equal(found.group, events.group)
    assert SHIPPED.stat().st_size < 3e5
    with pytest.raises(InputError, match="no such sample"):
        CategoryEvents.load(tmp_path / "absent.npz")
    (tmp_path / "wrong.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="not a sample"):
        CategoryEvents.load(tmp_path / "wrong.npz")
