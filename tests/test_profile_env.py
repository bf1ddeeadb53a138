"""The shower-profile environment: its faces, its rules, and that the truth stays out of sight."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import envs  # noqa: F401 - registers the environments
from common.errors import ConfigError, InputError
from envs.faces.sb3 import DynamicsVecEnv
from envs.profile.dynamics import ProfileDynamics
from envs.profile.env import make_dynamics
from envs.profile.peaks import NAMES
from envs.profile.render import draw_episode
from envs.profile.sample import SHIPPED, read_sample, write_sample
from envs.profile.simulate import simulate_showers

ID = "ShowerProfile-v1"


@pytest.fixture(scope="module")
def dynamics() -> ProfileDynamics:
    return make_dynamics()


def test_checks_of_both_libraries_pass_with_warnings_as_errors(dynamics: ProfileDynamics) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(ID, dynamics=dynamics).unwrapped)
        check_env(gym.make(ID, dynamics=dynamics, render_mode="rgb_array").unwrapped)
        check_env_sb3(gym.make(ID, dynamics=dynamics))


def test_make_and_make_vec_need_no_argument() -> None:
    assert SHIPPED.stat().st_size < 400_000
    assert gym.make(ID).reset(seed=0)[0].shape == (207,)
    assert gym.make_vec(ID, num_envs=5).reset(seed=0)[0].shape == (5, 207)


def test_single_and_vector_agree(dynamics: ProfileDynamics) -> None:
    vector = gym.make_vec(ID, num_envs=3, dynamics=dynamics)
    observation, _ = vector.reset(seed=5)
    alone = [gym.make(ID, dynamics=dynamics) for _ in range(3)]
    np.testing.assert_array_equal(
        observation, [env.reset(seed=5 + k)[0] for k, env in enumerate(alone)]
    )
    rng = np.random.default_rng(0)
    for _ in range(3):
        action = rng.uniform(-1, 1, (3, len(NAMES))).astype(np.float32)
        observation, reward, *_ = vector.step(action)
        one = [env.step(action[k]) for k, env in enumerate(alone)]
        np.testing.assert_allclose(observation, [o[0] for o in one], atol=1e-5)
        np.testing.assert_allclose(reward, [o[1] for o in one], atol=1e-4)


def test_rewards_are_what_is_taken_off_the_distance(dynamics: ProfileDynamics) -> None:
    rng = np.random.default_rng(1)
    state = first = dynamics.start(np.arange(8))
    total = np.zeros(8)
    ended = np.zeros(8, dtype=bool)
    for _ in range(dynamics.steps):
        assert not ended.any()
        action = rng.uniform(-2, 2, (8, len(NAMES)))
        before = state
        state, reward, ended = dynamics.step(state, action)
        total += reward
        moved = np.abs(state.peaks - before.peaks)[:, 1:9:3]
        assert moved.max() <= dynamics.largest_step[1] + 1e-5  # actions are clipped
    assert ended.all()
    np.testing.assert_allclose(total, first.distance - state.distance, rtol=1e-3, atol=1e-3)


def test_the_truth_changes_rewards_and_nothing_else(dynamics: ProfileDynamics) -> None:
    assert dynamics.truth is not None
    other = ProfileDynamics(
        dynamics.table, dynamics.inputs, dynamics.config, dynamics.truth[::-1],
        dynamics.first_peaks,
    )  # fmt: skip
    without = ProfileDynamics(
        dynamics.table, dynamics.inputs, dynamics.config, None, dynamics.first_peaks
    )
    blind = replace(dynamics.table, target=None)
    no_target = ProfileDynamics(blind, dynamics.inputs, dynamics.config)
    action = np.full((4, len(NAMES)), 0.3, dtype=np.float32)
    seen = []
    for rules in (dynamics, other, without, no_target):
        state, reward, _ = rules.step(rules.start(np.arange(4)), action)
        seen.append((rules.observe(state), rules.draw(state), reward))
        assert set(rules.info(state)) == {"photon", "peaks", "shares"}
    for observation, picture, _ in seen[1:]:
        np.testing.assert_allclose(observation, seen[0][0], atol=1e-4)
        np.testing.assert_array_equal(picture, seen[0][1])
    assert not np.allclose(seen[0][2], seen[1][2])
    assert not seen[2][2].any()


def test_a_picture_with_the_truth_has_to_be_asked_for(dynamics: ProfileDynamics) -> None:
    state = dynamics.start(np.arange(1))
    plain, asked = draw_episode(dynamics, state), draw_episode(dynamics, state, with_truth=True)
    assert asked.shape[0] > plain.shape[0]
    blind = ProfileDynamics(dynamics.table, dynamics.inputs, dynamics.config)
    with pytest.raises(ValueError, match="no true profile"):
        draw_episode(blind, blind.start(np.arange(1)), with_truth=True)


def test_peaks_stay_in_their_window(dynamics: ProfileDynamics) -> None:
    state = dynamics.start(np.arange(16))
    for _ in range(40):
        state, _, _ = dynamics.step(state, np.ones((16, len(NAMES))))
    assert state.peaks[:, 1:9:3].max() <= 2.5
    assert state.peaks[:, 2:9:3].max() <= 5.5
    assert np.isfinite(state.distance).all()
    assert np.abs(dynamics.observe(state)).max() <= dynamics.observation_bound


def test_settings_override_the_sample() -> None:
    assert gym.make(ID, steps=2, start="finder").unwrapped.dynamics.steps == 2  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="steps"):
        gym.make(ID, step=2)


def test_stable_baselines3_vector(dynamics: ProfileDynamics) -> None:
    env = DynamicsVecEnv(dynamics, 6)
    assert env.reset().shape == (6, 207)
    *_, done, infos = env.step(np.zeros((6, len(NAMES)), dtype=np.float32))
    assert not done.any()
    assert infos == [{}] * 6


def test_samples_are_written_and_read(tmp_path: Path, dynamics: ProfileDynamics) -> None:
    showers = simulate_showers(0, 6, 3.0, 1)
    write_sample(tmp_path / "some.npz", showers, dynamics.inputs, dynamics.config)
    photons, inputs, config = read_sample(tmp_path / "some.npz")
    direct = showers.with_profiles()
    np.testing.assert_allclose(
        photons.profile.astype(float), direct.profile.astype(float), atol=2e-3
    )
    np.testing.assert_array_equal(inputs.mean, dynamics.inputs.mean)
    assert config == dynamics.config
    (tmp_path / "none.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="sample"):
        read_sample(tmp_path / "none.npz")
