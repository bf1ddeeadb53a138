"""Judge categories on events that they were not chosen on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from common.metrics import Estimate, relative_sigma_eff, with_error
from envs.categories.events import resampled
from envs.categories.significance import IntArray, fill, squared
from rl.categories.inputs import Inputs
from rl.evaluation import statistics

#: Categories (n,) of events; -1: not accepted.
Assign = Callable[[Inputs], IntArray]


@dataclass(frozen=True)
class Method:
    """One way to categorise, chosen on one half.

    Attributes
    ----------
    assign
        Categories of any events.
    n_categories
        How many.
    evaluations
        Significances that the choice asked for.
    seconds
        Wall time of the choice.
    """

    assign: Assign
    n_categories: int
    evaluations: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Fold:
    """Methods chosen on one half and judged on the other."""

    train: Inputs
    test: Inputs
    methods: Mapping[str, Method]


def judge(folds: Sequence[Fold], replicas: int, seed: int) -> dict[str, dict[str, Any]]:
    """Significance of every method over that of one category, on test halves and training halves.

    Both halves hold the whole yield; what is told is the significance of half of it in each.
    Errors resample the test halves' parton events, the same for all methods.
    """
    rng = np.random.default_rng(seed)
    test, train = ([getattr(f, part) for f in folds] for part in ("test", "train"))
    on_test = _sorted(folds, test)
    value = _values(folds, test, on_test)
    drawn = [_values(folds, _resampled(test, rng), on_test) for _ in range(replicas)]
    on_train = _values(folds, train, _sorted(folds, train))
    found = {}
    for name in folds[0].methods:
        gain = value[name] / value["inclusive"]
        spread = np.std([d[name] / d["inclusive"] for d in drawn], ddof=1)
        found[name] = {
            "significance": value[name],
            "gain": {"value": gain, "error": float(spread)},
            "optimism": on_train[name] / on_train["inclusive"] - gain,
            "evaluations": float(np.mean([f.methods[name].evaluations for f in folds])),
            "seconds": float(np.mean([f.methods[name].seconds for f in folds])),
        }
    for name, row in found.items():
        for other in ("cross_entropy", "tree"):
            ratio = np.std([d[name] / d[other] for d in drawn], ddof=1)
            row[f"over_{other}"] = {"value": value[name] / value[other], "error": float(ratio)}
    return found


def describe(folds: Sequence[Fold], name: str, replicas: int) -> list[dict[str, Any]]:
    """Per category of a method on the test halves: contents, resolution, bump of the background."""
    category = np.concatenate([f.methods[name].assign(f.test) for f in folds])
    mass = np.concatenate([f.test.events.mass for f in folds])
    weight = np.concatenate([f.test.events.weight for f in folds]) / len(folds)
    signal = np.concatenate([f.test.events.is_signal for f in folds])
    rows = []
    for k in range(-1, folds[0].methods[name].n_categories):
        s, b = signal & (category == k), ~signal & (category == k)
        smooth = mass[b]
        nothing = Estimate(float("nan"), float("nan"))
        bump = with_error(statistics.bump, smooth, n=replicas) if len(smooth) else nothing
        rows.append(
            {
                "category": k,
                "signal": float(weight[s].sum()),
                "background": float(weight[b & (mass > 100) & (mass < 180)].sum()),
                "sigma_eff": 100 * relative_sigma_eff(mass[s]) if s.sum() > 1 else float("nan"),
                "bump": bump._asdict(),
                "simulated": int(b.sum()),
            }
        )
    return rows


def _sorted(folds: Sequence[Fold], inputs: Sequence[Inputs]) -> list[dict[str, IntArray]]:
    return [
        {name: method.assign(seen) for name, method in fold.methods.items()}
        for fold, seen in zip(folds, inputs, strict=True)
    ]


def _resampled(inputs: Sequence[Inputs], rng: np.random.Generator) -> list[Inputs]:
    return [
        replace(
            seen,
            events=replace(
                seen.events, weight=seen.events.weight * resampled(seen.events.group, rng)
            ),
        )
        for seen in inputs
    ]


def _values(
    folds: Sequence[Fold],
    inputs: Sequence[Inputs],
    categories: Sequence[Mapping[str, IntArray]],
) -> dict[str, float]:
    """Significance of each method, all folds together."""
    found = {}
    for name in folds[0].methods:
        parts = []
        for fold, seen, category in zip(folds, inputs, categories, strict=True):
            events, n = seen.events, fold.methods[name].n_categories
            contents = fill(category[name], n, events.mass, events.is_signal, events.weight)
            parts.append(squared(contents).sum())
        found[name] = float(np.sqrt(np.mean(parts)))
    return found
