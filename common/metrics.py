"""Every figure of merit, computed in one place and used by training, reports and tests alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
ONE_SIGMA = 0.683


class Estimate(NamedTuple):
    """A value with its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.error:.2g}"


def sigma_eff(values: ArrayLike, fraction: float = ONE_SIGMA) -> float:
    """Half the width of the narrowest interval that holds `fraction` of the values.

    Non-finite values are dropped; NaN for fewer than two values.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    ordered = ordered[np.isfinite(ordered)]
    count = int(np.ceil(fraction * len(ordered)))
    if count < 2:
        return float("nan")
    widths = ordered[count - 1 :] - ordered[: len(ordered) - count + 1]
    return float(widths.min() / 2)


def relative_sigma_eff(values: ArrayLike) -> float:
    """sigma_eff over the median: the resolution that a scale cannot change."""
    values = np.asarray(values, dtype=np.float64)
    return sigma_eff(values) / float(np.nanmedian(values))


def auc(score: ArrayLike, is_signal: ArrayLike) -> float:
    """Area under the ROC curve by ranks (ties count one half); NaN when one class is empty."""
    signal = np.asarray(is_signal, dtype=bool)
    n_signal, n_background = int(signal.sum()), int((~signal).sum())
    if n_signal == 0 or n_background == 0:
        return float("nan")
    ranks = _ranks(np.asarray(score, dtype=np.float64))
    excess = ranks[signal].sum() - n_signal * (n_signal + 1) / 2
    return float(excess / (n_signal * n_background))


def weighted_auc(score: ArrayLike, is_signal: ArrayLike, weight: ArrayLike) -> float:
    """Area under the ROC curve of weighted events, ties counting one half; NaN without a class."""
    signal = np.asarray(is_signal, dtype=bool)
    weight = np.asarray(weight, dtype=np.float64)
    _, place = np.unique(np.asarray(score, dtype=np.float64), return_inverse=True)
    here, background = (np.bincount(place, weight * part) for part in (signal, ~signal))
    total = here.sum() * background.sum()
    if total == 0:
        return float("nan")
    return float((here * (np.cumsum(background) - background / 2)).sum() / total)


def _ranks(values: FloatArray) -> FloatArray:
    """Ranks from one, equal values sharing their mean; all NaN where a value is."""
    if np.isnan(values).any():
        return np.full(len(values), np.nan)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def bootstrap(
    statistic: Callable[..., float | FloatArray],
    *arrays: ArrayLike,
    groups: ArrayLike | None = None,
    n: int = 200,
    seed: int = 0,
) -> FloatArray:
    """Standard error of `statistic(*arrays)` by resampling rows, or whole groups of rows.

    Events that share a parton event are not independent, so errors on them resample groups.
    """
    data = [np.asarray(a) for a in arrays]
    rng = np.random.default_rng(seed)
    replicas = []
    for _ in range(n):
        rows = _resample(len(data[0]), groups, rng)
        replicas.append(statistic(*(a[rows] for a in data)))
    return np.asarray(np.nanstd(np.asarray(replicas, dtype=np.float64), axis=0, ddof=1))


def auc_with_error(
    score: ArrayLike, is_signal: ArrayLike, groups: ArrayLike | None = None, n: int = 200
) -> Estimate:
    """AUC with its bootstrap error over groups."""
    return with_error(auc, score, is_signal, groups=groups, n=n)


def paired_auc_difference(
    score_a: ArrayLike,
    score_b: ArrayLike,
    is_signal: ArrayLike,
    groups: ArrayLike | None = None,
    n: int = 200,
) -> Estimate:
    """AUC(a) - AUC(b) on the same events, its error from a paired bootstrap over groups."""

    def difference(a: FloatArray, b: FloatArray, y: NDArray[np.bool_]) -> float:
        return auc(a, y) - auc(b, y)

    error = bootstrap(difference, score_a, score_b, is_signal, groups=groups, n=n)
    value = difference(np.asarray(score_a), np.asarray(score_b), np.asarray(is_signal))
    return Estimate(value, float(error))


def with_error(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    groups: ArrayLike | None = None,
    n: int = 200,
    seed: int = 0,
) -> Estimate:
    """`statistic(*arrays)` with its bootstrap error."""
    error = bootstrap(statistic, *arrays, groups=groups, n=n, seed=seed)
    return Estimate(float(statistic(*(np.asarray(a) for a in arrays))), float(error))


def _resample(length: int, groups: ArrayLike | None, rng: np.random.Generator) -> NDArray[np.int64]:
    if groups is None:
        return rng.integers(0, length, length)
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(index, kind="stable")
    counts = np.bincount(index)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    drawn = rng.integers(0, len(counts), len(counts))
    lengths = counts[drawn]
    # Concatenated ranges start..start+length without a Python loop.
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return order[np.repeat(starts[drawn], lengths) + within]
