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
    predicted: Mapping[str, FloatArray],
    group: IntArray,
    events: NDArray[np.bool_],
    replicas: int,
    reference: str = "lookup",
) -> dict[str, Any]:
    """Energy-weighted figures of merit of predicted shares, errors from a bootstrap over groups.

    Parameters
    ----------
    crystals, predicted
        M crystals, and what each method says of them.
    group
        (N,) of the events.
    events
        (N,) which events count.
    reference
        The method that others are compared with, on the same events.

    Returns
    -------
    dict
        Per method `auc`: of crystals that are mainly photon against others. `r2`: 1 - mean squared
        error over variance. `calibration_error`: mean distance of predicted and true share over
        ten bins of the predicted one. Each with value, error, difference, difference_error.
    """
    sums = np.stack([_event_sums(crystals, p, len(group)) for p in predicted.values()], axis=1)
    rows, first = np.flatnonzero(events), list(predicted).index(reference)

    def statistic(some: IntArray) -> FloatArray:
        """(2, methods, merits)"""
        found = np.array([_merit(total) for total in sums[some].sum(axis=0)])
        return np.stack([found, found - found[first]])

    return _named(
        list(predicted),
        statistic(rows),
        bootstrap(statistic, rows, groups=group[rows], n=replicas),
        ("auc", "r2", "calibration_error"),
    )


def _named(
    methods: list[str], value: FloatArray, error: FloatArray, merits: tuple[str, ...]
) -> dict[str, Any]:
    return {
        method: {
            merit: {
                "value": float(value[0, i, k]),
                "error": float(error[0, i, k]),
                "difference": float(value[1, i, k]),
                "difference_error": float(error[1, i, k]),
            }
            for k, merit in enumerate(merits)
        }
        for i, method in enumerate(methods)
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
    sums: Mapping[str, FloatArray],
    truth: FloatArray,
    group: IntArray,
    reference: str,
    replicas: int,
) -> dict[str, dict[str, Any]]:
    """Relative sigma_eff of sum / E_true per cent, per method, and its paired difference.

    Parameters
    ----------
    sums
        (n,) energies of the photons per method.
    truth
        (n,) true energies, GeV.
    group
        (n,) parton events.
    reference
        The method that others are compared with.

    Returns
    -------
    dict
        Per method `sigma_eff` with value, error, difference and difference_error; `median` of the
        ratio.
    """
    ratios = np.stack([values / truth for values in sums.values()], axis=1)
    first = list(sums).index(reference)

    def statistic(some: FloatArray) -> FloatArray:
        """(2, methods, 1)"""
        found = np.array([[_PERCENT * relative_sigma_eff(column)] for column in some.T])
        return np.stack([found, found - found[first]])

    error = bootstrap(statistic, ratios, groups=group, n=replicas)
    found = _named(list(sums), statistic(ratios), error, ("sigma_eff",))
    medians = np.median(ratios, axis=0)
    return {
        name: {**found[name], "median": float(m)} for name, m in zip(sums, medians, strict=True)
    }
