"""The one training loop: any network of this package, resumed exactly where it was stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.errors import PipelineError
from common.files import write_json
from common.progress import log, progress
from e2e.inputs.events import EventInputs
from e2e.networks import EventNetwork, build_network
from e2e.training.batches import Batch, Batches
from e2e.training.checkpoint import load_state, random_states, restore_random_states, save_state
from e2e.training.devices import autocast, choose_device, reside
from e2e.training.interrupts import Interrupts, Stopped
from e2e.training.objectives import OBJECTIVES
from e2e.training.prediction import predict_logits
from e2e.training.processes import Processes
from e2e.training.schedule import EarlyStopping, make_scheduler
from e2e.training.task import TrainingTask

__all__ = ["Trainer", "TrainingTask"]
State = dict[str, Any]
_WITHIN_BATCH = 2  # tells these random numbers from those of order and augmentation


class Trainer:
    """Train one task; files go to `folder` under the task's name.

    All random numbers of a batch are functions of the task's seed, the epoch, the step and the
    event (for dropout: the process), so that they are the same after a kill and on any number of
    processes.

    Parameters
    ----------
    task
        What to train.
    inputs
        Inputs of all events; the task's rows refer to them.
    folder
        Where the checkpoint `NAME.state.pt`, the log `NAME.json` and TensorBoard's files go.
    processes
        Those that share the training; by default this one alone.
    device, precision
        Instead of what the task's configuration says.
    """

    def __init__(
        self,
        task: TrainingTask,
        inputs: EventInputs,
        folder: Path,
        processes: Processes | None = None,
        device: torch.device | None = None,
        precision: str | None = None,
    ) -> None:
        self.task, self.inputs, self.folder = task, inputs, folder
        self.processes = processes or Processes()
        config = task.training
        self.processes.check(config.batch_size, len(task.train))
        self.device = device or choose_device(config.device)
        self.precision = precision or config.precision
        torch.manual_seed(task.seed)
        self.network: EventNetwork = build_network(task.network, task.inputs)
        self.network.fit_normalisation(inputs, task.train)
        self.objective = OBJECTIVES[task.objective](self.network, config).to(self.device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        steps = config.epochs * task.steps_per_epoch
        self.scheduler = make_scheduler(self.optimiser, config, steps)
        self.stopping = EarlyStopping(config)
        self._fingerprint = task.fingerprint(inputs, self.network.needs)
        self.epoch, self.step = 0, 0  # the sampler's position: the next batch to train on
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self.history: list[dict[str, Any]] = []
        self.batches = Batches(task, inputs, self.network.needs, self.processes, self.device)
        self._loss = self.processes.wrapped(self.objective, self.device)
        if config.compile:
            self._loss.compile(dynamic=False)
        if config.resident:
            reside(self.inputs, task.targets, self.network.needs, self.device)

    def run(self, show_progress: bool = True) -> EventNetwork:
        """Train to the end, from the last checkpoint where there is one.

        Raises
        ------
        Stopped
            On SIGTERM or SIGUSR1, when the checkpoint has been written.
        PipelineError
            If the loss is no longer a number.
        """
        self._resume()
        positions = self._positions()
        if show_progress and self.processes.is_first:
            remaining = self.task.training.epochs - self.epoch
            total = remaining * self.task.steps_per_epoch - self.step
            positions = progress(positions, total, desc=self.task.name, unit="batch")
        saved = time.monotonic()
        with Interrupts() as interrupts:
            for epoch, step in positions:
                self._train_batch(epoch, step)
                self.epoch, self.step = epoch, step + 1
                if self.step == self.task.steps_per_epoch:
                    self._end_epoch()
                if self.processes.any(interrupts.requested):
                    self._save()
                    raise Stopped(self.task.name)
                if time.monotonic() - saved >= self.task.training.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
        self._save()
        self.stopping.restore(self.network)
        return self.network.eval()

    def _positions(self) -> Iterator[tuple[int, int]]:
        for epoch in range(self.epoch, self.task.training.epochs):
            if self.stopping.is_over:
                return
            for step in range(self.step if epoch == self.epoch else 0, self.task.steps_per_epoch):
                yield epoch, step

    def _train_batch(self, epoch: int, step: int) -> torch.Tensor:
        """One step on one batch; returns its loss, on the device."""
        return self._learn(self.batches.get(epoch, step))

    def _learn(self, batch: Batch) -> torch.Tensor:
        self.network.train()
        torch.manual_seed(self._seed())
        with autocast(self.precision, self.device):
            loss = self._loss(*batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.scheduler.step()
        self._loss_sum += loss.detach()  # stays on the device, which need not be waited for
        return loss.detach()

    def _seed(self) -> int:
        """Of what is drawn within a batch: dropout, in this process."""
        position = [self.task.seed, self.epoch, self.step, self.processes.rank, _WITHIN_BATCH]
        return int(np.random.SeedSequence(position).generate_state(1)[0])

    def _end_epoch(self) -> None:
        record = {
            "epoch": self.epoch + 1,
            "loss": float(self._loss_sum) / self.task.steps_per_epoch,
            "learning_rate": self.scheduler.get_last_lr()[0],
        }
        if not math.isfinite(record["loss"]):
            raise PipelineError(
                f"{self.task.name}: the loss of epoch {self.epoch + 1} is not a number; lower "
                "training.learning_rate, or use training.precision=float32"
            )
        # By the first process alone: all must come to the same decision.
        found = self._validate() if self.processes.is_first else {}
        record |= self.processes.from_first(found)
        self.stopping.update(record, self.network)
        self.history.append(record)
        self.epoch, self.step = self.epoch + 1, 0
        self._loss_sum.zero_()
        if not self.processes.is_first:
            return
        write_json(self.folder / f"{self.task.name}.json", self.history)
        if self.task.training.tensorboard:
            self._write_tensorboard(record)
        log.debug("%s: %s", self.task.name, record)

    def _validate(self) -> dict[str, float]:
        rows = self.task.validation
        if len(rows) == 0:
            return {}
        outputs = predict_logits(self.network, self.inputs, rows, self.device, mirrors=False)
        tables = {name: values[rows] for name, values in self.task.targets.tables.items()}
        return self.objective.validate(outputs, tables)

    def _write_tensorboard(self, record: dict[str, Any]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:  # the JSON log holds the same
            return
        folder = str(self.folder / "tensorboard" / self.task.name)
        # purge_step drops what a killed run wrote beyond the checkpoint.
        with SummaryWriter(folder, purge_step=record["epoch"]) as writer:
            for name, value in record.items():
                if name != "epoch" and math.isfinite(value):
                    writer.add_scalar(name, value, record["epoch"])

    @property
    def _path(self) -> Path:
        return self.folder / f"{self.task.name}.state.pt"

    def _save(self) -> None:
        if not self.processes.is_first:
            return
        state: State = {
            "fingerprint": self._fingerprint,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "stopping": self.stopping.state_dict(),
            "position": [self.epoch, self.step],
            "loss_sum": float(self._loss_sum),
            "history": self.history,
            "random": random_states(),
        }
        save_state(self._path, state)

    def _resume(self) -> None:
        state = load_state(self._path, self._fingerprint) if self.processes.is_first else None
        state = self.processes.from_first(state)
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.stopping.load_state_dict(state["stopping"])
        self.epoch, self.step = state["position"]
        self._loss_sum.fill_(state["loss_sum"])
        self.history = state["history"]
        restore_random_states(state["random"])
        if self.epoch < self.task.training.epochs and not self.stopping.is_over:
            log.info("%s: resumed at epoch %d, step %d", self.task.name, self.epoch + 1, self.step)
