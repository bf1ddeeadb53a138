"""How well shares are known, and what they are worth for a photon's energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import bootstrap, relative_sigma_eff, weighted_auc
from e2e.low_level.shares.crystals import Crystals

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_SCORE_BINS = 100  # in which AUCs are made, so that a bootstrap over events is cheap
_CALIBRATION_EDGES = np.linspace(0, 1, 11)
_MAJORITY = 0.5  # of whose energy a crystal is mainly photon
_PERCENT = 100.0


def share_quality(
    crystals: Crystals,
    predicted: FloatArray,
    group: IntArray,
    events: NDArray[np.bool_],
    replicas: int,
) -> dict[str, Any]:
    """Energy-weighted figures of merit of predicted shares, errors from a bootstrap over groups.

    Parameters
    ----------
    crystals, predicted
        M crystals, and what is said of each.
    group
        (N,) of the events.
    events
        (N,) which events count.

    Returns
    -------
    dict
        `auc`: of crystals that are mainly photon against others. `r2`: 1 - mean squared error over
        variance. `calibration_error`: mean distance of predicted and true share over ten bins of
        the predicted one. Each with value and error.
    """
    sums = _event_sums(crystals, predicted, len(group))
    rows = np.flatnonzero(events)

    def statistic(some: IntArray) -> FloatArray:
        return _merit(sums[some].sum(axis=0))

    value = statistic(rows)
    error = bootstrap(statistic, rows, groups=group[rows], n=replicas)
    names = ("auc", "r2", "calibration_error")
    return {
        name: {"value": float(v), "error": float(e)}
        for name, v, e in zip(names, value, error, strict=True)
    }


def _event_sums(crystals: Crystals, predicted: FloatArray, n_events: int) -> FloatArray:
    """(N, K) sums from which every figure of merit can be made: they add over events."""
    hit, share = crystals.hit, crystals.share
    # Bins of equal numbers of crystals: shares crowd at 0 and 1.
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, _SCORE_BINS + 1)[1:-1]))
    score = np.searchsorted(edges, predicted, side="right")
    moments = [hit, hit * share, hit * share**2, hit * (share - predicted) ** 2]
    columns = [_histogram(crystals.event, np.zeros_like(score), m, n_events, 1) for m in moments]
    mainly = share > _MAJORITY
    columns += [
        _histogram(crystals.event, score, hit * part, n_events, _SCORE_BINS)
        for part in (mainly, ~mainly)
    ]
    ten = np.searchsorted(_CALIBRATION_EDGES, predicted, side="right").clip(1, 10) - 1
    columns += [
        _histogram(crystals.event, ten, hit * values, n_events, 10) for values in (share, predicted)
    ]
    return np.concatenate(columns, axis=1)


def _histogram(
    event: IntArray, place: IntArray, weight: FloatArray, n_events: int, bins: int
) -> FloatArray:
    found = np.bincount(event * bins + place, weight, n_events * bins).astype(np.float64)
    return found.reshape(n_events, bins)


def _merit(sums: FloatArray) -> FloatArray:
    weight, first, second, squares = sums[:4]
    signal, background = sums[4 : 4 + _SCORE_BINS], sums[4 + _SCORE_BINS : 4 + 2 * _SCORE_BINS]
    true, predicted = sums[-20:-10], sums[-10:]
    bins = np.arange(_SCORE_BINS)
    area = weighted_auc(
        np.concatenate([bins, bins]),
        np.repeat([True, False], _SCORE_BINS),
        np.concatenate([signal, background]),
    )
    variance = second - first**2 / weight
    return np.array([area, 1 - squares / variance, np.abs(true - predicted).sum() / weight])


def calibration_curve(
    crystals: Crystals, predicted: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Energy-weighted mean predicted and true share in ten bins, and each bin's part of energy."""
    ten = np.searchsorted(_CALIBRATION_EDGES, predicted, side="right").clip(1, 10) - 1
    weight, said, true = (
        np.bincount(ten, crystals.hit * values, 10)
        for values in (np.ones_like(predicted), predicted, crystals.share)
    )
    with np.errstate(invalid="ignore"):
        return said / weight, true / weight, weight / weight.sum()


def energy_resolution(
    sums: Mapping[str, FloatArray], truth: FloatArray, group: IntArray, replicas: int
) -> dict[str, dict[str, float]]:
    """Relative sigma_eff of sum / E_true per cent, per method, and its paired difference.

    Parameters
    ----------
    sums
        (n,) energies of the photons per method; the first is the one others are compared with.
    truth
        (n,) true energies, GeV.
    group
        (n,) parton events.

    Returns
    -------
    dict
        Per method value, error, difference, difference_error, and the median of the ratio.
    """
    ratios = np.stack([values / truth for values in sums.values()], axis=1)

    def statistic(some: FloatArray) -> FloatArray:
        found = np.array([_PERCENT * relative_sigma_eff(column) for column in some.T])
        return np.stack([found, found - found[0]])

    value = statistic(ratios)
    error = bootstrap(statistic, ratios, groups=group, n=replicas)
    return {
        name: {
            "value": float(value[0, i]),
            "error": float(error[0, i]),
            "difference": float(value[1, i]),
            "difference_error": float(error[1, i]),
            "median": float(np.median(ratios[:, i])),
        }
        for i, name in enumerate(sums)
    }
