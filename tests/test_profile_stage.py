"""The profile stage end to end on a few photons."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from envs.profile.finder import crystals_of
from rl.learning.config import AgentConfig
from rl.profile import baselines, judge
from rl.profile.config import NetworkConfig, ProfileConfig
from rl.profile.samples import load_study
from rl.profile.stage import run
from rl.profile.training import Task, play, tasks_of, train_all
from tests.conftest import REAL_DATA

REAL = REAL_DATA / "real" / "DoublePhoton_Run2012B_0.ig"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ProfileConfig:
    network = NetworkConfig(hidden=[16], epochs=1, batch_size=32)
    return ProfileConfig(
        output=tmp_path_factory.mktemp("runs") / "profile", events=80, pileup=5.0, seeds=1,
        rewards=["l1"], bootstrap=5, workers=1, peer=network, map=network,
        agent=AgentConfig(environments=16, updates=32, hidden=[16]),
        real=[REAL] if REAL.is_file() else [],
    )  # fmt: skip


def test_the_stage_runs_once_and_goes_on_where_it_was_killed(config: ProfileConfig) -> None:
    folder = run(config)
    report = json.loads((folder / "report.json").read_text())
    titles = {table["title"] for table in report["tables"]}
    assert titles >= {"L1", "Wasserstein phi", "Differences", "Seeds", "Worth", "Conversions"}
    assert {figure["name"] for figure in report["figures"]} >= {"examples", "radius", "learning"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["l1"][judge.FIT][0]["value"] < metrics["l1"][judge.MEAN][0]["value"]
    agent = folder / "agent_0.zip"
    made = {path: path.stat().st_mtime_ns for path in folder.glob("*.zip")}
    run(config)  # complete: nothing is made again
    assert all(path.stat().st_mtime_ns == when for path, when in made.items())
    agent.unlink()
    train_all(config, logging.getLogger())
    changed = {path for path, when in made.items() if path.stat().st_mtime_ns != when}
    assert changed == {agent}


def test_controls_and_seeds_are_among_the_tasks(config: ProfileConfig) -> None:
    names = [task.name for task in tasks_of(config)]
    assert len(set(names)) == len(names)
    assert {
        "agent_shuffled",
        "map_shuffled",
        "agent_l1",
        "refiner_0",
        "half_peer_1",
        "score_0",
    } <= set(names)


def test_halves_share_no_event_and_inputs_hold_no_truth(config: ProfileConfig) -> None:
    run(config)
    study = load_study(config.model_dump_json())
    train, test = study.train, study.test
    assert not set(train.photons.photons.group) & set(test.photons.photons.group)
    some = judge.take(test.dynamics, np.arange(5))
    assert some.truth is None
    for name, methods in judge.methods_of(config, study).items():
        drawn = methods[0](some)
        assert drawn.shape == (5, 25, 55), name
        np.testing.assert_allclose(drawn.sum(axis=(1, 2)), 1, atol=1e-3)


def test_upsampled_crystals_keep_their_energy(config: ProfileConfig) -> None:
    run(config)
    table = load_study(config.model_dump_json()).test.photons.photons
    energy = np.maximum(crystals_of(table), 0)
    expected = energy / energy.sum(axis=(1, 2), keepdims=True)
    for upsampled in (baselines.nearest(table), baselines.bicubic(table)):
        cells = upsampled.reshape(-1, 5, 5, 11, 5).sum(axis=(2, 4))
        np.testing.assert_allclose(cells, expected, atol=1e-5)


def test_an_idle_policy_stays_at_the_start(config: ProfileConfig) -> None:
    run(config)
    dynamics = load_study(config.model_dump_json()).test.dynamics
    played = play(dynamics, lambda seen: np.zeros((len(seen), 10), np.float32), at_a_time=7)
    np.testing.assert_allclose(played.peaks[-1], dynamics.first_peaks, atol=1e-6)
    assert played.peaks.shape == (dynamics.steps + 1, len(dynamics), 10)
    assert Task("agent", 1).path(Path("x")) == Path("x/agent_1.zip")
