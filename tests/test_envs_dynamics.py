"""Rewards, actions, and what the observation may contain."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from common.config import build
from common.errors import ConfigError
from envs.refinement.config import EnvironmentConfig
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.reward import REWARDS
from envs.refinement.sample import read_sample


def _dynamics(**settings: object) -> RefinementDynamics:
    table, model, config = read_sample()
    return RefinementDynamics(table, model, build(EnvironmentConfig, config.model_dump(), settings))


def _play(dynamics: RefinementDynamics, photon: np.ndarray, action: np.ndarray) -> np.ndarray:
    """Summed rewards of the same action in every step."""
    state, total = dynamics.start(photon), np.zeros(len(photon))
    for _ in range(dynamics.steps):
        state, reward, _ = dynamics.step(state, action)
        total += reward
    return total


def test_rewards_sum_to_what_was_taken_off_the_distance() -> None:
    dynamics = _dynamics()
    photon = np.arange(200)
    start = dynamics.start(photon)
    action = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32)
    state, total = start, np.zeros(200, dtype=np.float32)
    for _ in range(dynamics.steps):
        state, reward, terminated = dynamics.step(state, action)
        total += reward
    assert terminated.all()
    np.testing.assert_allclose(total, start.distance - state.distance, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_moving_to_the_truth_earns_the_whole_distance(steps: int) -> None:
    dynamics = _dynamics(steps=steps)
    away = dynamics.table.target - dynamics.start(np.arange(len(dynamics))).correction
    near = np.flatnonzero(np.all(np.abs(away) < dynamics.ranges, axis=1))[:100]
    action = away[near] / (dynamics.largest_step * steps)
    assert np.abs(action).max() <= 1
    total = _play(dynamics, near, action)
    np.testing.assert_allclose(total, dynamics.start(near).distance, rtol=1e-3, atol=1e-3)


def test_distance_is_as_documented() -> None:
    dynamics = _dynamics()
    state = dynamics.start(np.arange(50))
    away = dynamics.table.target[:50].astype(float) - state.correction
    parts = np.minimum(np.abs(away) / [0.02, 0.03, 0.08], 6) * [1, 0.25, 0.25]
    np.testing.assert_allclose(state.distance, parts.sum(axis=1), rtol=1e-4)


def test_negative_distance_pays_what_is_left() -> None:
    dynamics = _dynamics(reward="negative_distance")
    state = dynamics.start(np.arange(10))
    after, reward, _ = dynamics.step(state, np.zeros((10, 3)))
    np.testing.assert_array_equal(reward, -after.distance)


def test_a_reward_of_ones_own_is_found_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"no reward 'hit'; there are potential"):
        _dynamics(reward="hit")
    hit = {"hit": lambda before, after: (after < 1).astype(np.float32)}
    monkeypatch.setattr("envs.refinement.config.REWARDS", REWARDS | hit)
    monkeypatch.setattr("envs.refinement.dynamics.REWARDS", REWARDS | hit)
    dynamics = _dynamics(reward="hit")
    after, reward, _ = dynamics.step(dynamics.start(np.arange(100)), np.zeros((100, 3)))
    np.testing.assert_array_equal(reward, after.distance < 1)
    assert 0 < reward.sum() < 100


def test_actions_are_clipped_and_in_the_stated_units() -> None:
    dynamics = _dynamics(steps=4, ranges=(0.2, 0.15, 0.3), margin=1.5)
    state = dynamics.start(np.array([0]))
    after, _, _ = dynamics.step(state, np.array([[5.0, -5.0, 0.5]]))
    expected = np.array([0.2, -0.15, 0.15]) * 1.5 / 4
    np.testing.assert_allclose((after.correction - state.correction)[0], expected, rtol=1e-5)


def test_the_last_step_terminates() -> None:
    dynamics = _dynamics(steps=3)
    state = dynamics.start(np.arange(5))
    ended = []
    for _ in range(3):
        state, _, terminated = dynamics.step(state, np.zeros((5, 3)))
        ended.append(terminated.all())
    assert ended == [False, False, True]


def test_observation_holds_no_truth_and_no_other_photon() -> None:
    dynamics = _dynamics()
    photon = np.arange(20)
    table = dynamics.table
    other = replace(table, target=-table.target)
    blind = RefinementDynamics(other, dynamics.model, dynamics.config)
    np.testing.assert_array_equal(
        dynamics.observe(dynamics.start(photon)), blind.observe(blind.start(photon))
    )
    # Alone in the table, a photon looks the same.
    single = RefinementDynamics(table.take(np.array([3])), dynamics.model, dynamics.config)
    np.testing.assert_allclose(
        single.observe(single.start(np.array([0])))[0],
        dynamics.observe(dynamics.start(np.array([3])))[0],
        rtol=1e-6, atol=1e-6,
    )  # fmt: skip
    forbidden = ("m_gg", "mass", "true", "target", "logit", "score")
    assert not [n for n in dynamics.observation_names if any(f in n for f in forbidden)]


def test_observation_follows_the_hypothesis() -> None:
    dynamics = _dynamics()
    state = dynamics.start(np.arange(4))
    after, _, _ = dynamics.step(state, np.full((4, 3), 0.5))
    before, later = dynamics.observe(state), dynamics.observe(after)
    names = np.array(dynamics.observation_names)
    changed = {names[k] for k in np.flatnonzero((before != later).any(axis=0))}
    assert {"correction_log_energy", "correction_u", "correction_v", "step"} <= changed
    assert any(name.startswith("residual") for name in changed)
    assert not any(name in changed for name in dynamics.model.names)


def test_dynamics_can_be_sent_to_another_process() -> None:
    dynamics = _dynamics()
    again = pickle.loads(pickle.dumps(dynamics))
    photon = np.arange(5)
    np.testing.assert_array_equal(
        again.observe(again.start(photon)), dynamics.observe(dynamics.start(photon))
    )


def test_the_start_is_the_standard_reconstruction_or_a_regression() -> None:
    assert not _dynamics(start="standard").start(np.arange(3)).correction.any()
    table, model, config = read_sample()
    start = build(EnvironmentConfig, config.model_dump(), {"start": "regression"})
    with pytest.raises(ConfigError, match="regression"):
        RefinementDynamics(replace(table, regression=None), model, start)
    table = table.with_regression(np.full((len(table), 3), 0.01))
    dynamics = RefinementDynamics(table, model, start)
    np.testing.assert_allclose(dynamics.start(np.arange(3)).correction, 0.01)


def test_without_truth_there_is_no_reward_unless_asked_for() -> None:
    table, model, config = read_sample()
    real = replace(table, target=None)
    with pytest.raises(ConfigError, match="truth"):
        RefinementDynamics(real, model, config)
    dynamics = RefinementDynamics(real, model, config, with_reward=False)
    _, reward, _ = dynamics.step(dynamics.start(np.arange(3)), np.ones((3, 3)))
    assert not reward.any()
