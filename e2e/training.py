"""The one training loop: any network of this package, resumed exactly where it was stopped."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from common.files import write_json
from common.progress import log, progress
from e2e.augmentation import random_mirror
from e2e.checkpoint import load_state, random_states, restore_random_states, save_state
from e2e.config import InputConfig, NetworkConfig, TrainingConfig
from e2e.datasets import EventInputs
from e2e.devices import autocast, choose_device
from e2e.networks import EventNetwork, build_network
from e2e.prediction import predict_logits
from e2e.scores import pair_aucs

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
    label, weight
        (N,) class and weight of every event; rows outside `train` do not reach the loss.
    prompt
        (N, 2) whether each photon is prompt, NaN where unknown; for the auxiliary loss.
    seed
        Of weights, batches and augmentation.
    """

    name: str
    network: NetworkConfig
    training: TrainingConfig
    inputs: InputConfig
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    label: NDArray[np.int64]
    weight: NDArray[np.float32]
    prompt: NDArray[np.float32]
    seed: int

    def fingerprint(self, inputs: EventInputs) -> str:
        """Hash of everything that decides the result: a checkpoint of another is not resumed."""
        configs = (self.network, self.training, self.inputs)
        settings = [config.model_dump(mode="json") for config in configs]
        digest = hashlib.sha256(json.dumps([settings, self.seed], sort_keys=True).encode())
        learned = (self.label, self.weight, self.prompt)
        for array in (self.train, self.validation, *(column[self.train] for column in learned)):
            digest.update(np.ascontiguousarray(array).tobytes())
        for array in (inputs.kinematics[self.train], inputs.crops.value, inputs.context.value):
            digest.update(np.ascontiguousarray(array).tobytes())
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
        self.network.fit_normalisation(inputs.kinematics[task.train])
        self.network.to(self.device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, config.learning_rate, total_steps=config.epochs * task.steps_per_epoch
        )
        self.label = torch.from_numpy(task.label)
        self.weight = torch.from_numpy(task.weight)
        self.prompt = torch.from_numpy(task.prompt)
        self._fingerprint = task.fingerprint(inputs)
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
        if config.augment:
            inputs = random_mirror(inputs)
        with autocast(config.precision, self.device):
            features = self.network.forward_features(inputs)
            logits = self.network.forward_head(features)
            prompt_logits = self.network.forward_prompt(features)
        losses = functional.cross_entropy(
            logits.float(),
            self.label[rows].to(self.device),
            reduction="none",
            label_smoothing=config.label_smoothing,
        )
        if prompt_logits is not None and config.prompt_loss > 0:
            losses = losses + config.prompt_loss * self._prompt_losses(prompt_logits, rows)
        loss = (losses * self.weight[rows].to(self.device)).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        self.scheduler.step()
        self.loss_sum += float(loss.detach())

    def _prompt_losses(self, logits: torch.Tensor, rows: NDArray[np.int64]) -> torch.Tensor:
        """(B,) mean over the photons whose origin is known."""
        target = self.prompt[rows].to(self.device)
        known = torch.isfinite(target)
        losses = functional.binary_cross_entropy_with_logits(
            logits.float(), torch.where(known, target, 0.0), reduction="none"
        )
        return (losses * known).mean(dim=1)

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
        logits = predict_logits(self.network, self.inputs, rows, self.device, mirrors=False)
        label = self.task.label[rows]
        loss = functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(label))
        aucs = {f"auc_{name}": value for name, value in pair_aucs(logits, label).items()}
        return {"validation_loss": float(loss), **aucs}

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
