"""A training that was interrupted ends as one that was left alone; strangers are refused."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.config import build
from common.errors import InputError
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.env import make_dynamics
from rl.learning.agents import policy_of
from rl.learning.checkpoint import Checkpoint, CheckpointWriter
from rl.learning.config import AgentConfig
from rl.learning.training import train_agent
from rl.refinement.episodes import measure
from tests.conftest import ROOT

UPDATES = 96


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _dynamics() -> RefinementDynamics:
    return make_dynamics(None, {"steps": 2, "blocks": ["kinematics", "residual"]})


def _config(**settings: Any) -> AgentConfig:
    small = {
        "updates": UPDATES, "environments": 64, "batch_size": 64, "buffer_size": 700,
        "hidden": [16], "noise": 0.4, "final_noise": 0.1, "averaged": True,
    }  # fmt: skip
    return build(AgentConfig, small, settings)


def _checkpoint(path: Path, config: AgentConfig, **identity: Any) -> Checkpoint:
    known = {"configuration": config.model_dump(), "classifier": "abc", **identity}
    return Checkpoint(path, known, every=16, normalisation={"mean": np.arange(3.0)})


def _train(config: AgentConfig, checkpoint: Checkpoint | None = None) -> dict[str, Any]:
    """Everything that two trainings can be compared by."""
    dynamics = _dynamics()
    agent, curve = train_agent(dynamics, config, 3, measure(dynamics), 3, checkpoint=checkpoint)
    observation = dynamics.observe(dynamics.start(np.arange(40)))
    return {
        "policy": policy_of(agent)(observation),
        "weights": [p.detach().numpy() for p in agent.policy.parameters()],
        "curve": [{k: v for k, v in point.items() if k != "seconds"} for point in curve],
        "counters": [agent.num_timesteps, agent._n_updates],
        "next": [np.random.random(), torch.rand(1).item()],  # noqa: NPY002
    }


class _Killed(Exception):
    pass


@pytest.mark.parametrize(
    "settings",
    [{}, {"single_noise": True, "weight_decay": 0.5}, {"gamma": 0.9}, {"algorithm": "TD3"},
     {"algorithm": "SAC"}],
)  # fmt: skip
def test_resumed_equals_uninterrupted_bit_for_bit(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(**settings)
    checkpoint = _checkpoint(tmp_path / "agent.ckpt", config)
    expected = _train(config)
    write = CheckpointWriter._on_rollout_start

    def killed_halfway(self: CheckpointWriter) -> None:
        write(self)
        if self._updates >= UPDATES // 2:
            raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "_on_rollout_start", killed_halfway)
        with pytest.raises(_Killed):
            _train(config, checkpoint)
    assert checkpoint.path.is_file()
    np.random.seed(99)  # noqa: NPY002 - what happens in between must not matter
    torch.manual_seed(99)
    _same(_train(config, checkpoint), expected)


_VICTIM = """
import sys, time
from pathlib import Path
import torch
import tests.test_rl_checkpoint as t
from rl.learning.checkpoint import Checkpoint
torch.set_num_threads(1)
write = Checkpoint.write
def write_and_wait(self, agent, curve):
    write(self, agent, curve)
    if agent._n_updates >= t.UPDATES // 2:
        time.sleep(600)
Checkpoint.write = write_and_wait
config = t._config()
t._train(config, t._checkpoint(Path(sys.argv[1]), config))
"""


def test_a_killed_process_is_continued_by_another(tmp_path: Path) -> None:
    config = _config()
    checkpoint = _checkpoint(tmp_path / "agent.ckpt", config)
    victim = subprocess.Popen([sys.executable, "-c", _VICTIM, str(checkpoint.path)], cwd=ROOT)
    try:
        while _updates(checkpoint.path) < UPDATES // 2 and victim.poll() is None:
            time.sleep(0.05)
        assert victim.poll() is None
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    _same(_train(config, checkpoint), _train(config))
    assert torch.load(checkpoint.path, weights_only=True)["normalisation"]["mean"].tolist() == [
        0, 1, 2,
    ]  # fmt: skip


def _updates(path: Path) -> int:
    if not path.is_file():
        return 0
    return torch.load(path, weights_only=True)["counters"]["_n_updates"]


def test_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    config = _config(updates=32)
    path = tmp_path / "agent.ckpt"
    _train(config, _checkpoint(path, config))
    with pytest.raises(InputError, match="another classifier: abc there, xyz here"):
        _train(config, _checkpoint(path, config, classifier="xyz"))
    with pytest.raises(InputError, match="another configuration"):
        _train(_config(updates=48), _checkpoint(path, _config(updates=48)))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        _train(config, _checkpoint(path, config))


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    config = _config(updates=32)
    checkpoint = _checkpoint(tmp_path / "agent.ckpt", config)
    first = _train(config, checkpoint)
    assert torch.load(checkpoint.path, weights_only=True)["counters"]["_n_updates"] == 16
    _same(_train(config, checkpoint), first)


def _same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    np.testing.assert_array_equal(found["policy"], expected["policy"])
    for one, other in zip(found["weights"], expected["weights"], strict=True):
        np.testing.assert_array_equal(one, other)
    for key in ("curve", "counters", "next"):
        assert found[key] == expected[key], key
