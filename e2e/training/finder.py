"""The learning-rate range test: how fast can this network learn before it diverges?

A short training whose learning rate grows from batch to batch (Smith, arXiv:1506.01186).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import PipelineError
from common.files import atomic_path, write_json
from common.plotting import new_figure
from common.settings import changed
from e2e.training.task import TrainingTask
from e2e.training.trainer import Trainer

_LOWEST, _HIGHEST, _STEPS = 1e-6, 1.0, 120
_SMOOTHING = 0.9  # of the loss's running mean
_DIVERGED = 3.0  # times the lowest loss
_BELOW_LOWEST = 10.0  # the loss's minimum is already too far


class RangeTest(Trainer):
    """Trains with a growing learning rate, and writes no checkpoint."""

    def curve(self) -> list[dict[str, float]]:
        """Learning rate, loss and smoothed loss of each batch, until the loss has grown."""
        found: list[dict[str, float]] = []
        mean, lowest = 0.0, math.inf
        rates = np.geomspace(_LOWEST, _HIGHEST, _STEPS)
        for number, (rate, position) in enumerate(zip(rates, self._positions(), strict=False)):
            self.epoch, self.step = position
            for group in self.optimiser.param_groups:
                group["lr"] = float(rate)
            loss = float(self._train_batch(*position))
            mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
            smooth = mean / (1 - _SMOOTHING ** (number + 1))
            if not math.isfinite(smooth) or (number > 10 and smooth > _DIVERGED * lowest):
                break
            lowest = min(lowest, smooth)
            found.append({"learning_rate": float(rate), "loss": loss, "smooth": smooth})
        return found


def find_learning_rate(task: TrainingTask, folder: Path, **options: Any) -> float:
    """Make the range test; writes `NAME.learning_rate.json` (and a figure where it can be drawn).

    Parameters
    ----------
    task
        What would be trained; nothing of it is changed.
    folder
        Where the files go.
    **options
        Of `Trainer`.

    Returns
    -------
    float
        A tenth of the rate at which the smoothed loss is lowest.

    Raises
    ------
    PipelineError
        If the loss is not a number from the start.
    """
    epochs = math.ceil(_STEPS / task.steps_per_epoch)
    training = changed(task.training, {"epochs": epochs, "schedule": "constant"})
    test = RangeTest(replace(task, training=training), folder=folder, **options)
    curve = test.curve()
    if not curve:
        raise PipelineError(f"{task.name}: the loss is not a number at any learning rate")
    suggestion = min(curve, key=lambda point: point["smooth"])["learning_rate"] / _BELOW_LOWEST
    if test.processes.is_first:
        path = folder / f"{task.name}.learning_rate.json"
        write_json(path, {"suggestion": suggestion, "curve": curve})
        _draw(path.with_suffix(".png"), curve, suggestion)
    return suggestion


def _draw(path: Path, curve: Sequence[dict[str, float]], suggestion: float) -> None:
    try:
        figure, axes = new_figure()
    except ImportError:  # a bare machine: the JSON file holds the same
        return
    axis = axes[0, 0]
    rates, losses, smooth = zip(*(point.values() for point in curve), strict=True)
    axis.semilogx(rates, losses, ".", color="0.7", label="batch")
    axis.semilogx(rates, smooth, label="running mean")
    axis.axvline(suggestion, color="k", linestyle="--", label=f"suggestion {suggestion:.2g}")
    lowest, first = min(smooth), smooth[0]
    axis.set_ylim(lowest - 0.3 * (first - lowest), first + 0.8 * (first - lowest))
    axis.set(xlabel="learning rate", ylabel="training loss")
    axis.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130, bbox_inches="tight")
