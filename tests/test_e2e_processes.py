"""Real processes: killed and resumed, signalled, and several that share one training."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from common.errors import ConfigError
from data.store import EventStore
from e2e.config import InputConfig, NetworkConfig, TrainingConfig
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import Targets
from e2e.labels import Labels
from e2e.training.__main__ import main
from e2e.training.interrupts import EXIT_AGAIN, Stopped
from e2e.training.processes import Processes
from e2e.training.trainer import Trainer, TrainingTask
from e2e.training.training_set import write_training_set
from tests.conftest import ROOT
from tests.synthetic import write_store

SMALL = NetworkConfig(widths=[8], context_widths=[4], hidden=8, photon=4, rings=4, dropout=0.2)
EPOCHS = 3


@pytest.fixture(scope="module")
def training_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trainings: one with dropout and batch normalisation, one without either."""
    folder = tmp_path_factory.mktemp("processes")
    with EventStore(write_store(folder / "events.h5", 200)) as store:
        inputs, labels = read_inputs(store, InputConfig()), Labels.read(store)
    rows = np.flatnonzero(inputs.usable)
    weight = np.linspace(0.5, 1.5, len(inputs)).astype(np.float32)
    targets = Targets({"label": labels.label, "weight": weight, "prompt": labels.prompt})
    training = TrainingConfig(
        epochs=EPOCHS, batch_size=16, checkpoint_seconds=0, tensorboard=False, device="cpu",
        precision="float32", learning_rate=1e-3,
    )  # fmt: skip
    tasks = [
        TrainingTask(
            kind, SMALL.model_copy(update={"kind": kind}), training, InputConfig(), rows[30:],
            rows[:30], targets, seed=3,
        )
        for kind in ("diphoton", "kinematics")
    ]  # fmt: skip
    write_training_set(folder / "set.h5", inputs, tasks, {})
    return folder / "set.h5"


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Processes that need not import torch again."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["e2e.training.__main__", "torch._dynamo", "torch.nn.parallel"])
    return found


def train(
    environment: dict[str, str], words: list[str], victim: tuple[int, int] | None = None
) -> None:
    """Body of a process: the command; `victim` are the batches until it sends itself a signal."""
    os.environ.update(environment, OMP_NUM_THREADS="1")
    if victim is not None:
        step, left = Trainer._train_batch, [victim[0]]

        def dying(self: Trainer, epoch: int, position: int) -> torch.Tensor:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), victim[1])
            return step(self, epoch, position)

        Trainer._train_batch = dying  # type: ignore[method-assign]
    sys.exit(main([*words, "--threads", "1"]))


def launch(
    context: ForkServerContext, words: list[str], world: int, victims: dict[int, Any]
) -> list[int | None]:
    """Run the command in `world` processes that share a training; returns their exit codes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    started = []
    for rank in range(world):
        environment = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        process = context.Process(target=train, args=(environment, words, victims.get(rank)))
        process.start()
        started.append(process)
    for process in started:
        process.join(300)
    return [process.exitcode for process in started]


def weights(folder: Path, name: str = "diphoton") -> dict[str, torch.Tensor]:
    state = torch.load(folder / f"{name}.state.pt", weights_only=True)
    assert state["position"] == [EPOCHS, 0]
    return state["network"]


def same(a: Path, b: Path) -> bool:
    one, other = weights(a), weights(b)
    assert json.loads((a / "diphoton.json").read_text()) == json.loads(
        (b / "diphoton.json").read_text()
    )
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def whole(
    training_set: Path, context: ForkServerContext, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Path]:
    """Uninterrupted trainings of one process and of two."""
    folders = {}
    for world in (1, 2):
        folders[world] = tmp_path_factory.mktemp(f"whole{world}")
        words = [str(training_set), "--output", str(folders[world])]
        assert launch(context, words, world, {}) == [0] * world
    return folders


@pytest.mark.parametrize(
    ("world", "number"),
    [(1, signal.SIGKILL), (1, signal.SIGTERM), (2, signal.SIGKILL), (2, signal.SIGUSR1)],
)
def test_killed_or_signalled_and_resumed_equals_uninterrupted(
    training_set: Path,
    context: ForkServerContext,
    whole: dict[int, Path],
    tmp_path: Path,
    world: int,
    number: int,
) -> None:
    words = [str(training_set), "--output", str(tmp_path), "--only", "diphoton"]
    # A signal that asks to stop reaches one process of two, as a job's launcher may do.
    ranks = range(world) if number == signal.SIGKILL else [world - 1]
    codes = launch(context, words, world, dict.fromkeys(ranks, (14, number)))
    expected = -signal.SIGKILL if number == signal.SIGKILL else EXIT_AGAIN
    assert codes == [expected] * world
    state = torch.load(tmp_path / "diphoton.state.pt", weights_only=True)
    assert sum(state["position"]) > 0 and state["position"][0] < EPOCHS  # noqa: PT018
    assert launch(context, words, world, {}) == [0] * world
    assert same(tmp_path, whole[world])


def test_two_processes_learn_what_one_does(whole: dict[int, Path]) -> None:
    """Without dropout and batch statistics the averaged gradients are those of one process."""
    one, two = weights(whole[1], "kinematics"), weights(whole[2], "kinematics")
    for name in one:
        assert_allclose(two[name], one[name], rtol=2e-4, atol=2e-6)
    logs = [json.loads((whole[n] / "kinematics.json").read_text()) for n in (1, 2)]
    assert_allclose(logs[1][-1]["validation_loss"], logs[0][-1]["validation_loss"], rtol=1e-4)
    # With them it is another training, of about the same quality.
    assert not all(
        torch.equal(a, b)
        for a, b in zip(weights(whole[1]).values(), weights(whole[2]).values(), strict=True)
    )


def test_parts_are_disjoint_and_even() -> None:
    rows = np.random.default_rng(0).permutation(24)
    parts = [Processes(rank, 3).part(rows) for rank in range(3)]
    assert_array_equal(np.sort(np.concatenate(parts)), np.arange(24))
    assert {len(part) for part in parts} == {8}
    with pytest.raises(ConfigError, match="multiple of 3"):
        Processes(0, 3).check(32, 1000)
    with pytest.raises(ConfigError, match="20 training events"):
        Processes(0, 2).check(32, 20)
    assert Processes().part(rows) is not None
    Processes().check(32, 20)


def test_torchrun(training_set: Path, whole: dict[int, Path], tmp_path: Path) -> None:
    """The command as a user gives it."""
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "e2e.training", str(training_set), "--output", str(tmp_path), "--only", "diphoton"],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert same(tmp_path, whole[2])


def test_a_stop_crosses_processes() -> None:
    error = Stopped("network_0")
    kind, arguments = error.__reduce__()
    assert kind(*arguments).code == EXIT_AGAIN
