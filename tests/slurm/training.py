"""A training as a job: signalled, requeued, and trained to the same weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from data.store import EventStore
from e2e.config import InputConfig, NetworkConfig, TrainingConfig
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import Targets
from e2e.labels import Labels
from e2e.training.task import TrainingTask
from e2e.training.training_set import write_training_set
from tests.synthetic import write_store

if TYPE_CHECKING:
    from tests.slurm.checks import Bench


def check_training(bench: Bench) -> None:
    """A training that is signalled goes back into the queue and ends with the same weights."""
    source, study = bench.folder / "source", bench.study
    _write_set(study / "set.h5")
    command = [sys.executable, "-m", "e2e.training", str(study / "set.h5")]
    alone = [*command, "--output", str(study / "alone"), "--threads", "1"]
    subprocess.run(alone, cwd=source, env=bench.environment, check=True, capture_output=True)
    words = {
        "TRAINING_SET": str(study / "set.h5"), "OUTPUT": str(study / "job"),
        "LAUNCH": f"{sys.executable} -m e2e.training", "OPTIONS": "--threads 1",
    }  # fmt: skip
    script = source / "batch" / "slurm" / "training.sh"
    submit = ["sbatch", "--parsable", "--mem=1G", f"--output={study}/training.log", str(script)]
    job = subprocess.run(
        submit, cwd=source, env=bench.environment | words, check=True, capture_output=True,
        text=True,
    ).stdout.strip()  # fmt: skip
    state = study / "job" / "network.state.pt"
    bench.wait(state.is_file, "a checkpoint")
    # What Slurm sends before a time limit, without waiting for one.
    bench.slurm("scancel", "--batch", "--signal=USR1", job)
    bench.wait(lambda: "PENDING" in bench.queue().values(), "the requeued job")
    position = torch.load(state, weights_only=True)["position"]
    assert position[0] < _EPOCHS, "it had already ended"
    bench.wait(lambda: not bench.queue(), "the job's second run", seconds=400)
    log = (study / "training.log").read_text()
    assert bench.state(job) == "COMPLETED", log
    assert "resumed at epoch" in log, log
    assert "Restarts=1" in bench.slurm("scontrol", "show", "job", job)
    one, other = (
        torch.load(study / name / "network.state.pt", weights_only=True)
        for name in ("alone", "job")
    )
    assert one["position"] == other["position"] == [_EPOCHS, 0]
    assert all(torch.equal(one["network"][n], other["network"][n]) for n in one["network"])


_EPOCHS = 40


def _write_set(path: Path) -> None:
    with EventStore(write_store(path.with_name("train.h5"), 200)) as store:
        inputs, labels = read_inputs(store, InputConfig()), Labels.read(store)
    rows = np.flatnonzero(inputs.usable)
    weight = np.ones(len(inputs), dtype=np.float32)
    targets = Targets({"label": labels.label, "weight": weight, "prompt": labels.prompt})
    training = TrainingConfig(
        epochs=_EPOCHS, batch_size=16, checkpoint_seconds=0, tensorboard=False, device="cpu",
        precision="float32",
    )  # fmt: skip
    task = TrainingTask(
        "network", NetworkConfig(), training, InputConfig(), rows[30:], rows[:30], targets, seed=1
    )
    write_training_set(path, inputs, [task], {})
