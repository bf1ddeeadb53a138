"""The one training loop: any network of this package, resumed exactly where it was stopped."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.files import write_json
from common.progress import log, progress
from e2e.config import InputConfig, NetworkConfig, TrainingConfig
from e2e.inputs.augmentation import random_mirror
from e2e.inputs.events import EventInputs, Targets
from e2e.networks import EventNetwork, build_network
from e2e.training.checkpoint import load_state, random_states, restore_random_states, save_state
from e2e.training.devices import autocast, choose_device
from e2e.training.objectives import OBJECTIVES
from e2e.training.prediction import predict_logits

State = dict[str, Any]


@dataclass
class TrainingTask:
    """One network to train.

    Attributes
    ----------
    name
        Of its files.
    network, training, inputs
        Configuration.
    train, validation
        Row numbers of the inputs.
    targets
        What is learned; its rows are those of the inputs, rows outside `train` do not reach the
        loss.
    seed
        Of weights, batches and augmentation.
    objective
        Name of what is optimised, in `e2e.training.objectives.OBJECTIVES`.
    """

    name: str
    network: NetworkConfig
    training: TrainingConfig
    inputs: InputConfig
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    targets: Targets
    seed: int
    objective: str = "classification"

    def fingerprint(self, inputs: EventInputs, needs: Sequence[str]) -> str:
        """Hash of everything that decides the result: a checkpoint of another is not resumed."""
        configs = (self.network, self.training, self.inputs)
        settings = [config.model_dump(mode="json") for config in configs]
        named = json.dumps([settings, self.objective, self.seed], sort_keys=True)
        digest = hashlib.sha256(named.encode())
        for rows in (self.train, self.validation):
            digest.update(np.ascontiguousarray(rows).tobytes())
        digest.update(self.targets.digest(self.train))
        digest.update(inputs.digest(self.train, needs))
        return digest.hexdigest()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches only: batch normalisation dislikes a small last one."""
        return max(len(self.train) // self.training.batch_size, 1)


class Trainer:
    """Train one task; files go to `folder` under the task's name.

    Parameters
    ----------
    task
        What to train.
    inputs
        Inputs of all events; the task's rows refer to them.
    folder
        Where the checkpoint `NAME.state.pt`, the log `NAME.json` and TensorBoard's files go.
    """

    def __init__(self, task: TrainingTask, inputs: EventInputs, folder: Path) -> None:
        self.task, self.inputs, self.folder = task, inputs, folder
        config = task.training
        self.device = choose_device(config.device)
        torch.manual_seed(task.seed)
        self.network: EventNetwork = build_network(task.network, task.inputs)
        self.network.fit_normalisation(inputs, task.train)
        self.objective = OBJECTIVES[task.objective](self.network, config).to(self.device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, config.learning_rate, total_steps=config.epochs * task.steps_per_epoch
        )
        self._fingerprint = task.fingerprint(inputs, self.network.needs)
        self.epoch, self.step = 0, 0  # the sampler's position: the next batch to train on
        self._order, self._shuffled_epoch = task.train, -1
        self.loss_sum = 0.0
        self.history: list[dict[str, Any]] = []

    def run(self, show_progress: bool = True) -> EventNetwork:
        """Train to the end, from the last checkpoint where there is one."""
        self._resume()
        positions = self._positions()
        if show_progress:
            remaining = self.task.training.epochs - self.epoch
            total = remaining * self.task.steps_per_epoch - self.step
            positions = progress(positions, total, desc=self.task.name, unit="batch")
        saved = time.monotonic()
        for epoch, step in positions:
            self._train_batch(self._rows(epoch, step))
            self.epoch, self.step = epoch, step + 1
            if self.step == self.task.steps_per_epoch:
                self._end_epoch()
            if time.monotonic() - saved >= self.task.training.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
        self._save()
        return self.network.eval()

    def _positions(self) -> Iterator[tuple[int, int]]:
        for epoch in range(self.epoch, self.task.training.epochs):
            for step in range(self.step if epoch == self.epoch else 0, self.task.steps_per_epoch):
                yield epoch, step

    def _rows(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Rows of one batch: a function of seed, epoch and step alone."""
        if self._shuffled_epoch != epoch:
            shuffle = np.random.default_rng([self.task.seed, epoch])
            self._order, self._shuffled_epoch = shuffle.permutation(self.task.train), epoch
        size = self.task.training.batch_size
        return self._order[step * size : (step + 1) * size]

    def _train_batch(self, rows: NDArray[np.int64]) -> None:
        config = self.task.training
        self.network.train()
        inputs = self.inputs.batch(rows, self.network.needs, self.device)
        targets, target_images = self.task.targets.batch(rows, self.device)
        if config.augment:
            mirrored = random_mirror(inputs | target_images)
            inputs = {name: mirrored[name] for name in inputs}
            target_images = {name: mirrored[name] for name in target_images}
        with autocast(config.precision, self.device):
            loss = self.objective(inputs, targets, target_images)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.scheduler.step()
        self.loss_sum += float(loss.detach())

    def _end_epoch(self) -> None:
        rate = self.scheduler.get_last_lr()[0]
        record = {
            "epoch": self.epoch + 1,
            "loss": self.loss_sum / self.task.steps_per_epoch,
            "learning_rate": rate,
            **self._validate(),
        }
        self.history.append(record)
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0
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
        from torch.utils.tensorboard import SummaryWriter

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
        state: State = {
            "fingerprint": self._fingerprint,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "position": [self.epoch, self.step],
            "loss_sum": self.loss_sum,
            "history": self.history,
            "random": random_states(),
        }
        save_state(self._path, state)

    def _resume(self) -> None:
        state = load_state(self._path, self._fingerprint)
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.epoch, self.step = state["position"]
        self.loss_sum, self.history = state["loss_sum"], state["history"]
        restore_random_states(state["random"])
        if self.epoch < self.task.training.epochs:
            log.info("%s: resumed at epoch %d, step %d", self.task.name, self.epoch + 1, self.step)
