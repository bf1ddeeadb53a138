"""The `categorise` stage: where does an agent with a reward without gradient earn its place?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from common.runs import RunFolder
from envs.categories.events import CategoryEvents
from rl.categories import figures, study
from rl.categories.config import CategoriseConfig
from rl.categories.inputs import Inputs, read_inputs
from rl.categories.judge import Fold, describe, judge
from rl.categories.study import Half
from rl.categories.tables import add_tables
from rl.refinement.networks import one_thread
from rl.uncertainty.parts import parts_of

_CONTROLS = ("inclusive", "first", "cross_entropy", "tree", "agent_0", "event_peer")
_DESCRIBED = ("cross_entropy", "tree", "agent_0", "event_agent")
_SAMPLE_EVENTS = 8000


def run(config: CategoriseConfig) -> dict[str, Any]:
    """Run the stage; a complete run is not repeated, an interrupted one keeps its agents.

    Returns
    -------
    dict
        The metrics, as in `metrics.json`.

    Raises
    ------
    InputError
        If the resolutions are not of this store.
    """
    inputs = [config.store, config.resolutions / "resolutions.h5"]
    folder = RunFolder(config.output, "categorise", config, inputs)
    if folder.is_complete():
        folder.log.info("categorise: complete already: %s", config.output)
        return folder.read_metrics()
    events = read_inputs(config)
    folder.log.info("categorise: %d events", len(events.events))
    with one_thread():
        metrics = _run(config, folder, events)
    folder.write_metrics(metrics)
    add_tables(folder, metrics)
    folder.complete()
    return metrics


def _run(config: CategoriseConfig, folder: RunFolder, events: Inputs) -> dict[str, Any]:
    replicas = config.bootstrap
    halves, folds = _chosen(events, config, folder)
    mixed = events.shuffled(np.random.default_rng(config.seed))
    _, controls = _chosen(mixed, config, folder, is_control=True)
    controls = [
        Fold(f.train, f.test, {n: m for n, m in f.methods.items() if n in _CONTROLS})
        for f in controls
    ]
    other = [
        study.scenarios(half, fold.train, fold.test, config)
        for half, fold in zip(halves, folds, strict=True)
    ]
    metrics = {
        "events": {
            "number": len(events.events),
            "classes": np.bincount(events.events.label, minlength=3),
        },
        "methods": judge(folds, replicas, config.seed),
        "controls": judge(controls, replicas, config.seed),
        "categories": {name: describe(folds, name, replicas) for name in _DESCRIBED},
        "curves": [half.curve for half in halves],
        "learning": [[agent.curve for agent in half.agents] for half in halves],
        "scenarios": other,
        "edges": {
            name: dict(zip(halves[0].dynamics.action_names, edges.tolist(), strict=True))
            for name, edges in halves[0].edges.items()
        },
    }
    _sample(events, config.seed).save(folder.path("events.npz"))
    _figures(folder, metrics, halves)
    return metrics


def _sample(events: Inputs, seed: int) -> CategoryEvents:
    """Some of the events with the yields of all: a sample for the registered environment."""
    n = len(events.events)
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:_SAMPLE_EVENTS])
    some = events.events.take(rows)
    return replace(some, weight=some.weight * (n / len(rows)))


def _chosen(
    events: Inputs, config: CategoriseConfig, folder: RunFolder, is_control: bool = False
) -> tuple[list[Half], list[Fold]]:
    """Every method, chosen on either half for the other."""
    parts = events.halves(config.seed)
    halves, folds = [], []
    for k, (train, test) in enumerate((parts, parts[::-1])):
        kept = parts_of(folder) / f"{'control' if is_control else 'half'}_{k}"
        half = study.choose(train, test, config, config.seed + 10 * k, kept, is_control)
        folder.log.info("categorise: half %d of 2 done", k + 1)
        halves.append(half)
        folds.append(Fold(train, test, half.methods))
    return halves, folds


def _figures(folder: RunFolder, metrics: dict[str, Any], halves: list[Half]) -> None:
    folder.save_figure(
        figures.gains(metrics["methods"], metrics["controls"]), "gains",
        "Expected significance on events that the categories were not chosen on.",
    )  # fmt: skip
    folder.save_figure(
        figures.efficiency(metrics), "efficiency",
        "Significance on the other half against the evaluations spent, for expected yields (left) "
        "and for other yields of the backgrounds, for which a trained agent needs seven (right).",
    )  # fmt: skip
    folder.save_figure(
        figures.learning(metrics["learning"]), "learning",
        "Significance while agents that move edges learn.",
    )  # fmt: skip
    folder.save_figure(
        figures.planes(halves[0].dynamics, halves[0].edges), "plane",
        "Categories in the plane of score and predicted resolution.",
    )  # fmt: skip
