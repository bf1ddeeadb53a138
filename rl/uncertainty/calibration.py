"""Is a predicted uncertainty right: by quintile, in its coverage, in its width?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import norm

from common.metrics import bootstrap, sigma_eff
from rl.evaluation.pairs import Floats

IntArray = NDArray[np.int64]

LEVELS = (0.68, 0.95)
_GAUSSIAN = float(np.sqrt(np.pi / 2))  # deviation of a Gaussian over its mean absolute value
_QUINTILES = 5


def deviation(expected: Floats) -> Floats:
    """Deviation of the Gaussian with an expected absolute error."""
    return _GAUSSIAN * expected


def conformal_factor(error: Floats, deviation: Floats, level: float) -> float:
    """Factor on deviations that makes |error| <= factor x deviation as often as `level`.

    Split conformal prediction with the normalised residual as its score (Lei et al., J. Am. Stat.
    Assoc. 113 (2018) 1094): the ceil((n + 1) level)-th smallest score of n calibration photons
    covers at least `level` of exchangeable ones. Infinite for fewer photons than that needs.
    """
    return conformal_threshold(np.abs(error) / deviation, level)


def conformal_threshold(score: Floats, level: float) -> float:
    """The ceil((n + 1) level)-th smallest of n scores; infinite where there are not as many."""
    place = int(np.ceil((len(score) + 1) * level))
    return float("inf") if place > len(score) else float(np.sort(score)[place - 1])


def quintiles(
    expected: Floats, error: Floats, group: IntArray, replicas: int
) -> list[dict[str, float]]:
    """Predicted and actual mean absolute error of photons by fifths of the prediction.

    Parameters
    ----------
    expected, error
        (n,) predicted absolute errors, and errors.
    group
        (n,) events, which errors on the means resample.
    """
    order = np.argsort(expected, kind="stable")
    found = []
    for rows in np.array_split(order, _QUINTILES):
        size = np.abs(error[rows])
        found.append(
            {
                "predicted": float(expected[rows].mean()),
                "actual": float(size.mean()),
                "error": float(bootstrap(np.mean, size, groups=group[rows], n=replicas)),
                "sigma_eff": sigma_eff(error[rows]),
            }
        )
    return found


def summary(
    expected: Floats,
    error: Floats,
    group: IntArray,
    factors: Mapping[float, float],
    scale: float,
    cap: float,
    by: Floats,
    replicas: int,
) -> dict[str, Any]:
    """Coverage, sharpness and score of intervals, as predicted and after calibration.

    Parameters
    ----------
    expected, error, group
        (n,) predicted absolute errors, errors of log energy, and events.
    factors
        Level to conformal factor, from calibration photons.
    scale
        Factor on the predictions that makes their mean right on calibration photons.
    cap
        Larger errors count as this in means and scores: a few photons that are quite wrong would
        decide them otherwise. Coverage counts every error as it is.
    by
        (n,) what the photons are cut into fifths by, whose worst coverage is told; the same for
        all methods, since one that predicts nothing knows no hard photons.
    """
    sigma = deviation(expected)
    capped = np.clip(error, -cap, cap)
    found: dict[str, Any] = {
        "quintiles": quintiles(scale * expected, capped, group, replicas),
        "scale": scale,
        "crps": _estimate(crps_gaussian(capped, scale * sigma), group, replicas),
        "log_likelihood": _estimate(-negative_log(capped, scale * expected), group, replicas),
    }
    for level in LEVELS:
        for name, factor in (("raw", float(norm.ppf((1 + level) / 2))),
                             ("conformal", factors[level])):  # fmt: skip
            inside = (np.abs(error) <= factor * sigma).astype(np.float64)
            found[f"{name}_{100 * level:.0f}"] = {
                "coverage": _estimate(inside, group, replicas),
                "width": float(2 * factor * sigma.mean()),
                "worst_fifth": _worst(inside, by),
            }
    return found


def crps_gaussian(error: Floats, sigma: Floats) -> Floats:
    """(n,) continuous ranked probability scores of Gaussians round 0; lower is better.

    Gneiting and Raftery, J. Am. Stat. Assoc. 102 (2007) 359, equation 21.
    """
    z = error / sigma
    return sigma * (z * (2 * ndtr(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))


def negative_log(error: Floats, expected: Floats) -> Floats:
    """(n,) negative log likelihoods of Laplace distributions with expected absolute errors."""
    return np.log(2 * expected) + np.abs(error) / expected


def _estimate(values: Floats, group: IntArray, replicas: int) -> dict[str, float]:
    error = bootstrap(np.mean, values, groups=group, n=replicas)
    return {"value": float(values.mean()), "error": float(error)}


def _worst(inside: Floats, by: Floats) -> float:
    """Lowest coverage of a fifth of the photons."""
    order = np.argsort(by, kind="stable")
    return min(float(inside[rows].mean()) for rows in np.array_split(order, _QUINTILES))
