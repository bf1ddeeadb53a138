"""Judge predicted errors and sets of hypotheses on photons that nothing was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.photons.table import FloatArray, PhotonTable
from rl.evaluation.pairs import Floats
from rl.learning.agents import policy_of
from rl.refinement.episodes import roll_out
from rl.uncertainty import calibration, hypotheses
from rl.uncertainty.calibration import LEVELS
from rl.uncertainty.hypotheses import CriticSets, Sets
from rl.uncertainty.models import REFERENCE, Models, observations
from rl.uncertainty.photons import energy_error


@dataclass(frozen=True)
class Calibration:
    """What calibration photons say of every method.

    Attributes
    ----------
    scale
        Method to the factor that makes its mean predicted error right.
    factors
        Method to level to the conformal factor on its deviations.
    """

    scale: dict[str, float]
    factors: dict[str, dict[float, float]]

    @classmethod
    def fit(cls, models: Models, table: PhotonTable) -> Calibration:
        """Measure both on photons with truth."""
        error, expected = energy_error(table), models.predict(table)
        mean = np.minimum(np.abs(error), models.cap).mean()
        return cls(
            {name: float(mean / value.mean()) for name, value in expected.items()},
            {
                name: {
                    level: calibration.conformal_factor(error, calibration.deviation(value), level)
                    for level in LEVELS
                }
                for name, value in expected.items()
            },
        )


def judge(
    models: Models, calibrated: Calibration, table: PhotonTable, replicas: int
) -> dict[str, Any]:
    """Calibration by quintile, coverage, sharpness and scores of every method."""
    error, predicted = energy_error(table), models.predict(table)
    return {
        name: calibration.summary(
            expected,
            error,
            table.group,
            calibrated.factors[name],
            calibrated.scale[name],
            models.cap,
            predicted[REFERENCE],
            replicas,
        )
        for name, expected in predicted.items()
    }


class HypothesisStudy:
    """Sets of hypotheses by every recipe, calibrated on some photons and judged on others.

    Parameters
    ----------
    models
        Trained predictors and agents.
    calibration
        Photons with truth that thresholds come from.
    """

    def __init__(self, models: Models, calibration: PhotonTable) -> None:
        self.models = models
        settings = models.config.hypotheses
        self._noise, self._copies = settings.noise, settings.copies
        self.critic = CriticSets(models.refitted, models.config.environment.ranges[0])
        seen = observations(models.dynamics(calibration))
        error = energy_error(calibration)
        excess = self.critic.excess(seen, error)
        spread = self.policies(calibration).std(axis=0, ddof=1)
        own = models.predict(calibration)
        self.thresholds = {level: hypotheses.conformal_threshold(excess, level) for level in LEVELS}
        self._factors = {
            name: {
                level: hypotheses.conformal_threshold(np.abs(error) / scale, level)
                for level in LEVELS
            }
            for name, scale in {**own, "spread": spread}.items()
        }

    def policies(self, table: PhotonTable) -> Floats:
        """(seeds, n) changes of log energy by each agent."""
        dynamics = self.models.dynamics(table)
        return np.stack([_change(dynamics, policy_of(a)) for a in self.models.agents])

    def noisy(self, table: PhotonTable, seed: int) -> Floats:
        """(copies, n) changes of log energy by the first agent with noise on its actions."""
        dynamics, policy = self.models.dynamics(table), policy_of(self.models.agents[0])
        rng = np.random.default_rng(seed)
        return np.stack([_change(dynamics, policy, self._noise, rng) for _ in range(self._copies)])

    def judge(self, table: PhotonTable, seed: int, replicas: int) -> dict[str, Any]:
        """Coverage and width of every recipe's sets, by level or, without one, as they come."""
        error = energy_error(table)
        policies, noisy = self.policies(table), self.noisy(table, seed)
        spread = policies.std(axis=0, ddof=1)
        found: dict[str, dict[str, Sets]] = {
            "policies, between": {"": hypotheses.between(policies, error)},
            "policies, spread": {"": hypotheses.round_mean(policies, error)},
            "noise, between": {"": hypotheses.between(noisy, error)},
            "policies, scaled": self._scaled("spread", error, spread),
            "critic": self._critic(table, error),
        }
        for name, expected in self.models.predict(table).items():
            found[f"interval {name}"] = self._scaled(name, error, expected)
        return {
            name: {level: sets.summary(table.group, replicas) for level, sets in by_level.items()}
            for name, by_level in found.items()
        }

    def _scaled(self, name: str, error: Floats, scale: Floats) -> dict[str, Sets]:
        factors = self._factors[name]
        return {
            f"{level:g}": hypotheses.scaled(error, scale, factor)
            for level, factor in factors.items()
        }

    def _critic(self, table: PhotonTable, error: Floats) -> dict[str, Sets]:
        seen = observations(self.models.dynamics(table))
        return {
            f"{level:g}": self.critic.sets(seen, error, threshold)
            for level, threshold in self.thresholds.items()
        }


def _change(
    dynamics: Any, policy: Any, noise: float = 0.0, rng: np.random.Generator | None = None
) -> Floats:
    """(n,) changes of log energy from the start to the end of an episode."""
    correction: NDArray[np.float32] = roll_out(dynamics, policy, noise=noise, rng=rng).correction
    moved: FloatArray = correction[-1, :, 0] - correction[0, :, 0]
    return moved.astype(np.float64)
