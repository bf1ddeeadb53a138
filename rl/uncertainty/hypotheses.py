"""Several energies for one photon: which sets of them hold the truth as often as they say?

Sets are of changes of log energy from the refined result. None of them looks at the truth of the
photon it is for: thresholds come from calibration photons, whose truth is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from common.metrics import bootstrap
from envs.photons.table import FloatArray
from rl.evaluation.pairs import Floats
from rl.uncertainty.calibration import conformal_threshold
from rl.uncertainty.critics import energy_actions

_GRID = 81  # hypotheses over the whole range


class Critic(Protocol):
    """Expected distances (n,) after actions (n, 3), seen observations (n, d)."""

    def predict(self, observation: FloatArray, action: FloatArray) -> Floats:
        """See the class."""


@dataclass(frozen=True)
class Sets:
    """Sets of n photons.

    Attributes
    ----------
    covered
        (n,) whether the true energy lies in the set.
    width
        (n,) length of the set, in log energy.
    """

    covered: NDArray[np.bool_]
    width: Floats

    def summary(self, group: NDArray[np.int64], replicas: int) -> dict[str, Any]:
        """Coverage with its error, and mean and median width."""
        inside = self.covered.astype(np.float64)
        error = bootstrap(np.mean, inside, groups=group, n=replicas)
        return {
            "coverage": {"value": float(inside.mean()), "error": float(error)},
            "width": float(self.width.mean()),
            "median_width": float(np.median(self.width)),
        }


def between(results: Floats, error: Floats) -> Sets:
    """From the lowest to the highest of several results (r, n), as they come."""
    low, high = results.min(axis=0), results.max(axis=0)
    return Sets((error >= low) & (error <= high), high - low)


def round_mean(results: Floats, error: Floats) -> Sets:
    """One deviation of several results (r, n) to both sides of their mean."""
    mean, spread = results.mean(axis=0), results.std(axis=0, ddof=1)
    return Sets(np.abs(error - mean) <= spread, 2 * spread)


def scaled(error: Floats, scale: Floats, factor: float) -> Sets:
    """`factor` times a photon's own scale (n,) to both sides."""
    return Sets(np.abs(error) <= factor * scale, 2 * factor * scale)


class CriticSets:
    """Hypotheses that a critic deems nearly as good as the best.

    A hypothesis is in the set when the distance that the critic expects to be left after choosing
    it exceeds that of the best hypothesis by no more than a threshold. With the threshold from
    calibration photons this is split conformal prediction, the excess of the true energy being the
    score.

    Parameters
    ----------
    critic
        Expected distances.
    reach
        Largest change of log energy.
    """

    def __init__(self, critic: Critic, reach: float) -> None:
        self._critic = critic
        self._reach = reach
        self._grid = np.linspace(-1, 1, _GRID, dtype=np.float32)

    def excess(self, observation: FloatArray, change: Floats) -> Floats:
        """(n,) excess of changes of log energy (n,); infinite beyond the reach."""
        return self._above(observation, change, self.values(observation).min(axis=1))

    def values(self, observation: FloatArray) -> Floats:
        """(n, 81) expected distances over the whole reach."""
        columns = [
            self._critic.predict(observation, energy_actions(np.full(len(observation), action)))
            for action in self._grid
        ]
        return np.stack(columns, axis=1)

    def threshold(self, observation: FloatArray, error: Floats, level: float) -> float:
        """Threshold that lets in the truth of so many calibration photons."""
        return conformal_threshold(self.excess(observation, error), level)

    def sets(self, observation: FloatArray, error: Floats, threshold: float) -> Sets:
        """The sets, and whether they hold the truth."""
        values = self.values(observation)
        best = values.min(axis=1)
        kept = (values - best[:, None] <= threshold).mean(axis=1)
        covered = self._above(observation, error, best) <= threshold
        return Sets(covered, 2 * self._reach * kept)

    def _above(self, observation: FloatArray, change: Floats, best: Floats) -> Floats:
        action = (change / self._reach).astype(np.float32)
        value = self._critic.predict(observation, energy_actions(np.clip(action, -1, 1)))
        return np.where(np.abs(action) <= 1, np.maximum(value - best, 0), np.inf)
