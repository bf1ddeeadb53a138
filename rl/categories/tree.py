"""The usual categorisation: a boosted tree on mass-blind inputs, cut into categories.

The events of the signal are weighted by the inverse of their predicted resolution, as in CMS's
search (Phys. Lett. B 710 (2012) 403, section 6), so that the tree ranks well measured ones higher;
the edges of its output are then chosen one after the other, each where it helps most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from e2e.low_level.regression import fold_of
from envs.categories.events import CategoryEvents
from envs.categories.significance import Contents, Floats, fill, significance
from rl.categories.config import TreeConfig


class TreeCategories:
    """A tree and the edges of its output.

    Parameters
    ----------
    trees
        Trees, each blind to a part of the training events; others get their mean.
    edges
        Rising edges of the output; below the first an event is not accepted.
    evaluations
        Significances that the choice of the edges took.
    """

    def __init__(
        self, trees: list[HistGradientBoostingClassifier], edges: Floats, evaluations: int
    ) -> None:
        self.trees = trees
        self.edges = edges
        self.evaluations = evaluations

    def assign(self, features: Floats) -> NDArray[np.int64]:
        """(n,) categories of events by their (n, f) inputs; -1: not accepted."""
        output = np.mean([_output(tree, features) for tree in self.trees], axis=0)
        place = np.searchsorted(self.edges, output, side="right")
        return np.asarray(place, dtype=np.int64) - 1


def fit_tree(
    features: Floats,
    events: CategoryEvents,
    n_categories: int,
    config: TreeConfig,
    seed: int,
) -> TreeCategories:
    """Train trees out of fold, and choose the edges on what they say of events unknown to them."""
    fold = fold_of(events.group, config.folds, seed)
    output, trees = np.zeros(len(events)), []
    weight = events.weight * np.where(events.is_signal, 1 / events.resolution, 1.0)
    for signal in (True, False):
        weight[events.is_signal == signal] /= weight[events.is_signal == signal].mean()
    for k in range(config.folds):
        tree = HistGradientBoostingClassifier(
            max_iter=config.iterations, learning_rate=config.learning_rate,
            max_leaf_nodes=config.leaves, early_stopping=False, random_state=seed,
        )  # fmt: skip
        train = fold != k
        tree.fit(features[train], events.is_signal[train], sample_weight=weight[train])
        output[~train] = _output(tree, features[~train])
        trees.append(tree)
    edges, evaluations = _choose(output, events, n_categories, config)
    return TreeCategories(trees, edges, evaluations)


def _output(tree: HistGradientBoostingClassifier, features: Floats) -> Floats:
    return np.asarray(tree.decision_function(features), dtype=np.float64)


def _choose(
    output: Floats, events: CategoryEvents, n_categories: int, config: TreeConfig
) -> tuple[Floats, int]:
    """Add one edge after the other where it helps most, then try each of them again."""
    quantiles = np.arange(config.places) / config.places
    places = np.quantile(output[events.is_signal], quantiles)
    places[0] = -np.inf
    contents = _slices(output, places, events)
    chosen: list[int] = []
    evaluations = 0

    def best(fixed: list[int]) -> list[int]:
        nonlocal evaluations
        tried = [sorted([*fixed, k]) for k in range(config.places) if k not in fixed]
        evaluations += len(tried)
        return max(tried, key=lambda edges: _value(contents, edges))

    for _ in range(n_categories):
        chosen = best(chosen)
    for edge in list(chosen):
        chosen = best([k for k in chosen if k != edge])
    return places[chosen], evaluations


def _slices(output: Floats, places: Floats, events: CategoryEvents) -> Contents:
    """Contents between neighbouring places."""
    part = np.searchsorted(places, output, side="right") - 1
    return fill(part, len(places), events.mass, events.is_signal, events.weight)


def _value(contents: Contents, edges: list[int]) -> float:
    starts = np.array(edges)

    def joined(values: Floats) -> Floats:
        return np.add.reduceat(values, starts, axis=0)

    parts = Contents(
        joined(contents.signal), joined(contents.background),
        joined(contents.mass_sum), joined(contents.simulated), contents.typical,
    )  # fmt: skip
    return float(significance(parts))
