"""The calibration environment: what is observed, what is paid, and its faces."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import envs
from common.errors import ConfigError, InputError
from envs.calibration.candidates import SHIPPED, read_candidates, write_candidates
from envs.calibration.config import CalibrationEnvConfig
from envs.calibration.dynamics import CalibratedPairs, ResonanceDynamics
from envs.calibration.features import BOUND, N_SUPERMODULES, features, supermodule
from envs.calibration.sb3 import SharedActorVecEnv
from tests.calibration_samples import candidates

ID = "ResonanceCalibration-v1"


@pytest.fixture(scope="module")
def dynamics() -> ResonanceDynamics:
    return ResonanceDynamics(candidates(500), CalibrationEnvConfig())


def test_it_is_registered_and_needs_no_argument() -> None:
    assert ID in envs.ENVIRONMENTS
    observation, info = gym.make(ID).reset(seed=0)
    assert observation.shape == (92,)
    assert set(info) == {"pair", "correction", "photon_reward"}
    assert SHIPPED.stat().st_size < 300_000


def test_both_libraries_checks_pass_with_warnings_as_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(ID, render_mode="rgb_array").unwrapped)
        check_env_sb3(gym.make(ID))


def test_single_and_vector_face_agree() -> None:
    n, seed = 4, 5
    singles = [gym.make(ID) for _ in range(n)]
    vector = gym.make_vec(ID, num_envs=n)
    alone = np.stack([env.reset(seed=seed + i)[0] for i, env in enumerate(singles)])
    np.testing.assert_array_equal(vector.reset(seed=seed)[0], alone)
    actions = np.random.default_rng(0).uniform(-1, 1, (n, 2)).astype(np.float32)
    reward = vector.step(actions)[1]
    found = [env.step(a) for env, a in zip(singles, actions, strict=True)]
    np.testing.assert_allclose(reward, [f[1] for f in found], rtol=1e-6)
    assert all(f[2] for f in found)


def test_energies_masses_and_partners_are_not_observed() -> None:
    """Whatever a pair's energies and mass: the same places give the same observation."""
    some = candidates(200)
    other = replace(some, energy=2 * some.energy, log_mass=some.log_mass + 0.1)
    settings = CalibrationEnvConfig()
    names, values = features(some, settings)
    np.testing.assert_array_equal(values, features(other, settings)[1])
    assert not [name for name in names if "energy" in name or "mass" in name]
    moved = replace(some, u=np.stack([some.u[:, 0], 169 - some.u[:, 1]], axis=1))
    np.testing.assert_array_equal(values[:, 0], features(moved, settings)[1][:, 0])
    assert np.abs(values).max() <= BOUND


def test_the_trap_and_the_maps_are_observed_only_where_asked_for() -> None:
    some = candidates(50)
    trap, _ = features(some, CalibrationEnvConfig(blocks=["position", "energy"]))
    assert trap[-1] == "log_energy"
    with pytest.raises(ConfigError, match="no maps"):
        features(some, CalibrationEnvConfig(blocks=["position", "maps"]))
    mapped = replace(some, maps=np.full((50, 2), 0.01, dtype=np.float32))
    _, values = features(mapped, CalibrationEnvConfig(blocks=["maps"]))
    np.testing.assert_allclose(values, 1.0, rtol=1e-5)


def test_supermodules_cover_the_barrel() -> None:
    u, v = np.meshgrid(np.arange(170) + 0.5, np.arange(360) + 0.5)
    count = np.bincount(supermodule(u, v).ravel(), minlength=N_SUPERMODULES)
    assert count.tolist() == [85 * 20] * N_SUPERMODULES


@given(
    action=st.lists(st.floats(-2, 2), min_size=2, max_size=2),
    log_mass=st.floats(-0.2, 0.2),
)
def test_rewards_are_what_they_claim(action: list[float], log_mass: float) -> None:
    settings = CalibrationEnvConfig()
    pair = candidates(1).with_log_mass(np.array([log_mass]))
    rules = ResonanceDynamics(pair, settings)
    state = rules.start(np.array([0]))
    after, reward, ended = rules.step(state, np.array([action]))
    change = np.clip(action, -1, 1) * settings.range

    def distance(total: float) -> float:
        return min(abs(log_mass + total / 2) / settings.scale, settings.cap)

    assert ended.all()
    assert reward[0] == pytest.approx(distance(0) - distance(change.sum()), abs=1e-3)
    counterfactual = [distance(change[1 - k]) - distance(change.sum()) for k in (0, 1)]
    np.testing.assert_allclose(rules.photon_rewards(after)[0], counterfactual, atol=1e-3)


def test_cancelling_corrections_earn_nothing_as_a_pair(dynamics: ResonanceDynamics) -> None:
    state = dynamics.start(np.arange(100))
    _, reward, _ = dynamics.step(state, np.tile([0.5, -0.5], (100, 1)))
    np.testing.assert_allclose(reward, 0, atol=1e-5)


def test_the_shared_actor_sees_and_earns_member_by_member(dynamics: ResonanceDynamics) -> None:
    env = SharedActorVecEnv(dynamics, 8)
    env.seed(3)
    seen = env.reset()
    assert seen.shape == (8, len(dynamics.photon_names))
    vector = gym.make_vec(ID, num_envs=4, dynamics=dynamics)
    paired, infos = vector.reset(seed=[3, 5, 7, 9])
    np.testing.assert_array_equal(seen, paired.reshape(8, -1))
    action = np.random.default_rng(1).uniform(-1, 1, (8, 1)).astype(np.float32)
    _, reward, done, news = env.step(action)
    pairs = CalibratedPairs(infos["pair"], dynamics.config.range * action.reshape(4, 2))
    np.testing.assert_allclose(reward, dynamics.photon_rewards(pairs).ravel(), rtol=1e-5, atol=1e-6)
    assert done.all()
    np.testing.assert_array_equal(news[3]["terminal_observation"], seen[3])
    with pytest.raises(ConfigError, match="whole number of pairs"):
        SharedActorVecEnv(dynamics, 7)


def test_candidates_survive_a_file(tmp_path: Path) -> None:
    some = replace(candidates(20), maps=np.zeros((20, 2), dtype=np.float32))
    write_candidates(tmp_path / "some.npz", some, {"range": 0.05})
    found, settings = read_candidates(tmp_path / "some.npz")
    assert settings == {"range": 0.05}
    for name, values in some.columns().items():
        np.testing.assert_array_equal(found.columns()[name], values)
    env = gym.make(ID, sample=tmp_path / "some.npz", cap=3.0)
    assert env.unwrapped.dynamics.config.range == 0.05  # type: ignore[attr-defined]
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="not a file of candidates"):
        read_candidates(tmp_path / "broken.npz")
    with pytest.raises(InputError, match="no such candidates"):
        read_candidates(tmp_path / "absent.npz")


def test_a_detector_without_pairs_has_features_of_none() -> None:
    names, values = features(candidates(4).take(np.arange(0)), CalibrationEnvConfig())
    assert values.shape == (0, 2, len(names))
