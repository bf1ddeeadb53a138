"""How the learning rate changes, and when a training has gone on for long enough."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from common.errors import ConfigError

if TYPE_CHECKING:
    from e2e.config import TrainingConfig


def make_scheduler(optimiser: Optimizer, config: TrainingConfig, steps: int) -> LRScheduler:
    """The schedule that `config.schedule` names, over `steps` batches."""
    if config.schedule == "onecycle":
        return OneCycleLR(optimiser, config.learning_rate, total_steps=steps)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimiser, steps)
    return ConstantLR(optimiser, factor=1.0)


class EarlyStopping:
    """Remembers the best weights, and says when there has been nothing better for too long.

    Parameters
    ----------
    config
        Its `patience` (0 for never) and `monitor`.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.patience, self.monitor = config.patience, config.monitor
        self.best = math.inf
        self.waited = 0
        self.weights: dict[str, Tensor] = {}

    @property
    def is_over(self) -> bool:
        """Whether to stop."""
        return 0 < self.patience <= self.waited

    def update(self, record: Mapping[str, Any], network: nn.Module) -> None:
        """Take note of an epoch's validation.

        Raises
        ------
        ConfigError
            If it lacks the figure to watch.
        """
        if self.patience == 0:
            return
        if self.monitor not in record:
            known = ", ".join(record)
            raise ConfigError(
                f"training.monitor={self.monitor}: not a figure of the validation ({known}); "
                "without validation events training.patience must be 0"
            )
        value = float(record[self.monitor])
        lower = -value if self.monitor.startswith("auc") else value
        if lower < self.best:
            self.best, self.waited = lower, 0
            self.weights = {n: v.detach().clone() for n, v in network.state_dict().items()}
        else:
            self.waited += 1

    def restore(self, network: nn.Module) -> None:
        """Put the best weights into the network, where any were kept."""
        if self.weights:
            network.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"best": self.best, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """From the checkpoint."""
        self.best, self.waited, self.weights = state["best"], state["waited"], state["weights"]
