"""The batches of a training: sparse rows to dense, augmented tensors on the device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from e2e.inputs.augmentation import draw_mirrors
from e2e.inputs.events import EventInputs
from e2e.inputs.sparse import Mirrors
from e2e.training.processes import Processes
from e2e.training.task import TrainingTask

# Inputs, targets, images among the targets.
Batch = tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]
_AT_ONCE = 16  # batches made together on a GPU, where it is starting kernels that takes time


class Batches:
    """Batches by epoch and step, of which they are a function together with the task's seed.

    Parameters
    ----------
    task, inputs, needs
        Whose batches; `needs` names the images and tables of the inputs.
    processes
        Each gets its part of every batch.
    device
        Where the tensors are to be.
    """

    def __init__(
        self,
        task: TrainingTask,
        inputs: EventInputs,
        needs: Sequence[str],
        processes: Processes,
        device: torch.device,
    ) -> None:
        self.task, self.inputs, self.needs = task, inputs, needs
        self.processes, self.device = processes, device
        self.at_once = _AT_ONCE if device.type == "cuda" else 1
        self._epoch, self._order = -1, task.train
        self._mirrors: Mirrors | None = None
        self._made: dict[tuple[int, int], Batch] = {}

    def get(self, epoch: int, step: int) -> Batch:
        """One batch, or this process's part of it."""
        if (epoch, step) not in self._made:
            last = min(step + self.at_once, self.task.steps_per_epoch)
            self._made = self._make(epoch, range(step, last))
        return self._made[epoch, step]

    def rows(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Rows of one batch of all processes."""
        self._begin(epoch)
        return self._order[self._slice(step)]

    def _make(self, epoch: int, steps: range) -> dict[tuple[int, int], Batch]:
        self._begin(epoch)
        slices = [self._slice(step) for step in steps]
        rows = self._parts(self._order, slices)
        mirrors = None
        if self._mirrors is not None:
            mirrors = Mirrors(*(self._parts(chosen, slices) for chosen in self._mirrors))
        inputs = self.inputs.batch(rows, self.needs, self.device, mirrors)
        targets, images = self.task.targets.batch(rows, self.device, mirrors)
        size = len(rows) // len(steps)
        return {
            (epoch, step): (
                _part(inputs, i, size),
                _part(targets, i, size),
                _part(images, i, size),
            )
            for i, step in enumerate(steps)
        }

    def _begin(self, epoch: int) -> None:
        """Order and mirrors of all events in an epoch."""
        if self._epoch == epoch:
            return
        seed, train = self.task.seed, self.task.train
        self._epoch, self._order = epoch, np.random.default_rng([seed, epoch]).permutation(train)
        if self.task.training.augment:
            self._mirrors = draw_mirrors(len(train), [seed, epoch, 1])

    def _slice(self, step: int) -> slice:
        size = self.task.training.batch_size
        return slice(step * size, (step + 1) * size)

    def _parts(self, values: NDArray, slices: Sequence[slice]) -> NDArray:
        return np.concatenate([self.processes.part(values[some]) for some in slices])


def _part(tensors: dict[str, Tensor], index: int, size: int) -> dict[str, Tensor]:
    return {name: values[index * size : (index + 1) * size] for name, values in tensors.items()}
