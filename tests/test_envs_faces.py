"""The three faces of the environment: checks by their own libraries, and agreement."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import envs
from common.errors import ConfigError
from envs.faces.sb3 import DynamicsVecEnv
from envs.faces.starts import draw_starts
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.env import PhotonRefinementVectorEnv, make_dynamics
from envs.refinement.sample import SHIPPED


@pytest.fixture(scope="module")
def dynamics() -> RefinementDynamics:
    return make_dynamics(None, {})


def _actions(n_steps: int, n_envs: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (n_steps, n_envs, 3)).astype(np.float32)


def test_gymnasium_checks_pass_with_warnings_as_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(envs.ID).unwrapped)
        check_env(gym.make(envs.ID, render_mode="rgb_array").unwrapped)


def test_stable_baselines3_checks_pass_with_warnings_as_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env_sb3(gym.make(envs.ID))


def test_make_and_make_vec_need_no_argument() -> None:
    assert gym.make(envs.ID).reset(seed=0)[0].shape == (196,)
    vector = gym.make_vec(envs.ID, num_envs=64)
    assert isinstance(vector, PhotonRefinementVectorEnv)
    assert vector.reset(seed=0)[0].shape == (64, 196)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


@pytest.mark.parametrize("mode", ["sync", "async", "vector_entry_point"])
def test_make_vec_works_in_every_mode_with_every_keyword(mode: str) -> None:
    keywords: dict[str, Any] = {
        "steps": 2, "start": "regression", "sample": SHIPPED, "render_mode": "rgb_array",
        "reward": "negative_distance", "blocks": ["kinematics", "residual"],
    }  # fmt: skip
    vector = gym.make_vec(envs.ID, num_envs=2, vectorization_mode=mode, **keywords)
    native = PhotonRefinementVectorEnv(
        2, autoreset_mode=vector.metadata["autoreset_mode"], **keywords
    )
    found, expected = vector.reset(seed=4), native.reset(seed=4)
    for actions in _actions(5, 2):
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(found[-1]["photon"], expected[-1]["photon"])
        found, expected = vector.step(actions), native.step(actions)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found[2], expected[2])
    vector.close()


def test_the_shipped_sample_is_small() -> None:
    assert SHIPPED.stat().st_size < 1.5e6


def test_settings_override_the_sample() -> None:
    env = gym.make(envs.ID, steps=2, blocks=["kinematics"])
    observation, _ = env.reset(seed=0)
    assert observation.shape == (14,)
    assert [env.step(env.action_space.sample())[2] for _ in range(2)] == [False, True]
    with pytest.raises(ConfigError, match="steps"):
        gym.make(envs.ID, step=2)


def test_equal_seeds_give_equal_episodes() -> None:
    first, second = gym.make(envs.ID), gym.make(envs.ID)
    for seed in (3, None, None):
        a, info_a = first.reset(seed=seed)
        b, info_b = second.reset(seed=seed)
        assert info_a["photon"] == info_b["photon"]
        np.testing.assert_array_equal(a, b)
        for action in _actions(4, 1)[:, 0]:
            one, two = first.step(action), second.step(action)
            np.testing.assert_array_equal(one[0], two[0])
            assert one[1:4] == two[1:4]


def test_all_faces_agree_step_by_step(dynamics: RefinementDynamics) -> None:
    n, seed = 5, 11
    singles = [gym.make(envs.ID) for _ in range(n)]
    vector = gym.make_vec(envs.ID, num_envs=n)
    sb3 = DynamicsVecEnv(dynamics, n)
    sb3.seed(seed)
    alone = np.stack([env.reset(seed=seed + i)[0] for i, env in enumerate(singles)])
    together, infos = vector.reset(seed=seed)
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(sb3.reset(), together)
    for step, actions in enumerate(_actions(3 * dynamics.steps, n)):
        results = [env.step(action) for env, action in zip(singles, actions, strict=True)]
        observation, reward, terminated, truncated, infos = vector.step(actions)
        sb3_observation, sb3_reward, done, sb3_infos = sb3.step(actions)
        np.testing.assert_array_equal(observation, sb3_observation)
        np.testing.assert_array_equal(reward, sb3_reward)
        np.testing.assert_array_equal(terminated, done)
        np.testing.assert_allclose(reward, [r[1] for r in results], rtol=1e-5, atol=1e-6)
        assert not truncated.any()
        last = np.stack([r[0] for r in results])
        if (step + 1) % dynamics.steps:
            assert not terminated.any()
            np.testing.assert_allclose(observation, last, rtol=1e-6, atol=1e-6)
            continue
        assert terminated.all()
        np.testing.assert_allclose(infos["final_obs"], last, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(sb3_infos[2]["terminal_observation"], infos["final_obs"][2])
        alone = np.stack([env.reset()[0] for env in singles])
        np.testing.assert_allclose(observation, alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_autoreset_equals_gymnasiums_own_vector(mode: AutoresetMode) -> None:
    n = 3
    native = PhotonRefinementVectorEnv(n, autoreset_mode=mode, steps=2)
    reference = gym.vector.SyncVectorEnv(
        [lambda: gym.make(envs.ID, steps=2)] * n, autoreset_mode=mode
    )
    a, b = native.reset(seed=1)[0], reference.reset(seed=1)[0]
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    for actions in _actions(7, n):
        found, expected = native.step(actions), reference.step(actions)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found[2], expected[2])
        np.testing.assert_array_equal(found[4]["photon"], expected[4]["photon"])
        assert ("final_obs" in found[4]) == ("final_obs" in expected[4])


def test_disabled_autoreset_takes_a_mask() -> None:
    env = PhotonRefinementVectorEnv(4, autoreset_mode=AutoresetMode.DISABLED, steps=1)
    before, _ = env.reset(seed=0)
    after, _, terminated, _, _ = env.step(np.zeros((4, 3), dtype=np.float32))
    assert terminated.all()
    with pytest.raises(gym.error.ResetNeeded, match="reset_mask"):
        env.step(np.zeros((4, 3), dtype=np.float32))
    mask = np.array([True, False, True, False])
    fresh, infos = env.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(fresh[~mask], after[~mask])
    assert not np.allclose(fresh[mask], before[mask])
    np.testing.assert_array_equal(infos["_photon"], mask)


def test_options_choose_the_photon() -> None:
    assert gym.make(envs.ID).reset(options={"photon": 7})[1]["photon"] == 7
    vector = PhotonRefinementVectorEnv(3)
    _, infos = vector.reset(options={"photon": [5, 6, 7]})
    np.testing.assert_array_equal(infos["photon"], [5, 6, 7])


def test_drawn_photons_are_uniform_and_differ_between_environments() -> None:
    seeds = np.arange(20000, dtype=np.uint64)
    photons = draw_starts(seeds, np.zeros_like(seeds), 100)
    counts = np.bincount(photons, minlength=100)
    assert counts.min() > 140
    assert counts.max() < 260
    later = draw_starts(seeds, np.ones_like(seeds), 100)
    assert np.mean(photons == later) < 0.02


def test_steps_before_a_reset_are_refused() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        PhotonRefinementVectorEnv(2).step(np.zeros((2, 3), dtype=np.float32))


def test_a_missing_sample_is_named(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"nothing\.npz"):
        gym.make(envs.ID, sample=tmp_path / "nothing.npz")
