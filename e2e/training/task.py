"""What is to be trained: a network, its events, what it learns, and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.settings import plain
from e2e.inputs.events import EventInputs, Targets

if TYPE_CHECKING:
    from e2e.config import InputConfig, NetworkConfig, TrainingConfig

# Where and how a training runs, not what comes of it.
_CIRCUMSTANCES = ("device", "checkpoint_seconds", "tensorboard", "compile", "resident")


@dataclass
class TrainingTask:
    """One network to train.

    Attributes
    ----------
    name
        Of its files.
    network, training, inputs
        Configuration: pydantic models, or the same values as `common.settings.Settings`.
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
        """Hash of everything that decides the result: a checkpoint of another is not resumed.

        Of the events' contents in their order, not of where they lie: the same training on a part
        of the store, on another machine, has the same fingerprint.
        """
        training = plain(self.training)
        for name in _CIRCUMSTANCES:
            training.pop(name, None)
        settings = [plain(self.network), training, plain(self.inputs), self.objective, self.seed]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for rows in (self.train, self.validation):
            digest.update(self.targets.digest(rows))
            digest.update(inputs.digest(rows, needs))
        return digest.hexdigest()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches only: batch normalisation dislikes a small last one."""
        return max(len(self.train) // self.training.batch_size, 1)
