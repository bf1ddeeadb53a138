"""All ways to categorise, chosen on one half, and edges for other yields of the backgrounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from envs.categories.dynamics import CategoryDynamics
from envs.categories.grid import BACKGROUNDS, Sample
from envs.categories.significance import Floats
from rl.categories.config import CategoriseConfig
from rl.categories.edge_agent import TrainedAgent, follow, train_edge_agent
from rl.categories.event_agent import event_agent, event_peer
from rl.categories.inputs import Inputs
from rl.categories.judge import Method
from rl.categories.search import SEARCHES, Found, Objective, grid_search
from rl.categories.tree import fit_tree

TITLES = {
    "inclusive": "one category",
    "first": "equal parts of the signal, as the agent starts",
    "resolution": "predicted resolution alone",
    "score": "score alone",
    "grid": "grid search",
    "random": "random search",
    "one_by_one": "one edge after the other",
    "cross_entropy": "cross-entropy search",
    "tree": "boosted tree, cut into categories",
    "agent": "agent that moves edges",
    "event_agent": "agent per event",
    "event_peer": "supervised peer of the agent per event",
}
_SCENARIO_SEED = 50
T = TypeVar("T")


@dataclass
class Half:
    """What was chosen on one half.

    Attributes
    ----------
    dynamics
        Categories on that half as it is.
    methods
        By name; agents as `agent_0`, `agent_1`, …
    agents
        The agents themselves.
    curve
        Search to budget to significances, over that of one category, on the half that was
        searched on and on the other.
    edges
        Method to its edges.
    """

    dynamics: CategoryDynamics
    methods: dict[str, Method]
    agents: list[TrainedAgent] = field(default_factory=list)
    curve: dict[str, dict[int, list[tuple[float, float]]]] = field(default_factory=dict)
    edges: dict[str, Floats] = field(default_factory=dict)


def on_edges(dynamics: CategoryDynamics, found: Found, seconds: float) -> Method:
    """Categories by edges."""

    def assign(inputs: Inputs) -> Any:
        return dynamics.assign(found.edges, inputs.events)

    return Method(assign, dynamics.n_categories, found.evaluations, seconds)


def choose(
    train: Inputs,
    test: Inputs,
    config: CategoriseConfig,
    seed: int,
    parts: Path,
    is_control: bool = False,
) -> Half:
    """Every method on one half; the other is looked at for learning curves alone.

    A control has one agent that moves edges, and none per event, to save time. Agents that move
    edges are kept in the folder `parts`.
    """
    settings = config.categories.model_copy(update={"replicas": 1})
    dynamics = CategoryDynamics(train.events, settings)
    other = CategoryDynamics(test.events, settings, dynamics.cells)
    half = Half(dynamics, _simple(train, dynamics))
    grid, seconds = _timed(lambda: grid_search(Objective(dynamics)))
    half.methods["grid"] = on_edges(dynamics, grid, seconds)
    half.edges = {"first": dynamics.first, "grid": grid.edges}
    _search(half, other, config, seed)
    n = dynamics.n_categories
    tree, seconds = _timed(lambda: fit_tree(train.features, train.events, n, config.tree, seed))
    half.methods["tree"] = Method(
        lambda inputs: tree.assign(inputs.features), n, tree.evaluations, seconds
    )
    n_agents = 1 if is_control else config.seeds
    _edge_agents(half, other, train, config, seed, [parts / f"agent_{k}" for k in range(n_agents)])
    first = dynamics.assign(dynamics.first, train.events)
    if not is_control:
        half.methods["event_agent"] = event_agent(train, first, n, config, seed)
    half.methods["event_peer"] = event_peer(train, first, n, config, seed)
    return half


def _simple(train: Inputs, dynamics: CategoryDynamics) -> dict[str, Method]:
    """What needs no search."""
    n, signal = dynamics.n_categories, train.events.is_signal
    parts = np.arange(1, n) / n

    def by(seen: Callable[[Inputs], Floats]) -> Method:
        edges = np.quantile(seen(train)[signal], parts)
        return Method(lambda inputs: np.searchsorted(edges, seen(inputs)).astype(np.int64), n)

    start = Found(dynamics.first, 1.0, 0)
    return {
        "inclusive": Method(lambda inputs: np.zeros(len(inputs.events), dtype=np.int64), 1),
        "first": on_edges(dynamics, start, 0.0),
        "resolution": by(lambda inputs: inputs.events.resolution),
        "score": by(lambda inputs: inputs.events.score),
    }


def _search(half: Half, other: CategoryDynamics, config: CategoriseConfig, seed: int) -> None:
    """Every search with every budget and several seeds; the largest budget's are judged."""
    for name, search in SEARCHES.items():
        half.curve[name] = {}
        for budget in config.evaluations:
            values = []
            for k in range(config.seeds):
                rng = np.random.default_rng([seed, k])
                objective = Objective(half.dynamics)
                found, seconds = _timed(partial(search, objective, budget, rng))
                values.append((found.value, _value(other, found)))
                half.methods[name] = on_edges(half.dynamics, found, seconds)
                half.edges[name] = found.edges
            half.curve[name][budget] = values


def _edge_agents(
    half: Half,
    other: CategoryDynamics,
    train: Inputs,
    config: CategoriseConfig,
    seed: int,
    paths: Sequence[Path],
) -> None:
    """Agents trained on resampled events with other yields, followed on the events as they are."""
    update = {"yield_spread": config.scenario_spread, "seed": seed}
    settings = config.categories.model_copy(update=update)
    samples = CategoryDynamics(train.events, settings, half.dynamics.cells)

    def measure(policy: Any) -> dict[str, float]:
        found = follow(half.dynamics, policy)
        return {"train": found.value, "test": _value(other, found)}

    for k, path in enumerate(paths):
        agent = train_edge_agent(samples, config, seed + k, measure, path)
        found = follow(half.dynamics, agent.policy)
        method = on_edges(half.dynamics, found, agent.seconds)
        half.methods[f"agent_{k}"] = replace(method, evaluations=agent.evaluations)
        half.edges[f"agent_{k}"] = found.edges
        half.agents.append(agent)


def scenarios(half: Half, train: Inputs, test: Inputs, config: CategoriseConfig) -> dict[str, Any]:
    """Edges for other yields of the backgrounds: by agents that know many, and by searches anew.

    Returns
    -------
    dict
        Method to budget to gains on the other half (scenarios,), over one category.
    """
    rng = np.random.default_rng(config.seed + _SCENARIO_SEED)
    shape = (config.scenarios, len(BACKGROUNDS))
    factors = np.exp(config.scenario_spread * rng.standard_normal(shape))
    settings = half.dynamics.config
    here, there = (
        CategoryDynamics(
            inputs.events, settings, half.dynamics.cells,
            [Sample(np.ones(len(inputs.events)), f) for f in factors],
        )
        for inputs in (train, test)
    )  # fmt: skip
    fixed = SEARCHES["cross_entropy"](
        Objective(half.dynamics), max(config.evaluations), np.random.default_rng(config.seed)
    )
    found: dict[str, dict[str, list[float]]] = {
        "agent": {},
        "fixed": {},
        **{n: {} for n in SEARCHES},
    }
    for k in range(config.scenarios):
        followed = [follow(here, agent.policy, k) for agent in half.agents]
        gains = [_value(there, f, k) for f in followed]
        found["agent"].setdefault(str(half.dynamics.steps + 1), []).append(float(np.mean(gains)))
        found["fixed"].setdefault("0", []).append(_value(there, fixed, k))
        for name, search in SEARCHES.items():
            for budget in config.evaluations:
                searched = search(Objective(here, k), budget, np.random.default_rng([k, budget]))
                found[name].setdefault(str(budget), []).append(_value(there, searched, k))
    return found


def _value(dynamics: CategoryDynamics, found: Found, replica: int = 0) -> float:
    return float(dynamics.significance(np.array([replica]), found.edges[None])[0])


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.monotonic()
    return work(), time.monotonic() - started
