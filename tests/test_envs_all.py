"""What every registered environment has to do: checks, faces that agree, seeds, pictures."""

from __future__ import annotations

import doctest
import importlib
import warnings
from typing import Any

import gymnasium as gym
import matplotlib
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import envs
from envs.faces.sb3 import DynamicsVecEnv
from envs.faces.single import DynamicsEnv

matplotlib.use("Agg")
IDS = list(envs.ENVIRONMENTS)


def _class(name: str, suffix: str) -> Any:
    module, stem = envs.ENVIRONMENTS[name].split(":")
    return getattr(importlib.import_module(module), stem + suffix)


def _actions(space: gym.spaces.Box, *shape: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (*shape, *space.shape)).astype(np.float32)


@pytest.fixture(scope="module", params=IDS)
def env(request: pytest.FixtureRequest) -> DynamicsEnv:
    """One environment of each kind, made without an argument."""
    made = gym.make(request.param, render_mode="rgb_array").unwrapped
    assert isinstance(made, DynamicsEnv)
    return made


def _name(env: DynamicsEnv) -> str:
    assert env.spec is not None
    return env.spec.id


def test_both_libraries_checks_pass_with_warnings_as_errors(env: DynamicsEnv) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
        check_env_sb3(env)


def test_names_and_bounds_fit_the_spaces(env: DynamicsEnv) -> None:
    dynamics = env.dynamics
    observation, info = env.reset(seed=0)
    assert observation.shape == (len(dynamics.observation_names),)
    assert env.action_space.shape == (len(dynamics.action_names),)
    assert len(set(dynamics.observation_names)) == len(dynamics.observation_names)
    assert dynamics.start_name in info
    forbidden = ("m_gg", "true", "truth", "target")
    assert not [n for n in dynamics.observation_names if any(f in n.lower() for f in forbidden)]
    chosen = len(dynamics) - 1
    assert env.reset(options={dynamics.start_name: chosen})[1][dynamics.start_name] == chosen


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
def test_all_faces_agree_step_by_step(env: DynamicsEnv, mode: str) -> None:
    n, seed, dynamics = 3, 5, env.dynamics
    vector = gym.make_vec(_name(env), num_envs=n, vectorization_mode=mode)
    twin = _class(_name(env), "VectorEnv")(
        n, dynamics=dynamics, autoreset_mode=vector.metadata["autoreset_mode"]
    )
    sb3 = DynamicsVecEnv(dynamics, n)
    sb3.seed(seed)
    np.testing.assert_allclose(sb3.reset(), twin.reset(seed=seed)[0], rtol=1e-5, atol=1e-5)
    vector.reset(seed=seed)
    for actions in _actions(env.action_space, 2 * dynamics.steps + 1, n):
        found, expected = vector.step(actions), twin.step(actions)
        for one, other in zip(found[:4], expected[:4], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(
            found[4][dynamics.start_name], expected[4][dynamics.start_name]
        )
        if mode == "vector_entry_point":
            observation, reward, done, _ = sb3.step(actions)
            np.testing.assert_allclose(observation, expected[0], rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(reward, expected[1], rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(done, expected[2])
    vector.close()


def test_equal_seeds_give_equal_episodes_and_pictures(env: DynamicsEnv) -> None:
    other = _class(_name(env), "Env")(render_mode="rgb_array")
    for seed in (3, None):
        first, second = env.reset(seed=seed), other.reset(seed=seed)
        for action in _actions(env.action_space, env.dynamics.steps):
            np.testing.assert_array_equal(first[0], second[0])
            first, second = env.step(action), other.step(action)
            assert first[1] == second[1]
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    np.testing.assert_array_equal(picture, other.render())


def test_a_window_opens_and_closes(env: DynamicsEnv) -> None:
    before = plt.get_fignums()
    shown = _class(_name(env), "Env")(render_mode="human", dynamics=env.dynamics)
    shown.reset(seed=0)
    assert len(plt.get_fignums()) == len(before) + 1
    shown.close()
    assert plt.get_fignums() == before


def test_the_examples_of_the_docstring_run(env: DynamicsEnv) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner()
    examples = finder.find(type(env), type(env).__name__, globs={})
    assert sum(len(example.examples) for example in examples) >= 4
    for example in examples:
        runner.run(example)
    assert runner.failures == 0


@pytest.mark.parametrize("name", IDS)
def test_ids_carry_a_version_and_a_table_of_contents(name: str) -> None:
    assert name.endswith("-v1")
    text = _class(name, "Env").__doc__
    for heading in (
        "Description", "Action Space", "Observation Space", "Rewards", "Starting State",
        "Episode End", "Arguments", "Version History",
    ):  # fmt: skip
        assert f"## {heading}\n" in text
