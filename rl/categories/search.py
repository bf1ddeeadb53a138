"""Searches for edges that ask for the significance alone, as the agent does, and count it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from envs.categories.dynamics import CategoryDynamics
from envs.categories.significance import Floats

_ELITE = 0.15
_LEAST_DEVIATION = 0.01
_GRID_SCORES = np.array([0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9])
_GRID_RESOLUTIONS = np.array([0.2, 0.35, 0.5, 0.65, 0.8])


@dataclass(frozen=True)
class Found:
    """The best edges of a search.

    Attributes
    ----------
    edges
        (p,).
    value
        Their significance on the sample searched on, over that of one category.
    evaluations
        How many edges were asked for.
    """

    edges: Floats
    value: float
    evaluations: int


class Objective:
    """Significance of edges on one sample of a dynamics; counts how often it is asked.

    Parameters
    ----------
    dynamics
        Categories.
    replica
        The sample.
    """

    def __init__(self, dynamics: CategoryDynamics, replica: int = 0) -> None:
        self.dynamics = dynamics
        self.replica = replica
        self.evaluations = 0
        self._best: tuple[float, Floats] = (-np.inf, dynamics.first)

    def __call__(self, edges: Floats) -> Floats:
        """(m,) significances of edges (m, p)."""
        edges = self.dynamics.ordered(edges)
        values = self.dynamics.significance(np.full(len(edges), self.replica), edges)
        self.evaluations += len(edges)
        best = int(np.argmax(values))
        if values[best] > self._best[0]:
            self._best = (float(values[best]), edges[best])
        return values

    def found(self) -> Found:
        """The best so far."""
        return Found(self._best[1], self._best[0], self.evaluations)


Search = Callable[[Objective, int, np.random.Generator], Found]


def random_search(objective: Objective, budget: int, rng: np.random.Generator) -> Found:
    """The first edges, and others drawn evenly."""
    n_edges = objective.dynamics.n_edges
    drawn = rng.uniform(0, 1, (budget - 1, n_edges))
    objective(np.concatenate([objective.dynamics.first[None], drawn]))
    return objective.found()


def cross_entropy(objective: Objective, budget: int, rng: np.random.Generator) -> Found:
    """Draw from a Gaussian, move it to the best of what was drawn, and again.

    Rubinstein, Methodol. Comput. Appl. Probab. 1 (1999) 127; it starts round the first edges.
    """
    mean = objective.dynamics.first
    deviation = np.full(len(mean), 0.25)
    size = int(np.clip(budget // 15, 6, 100))
    objective(mean[None])
    while (left := budget - objective.evaluations) > 0:
        edges = np.clip(rng.normal(mean, deviation, (min(size, left), len(mean))), 0, 1)
        values = objective(edges)
        elite = objective.dynamics.ordered(edges)[np.argsort(-values)[: max(2, int(_ELITE * size))]]
        mean = 0.3 * mean + 0.7 * elite.mean(axis=0)
        deviation = np.maximum(0.3 * deviation + 0.7 * elite.std(axis=0), _LEAST_DEVIATION)
    return objective.found()


def one_by_one(objective: Objective, budget: int, rng: np.random.Generator) -> Found:
    """Scan one edge after the other with the others fixed, round and round."""
    n_edges = objective.dynamics.n_edges
    objective(objective.dynamics.first[None])
    order: list[int] = []
    while (left := budget - objective.evaluations) > 0:
        order = order or rng.permutation(n_edges).tolist()
        edge = order.pop()
        edges = np.tile(objective.found().edges, (min(left, 20), 1))
        edges[:, edge] = rng.uniform(0, 1, len(edges))
        objective(edges)
    return objective.found()


def grid_search(objective: Objective) -> Found:
    """All combinations of a coarse grid: what a person with patience would do."""
    config = objective.dynamics.config
    scores = list(combinations(_GRID_SCORES, config.bands))
    resolutions = list(product(_GRID_RESOLUTIONS, repeat=config.bands * config.splits))
    every = np.array([[*s, *r] for s in scores for r in resolutions])
    for part in np.array_split(every, max(1, len(every) // 1000)):
        objective(part)
    return objective.found()


SEARCHES: dict[str, Search] = {
    "random": random_search,
    "one_by_one": one_by_one,
    "cross_entropy": cross_entropy,
}
