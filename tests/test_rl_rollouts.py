"""Rollouts as files: every field, event by event, and through Minari where it is installed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from common.errors import InputError
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.env import make_dynamics
from rl.evaluation.pairs import Pairs
from rl.learning.agents import FloatArray, Policy
from rl.refinement.rollouts import (
    NamedRollout,
    read_rollouts,
    several_rollouts,
    write_rollouts,
)

_EVENTS = 5


def _towards(direction: float) -> Policy:
    def act(observation: FloatArray) -> FloatArray:
        return np.full((len(observation), 3), direction, dtype=np.float32)

    return act


@pytest.fixture(scope="module")
def dynamics() -> RefinementDynamics:
    whole = make_dynamics(None, {"steps": 2})
    first = np.flatnonzero(whole.table.row[1:] == whole.table.row[:-1])[:_EVENTS]
    rows = np.sort(np.concatenate([first, first + 1]))
    return RefinementDynamics(whole.table.take(rows), whole.model, whole.config)


@pytest.fixture(scope="module")
def pairs(dynamics: RefinementDynamics) -> Pairs:
    return Pairs.of(dynamics.table, np.zeros(dynamics.table.row.max() + 1))


@pytest.fixture(scope="module")
def found(dynamics: RefinementDynamics) -> list[NamedRollout]:
    policies = {"up": _towards(0.5), "down": _towards(-0.5)}
    return several_rollouts(dynamics, policies, noise=0.2, copies=1, seed=0)


@pytest.fixture(scope="module")
def folder(
    found: list[NamedRollout], pairs: Pairs, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("rollouts") / "rollouts"
    write_rollouts(path, pairs, found, {"store": "gun.h5"})
    return path


def test_what_was_written_is_read_event_by_event(
    folder: Path, found: list[NamedRollout], pairs: Pairs, dynamics: RefinementDynamics
) -> None:
    rollouts = read_rollouts(folder)
    assert rollouts.policies == ("up", "down", "up with noise 1")
    assert rollouts.observation_names == dynamics.observation_names
    size = dynamics.observation_size
    assert rollouts.observations.shape == (_EVENTS, 3, 2, 3, size)
    assert rollouts.actions.shape == (_EVENTS, 3, 2, 2, 3)
    np.testing.assert_array_equal(rollouts.row, pairs.row)
    np.testing.assert_array_equal(rollouts.label, pairs.label)
    for r, named in enumerate(found):
        for event in range(_EVENTS):
            for slot, photon in enumerate((pairs.first[event], pairs.second[event])):
                assert rollouts.photon[event, slot] == photon
                place = (event, r, slot)
                rollout = named.rollout
                np.testing.assert_array_equal(
                    rollouts.correction[place], rollout.correction[:, photon]
                )
                np.testing.assert_array_equal(rollouts.actions[place], rollout.action[:, photon])
                np.testing.assert_array_equal(rollouts.rewards[place], rollout.reward[:, photon])
        masses = pairs.masses(named.rollout.final)
        np.testing.assert_allclose(rollouts.m_gg[:, r, -1], masses, rtol=1e-6)


def test_observations_are_those_that_the_policy_saw(
    folder: Path, dynamics: RefinementDynamics
) -> None:
    rollouts = read_rollouts(folder)
    state = dynamics.start(np.arange(len(dynamics)))
    for step in range(dynamics.steps + 1):
        seen = rollouts.observations[:, 0, :, step].reshape(len(dynamics), -1)
        np.testing.assert_allclose(
            seen, dynamics.observe(state)[rollouts.photon.ravel()], atol=1e-6
        )
        state, _, _ = dynamics.step(state, np.full((len(dynamics), 3), 0.5))


def test_every_episode_has_minaris_fields(folder: Path) -> None:
    with h5py.File(folder / "data" / "main_data.hdf5") as file:
        assert set(file) == {f"episode_{k}" for k in range(_EVENTS * 3 * 2)}
        episode = file["episode_1"]
        assert set(episode) == {
            "observations", "actions", "rewards", "terminations", "truncations", "infos"
        }  # fmt: skip
        assert set(episode["infos"]) == {
            "correction", "m_gg", "photon", "row", "slot", "label", "policy"
        }  # fmt: skip
        assert episode["terminations"][()].tolist() == [False, True]
        assert not episode["truncations"][()].any()
        assert [len(values) for values in episode["infos"].values()] == [3] * 7
        assert episode["infos/policy"].asstr()[0] == "up"
        assert (episode["infos/slot"][()] == 1).all()


def test_minari_opens_them(folder: Path, dynamics: RefinementDynamics) -> None:
    minari = pytest.importorskip("minari", reason="the optional minari is not installed")
    dataset = minari.MinariDataset(folder / "data")
    assert dataset.total_episodes == _EVENTS * 3 * 2
    assert dataset.total_steps == dataset.total_episodes * dynamics.steps
    rollouts = read_rollouts(folder)
    for episode in dataset.iterate_episodes([0, 7]):
        event, r, slot = np.unravel_index(episode.id, (_EVENTS, 3, 2))
        assert dataset.observation_space.contains(episode.observations[0])
        assert dataset.action_space.contains(episode.actions[-1])
        np.testing.assert_array_equal(episode.rewards, rollouts.rewards[event, r, slot])
        np.testing.assert_array_equal(
            episode.infos["correction"], rollouts.correction[event, r, slot]
        )
    assert len(dataset.sample_episodes(3)) == 3


def test_other_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rollouts"):
        read_rollouts(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "metadata.json").write_text('{"total_episodes": 1}')
    with pytest.raises(InputError, match="not photon-rollouts"):
        read_rollouts(tmp_path)
