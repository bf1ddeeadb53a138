"""Pictures of the environments: as arrays, in a window, and below a notebook's cell."""

from __future__ import annotations

import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

import envs
from envs.faces.pictures import Window, tiled
from envs.faces.sb3 import DynamicsVecEnv
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.env import PhotonRefinementEnv, make_dynamics
from envs.refinement.render import main

matplotlib.use("Agg")


@cache
def _pictures(seed: int, _again: bool = False) -> list[np.ndarray]:
    """An episode's first and second picture, made once; and again."""
    env = PhotonRefinementEnv(render_mode="rgb_array")
    env.reset(seed=seed)
    first = env.render()
    env.step(np.array([1, 1, -1], dtype=np.float32))
    return [first, env.render()]


def test_pictures_follow_the_hypothesis_and_the_seed() -> None:
    first, second = _pictures(0)
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert (first != second).any()
    again = _pictures(0, True)
    np.testing.assert_array_equal(first, again[0])
    np.testing.assert_array_equal(second, again[1])
    assert (first != _pictures(1)[0]).any()


def test_the_command_line_draws_a_photon_of_the_sample(tmp_path: Path) -> None:
    arguments = ["--photon", "256", "--start", "regression", "--output", str(tmp_path / "p.png")]
    assert main(arguments) == 0
    dynamics = make_dynamics(None, {"start": "regression"})
    expected = dynamics.draw(dynamics.start(np.array([256])))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "p.png")), expected)


def test_a_vector_draws_each_environment() -> None:
    vector = gym.make_vec(envs.ID, num_envs=2, render_mode="rgb_array")
    vector.reset(seed=0)
    images = vector.render()
    np.testing.assert_array_equal(images[0], _pictures(0)[0])
    assert (images[0] != images[1]).any()
    sb3 = DynamicsVecEnv(make_dynamics(), 2, render_mode="rgb_array")
    sb3.seed(0)
    sb3.reset()
    height, width = images[0].shape[:2]
    whole = sb3.render()
    assert whole is not None
    assert whole.size == images[0].size * 2
    np.testing.assert_array_equal(whole[:height, :width], images[0])


def test_a_window_is_updated_by_every_step_and_closed() -> None:
    env = gym.make(envs.ID, render_mode="human")
    before = plt.get_fignums()
    env.reset(seed=0)
    (window,) = set(plt.get_fignums()) - set(before)
    picture = plt.figure(window).axes[0].images[0]
    first = np.asarray(picture.get_array()).copy()
    env.step(np.array([1, 0, 0], dtype=np.float32))
    assert (np.asarray(picture.get_array()) != first).any()
    assert env.render() is None
    assert set(plt.get_fignums()) - set(before) == {window}
    env.close()
    assert plt.get_fignums() == before


@pytest.mark.parametrize("face", ["vector", "sb3"])
def test_many_environments_share_a_window(face: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.zeros((4, 5, 3), dtype=np.uint8)
    monkeypatch.setattr(RefinementDynamics, "draw", lambda *_: picture)
    before = plt.get_fignums()
    if face == "vector":
        env: Any = gym.make_vec(envs.ID, num_envs=3, render_mode="human")
        env.reset(seed=0)
    else:
        env = DynamicsVecEnv(make_dynamics(), 3, render_mode="human")
        env.reset()
    env.step(np.zeros((3, 3), dtype=np.float32))
    assert env.render() is None
    assert len(plt.get_fignums()) == len(before) + 1
    env.close()
    assert plt.get_fignums() == before


def test_pictures_are_tiled_with_white() -> None:
    images = [np.full((2, 3, 3), k, dtype=np.uint8) for k in range(3)]
    found = tiled(images)
    assert found.shape == (4, 6, 3)
    assert found[0, 3, 0] == 1
    assert found[3, 0, 0] == 2
    assert found[3, 5, 0] == 255


def test_a_notebook_shows_one_picture_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    class Handle:
        def update(self, picture: Any) -> None:
            shown.append(picture)

    def display(picture: Any, display_id: bool) -> Handle:
        assert display_id
        shown.append(picture)
        return Handle()

    notebook = types.ModuleType("IPython.display")
    notebook.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    window = Window("title", 2)
    for value in (1, 2):
        window.show(np.full((4, 5, 3), value, dtype=np.uint8))
    assert [picture.size for picture in shown] == [(5, 4), (5, 4)]
    assert [picture.getpixel((0, 0)) for picture in shown] == [(1, 1, 1), (2, 2, 2)]
