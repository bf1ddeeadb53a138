"""The same dynamics on tensors: same episodes, same numbers."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import envs
from envs.faces.arrays import host
from envs.faces.sb3 import DynamicsVecEnv
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.env import make_dynamics

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def dynamics() -> RefinementDynamics:
    return make_dynamics(None, {"start": "regression"})


def _actions(n_steps: int, n_envs: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1.2, 1.2, (n_steps, n_envs, 3)).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mode", ["same_step", "next_step"])
def test_tensors_take_the_same_steps(device: str, mode: str) -> None:
    settings = {"start": "regression", "autoreset_mode": gym.vector.AutoresetMode[mode.upper()]}
    arrays = gym.make_vec(envs.ID, num_envs=50, **settings)
    tensors = gym.make_vec(envs.ID, num_envs=50, device=device, **settings)
    expected, found = arrays.reset(seed=3), tensors.reset(seed=3)
    assert isinstance(found[0], torch.Tensor)
    np.testing.assert_allclose(host(found[0]), expected[0], rtol=1e-5, atol=1e-5)
    for actions in _actions(8, 50):
        expected = arrays.step(actions)
        found = tensors.step(torch.as_tensor(actions, device=device))
        assert all(values.device.type == device for values in found[:4])
        for one, other in zip(found[:4], expected[:4], strict=True):
            np.testing.assert_allclose(host(one), other, rtol=1e-5, atol=2e-5)
        np.testing.assert_array_equal(host(found[4]["photon"]), expected[4]["photon"])
        assert ("final_obs" in found[4]) == ("final_obs" in expected[4])


def test_observations_and_rewards_keep_their_types(dynamics: RefinementDynamics) -> None:
    moved = dynamics.to("cpu")
    state = moved.start(np.arange(4))
    after, reward, ended = moved.step(state, np.ones((4, 3)))  # float64 actions
    assert moved.observe(after).dtype is torch.float32
    assert reward.dtype is torch.float32
    assert ended.dtype is torch.bool
    expected = dynamics.step(dynamics.start(np.arange(4)), np.ones((4, 3)))[1]
    assert expected.dtype == np.float32
    # What was moved is a copy: the arrays stay arrays.
    assert isinstance(dynamics.observe(dynamics.start(np.arange(4))), np.ndarray)


def test_agents_and_pictures_work_on_tensors_too(dynamics: RefinementDynamics) -> None:
    moved = dynamics.to("cpu")
    env, reference = DynamicsVecEnv(moved, 4), DynamicsVecEnv(dynamics, 4)
    env.seed(1)
    reference.seed(1)
    np.testing.assert_allclose(env.reset(), reference.reset(), atol=1e-5)
    for actions in _actions(4, 4):
        found, expected = env.step(actions), reference.step(actions)
        assert isinstance(found[0], np.ndarray)
        np.testing.assert_allclose(found[0], expected[0], atol=2e-5)
        np.testing.assert_allclose(found[1], expected[1], atol=2e-5)
    photon = np.array([5])
    picture = moved.draw(moved.start(photon))
    assert np.mean(picture == dynamics.draw(dynamics.start(photon))) > 0.99


def test_without_truth_tensors_earn_nothing(dynamics: RefinementDynamics) -> None:
    blind = RefinementDynamics(dynamics.table, dynamics.model, dynamics.config, with_reward=False)
    moved = blind.to("cpu")
    _, reward, _ = moved.step(moved.start(np.arange(3)), np.ones((3, 3)))
    assert not reward.any()
