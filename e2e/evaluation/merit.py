"""Figures of merit on held-out events: all models on the same ones, errors over groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import Estimate, bootstrap, with_error
from e2e.evaluation.scores import PAIRS, higgs_score, pair_auc, pair_score
from e2e.labels import HIGGS

FloatArray = NDArray[np.float64]
DEFINITIONS = ("as_generated", "weighted", "overlap_removed")
REFERENCE = "tree"  # the model that others are compared with


@dataclass
class HeldOut:
    """Held-out events and what each model says of them.

    Attributes
    ----------
    label, group
        (N,) class and group.
    overlap
        (N,) γ+jet events that overlap removal takes away.
    weight
        (N,) how many events an event stands for, whole numbers.
    mass
        (N,) diphoton mass in GeV.
    logits
        (N, 3) per model.
    """

    label: NDArray[np.int64]
    group: NDArray[np.int64]
    overlap: NDArray[np.bool_]
    weight: NDArray[np.int64]
    mass: FloatArray
    logits: dict[str, NDArray[np.float32]]


def auc_table(held_out: HeldOut, replicas: int, reference: str = REFERENCE) -> dict[str, Any]:
    """AUC of each model, definition and pair, and its paired difference to the reference's.

    Returns
    -------
    dict
        `[model][definition][pair]` with value, error, difference, difference_error.
    """
    models = list(held_out.logits)

    def aucs(rows: NDArray[np.int64]) -> FloatArray:
        """(models, definitions, pairs) on the given rows."""
        chosen = {
            "as_generated": rows,
            "weighted": np.repeat(rows, held_out.weight[rows]),
            "overlap_removed": rows[~held_out.overlap[rows]],
        }
        return np.array(
            [
                [[pair_auc(held_out.logits[m][chosen[d]], held_out.label[chosen[d]], p)
                  for p in PAIRS]
                 for d in DEFINITIONS]
                for m in models
            ]
        )  # fmt: skip

    def statistic(rows: NDArray[np.int64]) -> FloatArray:
        """AUCs, and their differences to the reference on the same events."""
        found = aucs(rows)
        return np.stack([found, found - found[models.index(reference)]])

    rows = np.arange(len(held_out.label))
    value = statistic(rows)
    error = bootstrap(statistic, rows, groups=held_out.group, n=replicas)
    return {
        model: {
            definition: {
                pair: {
                    "value": value[0, i, j, k],
                    "error": error[0, i, j, k],
                    "difference": value[1, i, j, k],
                    "difference_error": error[1, i, j, k],
                }
                for k, pair in enumerate(PAIRS)
            }
            for j, definition in enumerate(DEFINITIONS)
        }
        for i, model in enumerate(models)
    }


def signal_efficiencies(
    held_out: HeldOut, background_efficiencies: list[float], replicas: int
) -> dict[str, Any]:
    """Signal efficiency of each pair and model at fixed background efficiency, with errors."""
    found: dict[str, Any] = {}
    for model, logits in held_out.logits.items():
        found[model] = {}
        for pair, (signal, background) in PAIRS.items():
            used = np.isin(held_out.label, (signal, background))
            score, is_signal = pair_score(logits[used], pair), held_out.label[used] == signal

            def statistic(s: FloatArray, y: NDArray[np.bool_]) -> FloatArray:
                cuts = np.quantile(s[~y], 1 - np.array(background_efficiencies))
                return np.array([(s[y] > cut).mean() for cut in cuts])

            error = bootstrap(
                statistic, score, is_signal, groups=held_out.group[used], n=min(replicas, 50)
            )
            value = statistic(score, is_signal)
            found[model][pair] = {
                f"{b:g}": Estimate(float(v), float(e))._asdict()
                for b, v, e in zip(background_efficiencies, value, error, strict=True)
            }
    return found


def roc(score: FloatArray, is_signal: NDArray[np.bool_], points: FloatArray) -> FloatArray:
    """Signal efficiency at the background efficiencies `points`."""
    cuts = np.quantile(score[~is_signal], 1 - points)
    ordered = np.sort(score[is_signal])
    return 1 - np.searchsorted(ordered, cuts, side="right") / len(ordered)


def mass_sculpting(
    held_out: HeldOut, model: str, efficiencies: list[float], replicas: int, seed: int = 0
) -> list[dict[str, float]]:
    """Jensen-Shannon divergence of the background's m_gg after cuts on the Higgs score.

    The divergence (in bits) of two samples of one distribution is not zero: the mean over random
    subsets of the same size says what would be seen with no sculpting at all.
    """
    background = held_out.label != HIGGS
    mass, group = held_out.mass[background], held_out.group[background]
    score = higgs_score(held_out.logits[model])[background]
    rng = np.random.default_rng(seed)
    rows = []
    for efficiency in efficiencies:
        passed = score > np.quantile(score, 1 - efficiency)
        random = [
            jensen_shannon(mass, mass[rng.permutation(passed)]) for _ in range(min(replicas, 50))
        ]
        window = np.abs(mass - 125) < 5
        excess = with_error(bump, mass, passed, groups=group, n=replicas)
        rows.append(
            {
                "background_efficiency": efficiency,
                "divergence": jensen_shannon(mass, mass[passed]),
                "divergence_of_random_subsets": float(np.mean(random)),
                "spread_of_random_subsets": float(np.std(random)),
                "efficiency_in_120_130": float(passed[window].mean()),
                "bump": excess.value,
                "bump_error": excess.error,
            }
        )
    return rows


def bump(mass: FloatArray, passed: NDArray[np.bool_]) -> float:
    """Efficiency of a cut at 120-130 GeV over that at 105-120 and 130-145 GeV; 1 for no bump.

    The sidebands lie evenly on both sides, so that an efficiency that only rises or falls with the
    mass gives no bump. NaN where no event of the sidebands passes.
    """
    distance = np.abs(mass - 125)
    inside, beside = distance < 5, (distance >= 5) & (distance < 20)
    expected = passed[beside].mean() if passed[beside].any() else np.nan
    return float(passed[inside].mean() / expected) if inside.any() else float("nan")


def jensen_shannon(a: FloatArray, b: FloatArray) -> float:
    """Jensen-Shannon divergence in bits of two samples of m_gg, in 5 GeV bins from 90 to 200."""
    bins = np.arange(90.0, 201.0, 5.0)
    p, q = (np.histogram(x, bins)[0].astype(np.float64) for x in (a, b))
    p, q = p / max(p.sum(), 1), q / max(q.sum(), 1)
    middle = (p + q) / 2

    def divergence(x: FloatArray) -> float:
        some = x > 0
        return float((x[some] * np.log2(x[some] / middle[some])).sum())

    return (divergence(p) + divergence(q)) / 2
