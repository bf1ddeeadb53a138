"""The compare stage: train every model on the same folds, judge all on the same events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.progress import log
from common.runs import RunFolder
from data.store import EventStore
from e2e.comparison import figures, tables
from e2e.comparison.blindness import whole_image_blindness
from e2e.comparison.config import CompareConfig
from e2e.comparison.jobs import Bench, CompareJob, Outcome, plan, run_job, split_of
from e2e.comparison.models import BEST, ENSEMBLE, MODELS, REFERENCE
from e2e.evaluation.merit import HeldOut, auc_table, signal_efficiencies
from e2e.evaluation.scores import PAIRS, pair_auc, softmax
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.kinematics import Pairs
from e2e.labels import CLASS_NAMES, Labels
from e2e.training.devices import set_threads
from e2e.training.parallel import run_side_by_side

Results = dict[CompareJob, Outcome]


def run(config: CompareConfig) -> Path:
    """Train, test, and write tables and figures; returns the run folder.

    A job that is done is not repeated, nor is a complete run of the same configuration.

    Raises
    ------
    InputError
        If the store cannot be used for training or lacks a channel of an image.
    """
    with EventStore(config.store) as store:
        labels = Labels.read(store)
        folder = RunFolder(config.output, "compare", config, [config.store])
        if folder.is_complete():
            log.info("compare: already complete: %s", config.output)
            return folder.folder
        images = config.inputs.model_copy(update={"full": config.full_images})
        inputs = read_inputs(store, images, tabular=True)
        mass, simulation = Pairs.read(store).mass, store.simulation
        jobs_folder = folder.path("jobs")
        (jobs_folder / "trainings").mkdir(parents=True, exist_ok=True)
        bench = Bench(config, inputs, labels, jobs_folder, folder.inputs[str(config.store)])
        jobs = plan(config, int(inputs.usable.sum()))
        folder.log.info("compare: %d trainings, %d events", len(jobs), int(inputs.usable.sum()))
        results = run_side_by_side(run_job, jobs, bench, config.workers, config.threads)
        results = {job: results[job] for job in jobs}  # of an interrupted run in the same order
        set_threads(config.threads * config.workers)
        leak = whole_image_blindness(store, labels, config) if config.full_images else {}
    metrics = _metrics(results, bench, mass) | {"whole_image_blindness": leak}
    folder.write_metrics(metrics)
    tables.write(folder, metrics, config)
    figures.draw(folder, metrics, config, simulation)
    folder.complete()
    return folder.folder


def _metrics(results: Results, bench: Bench, mass: NDArray[np.float64]) -> dict[str, Any]:
    config = bench.config
    full = {job: out for job, out in results.items() if job.is_whole}
    few = range(min(config.resnet.folds, config.split.models, config.split.folds))
    every = range(min(config.split.models, config.split.folds))
    common = _held_out(full, config.models, list(few), bench, mass)
    metrics = {
        "auc": auc_table(common, config.bootstrap),
        "signal_efficiency": signal_efficiencies(
            common, config.background_efficiencies, config.bootstrap
        ),
        "events": _counts(common),
        "cost": _costs(full, config),
        "learning_curves": _curves(results, bench, mass),
        "shuffled_labels": _controls(results, bench),
    }
    if len(every) > len(few):
        cheap = [model for model in config.models if MODELS[model].kind != "resnet"]
        wide = _held_out(full, cheap, list(every), bench, mass)
        metrics |= {
            "auc_all_folds": auc_table(wide, config.bootstrap),
            "events_all_folds": _counts(wide),
        }
    return metrics


def _held_out(
    results: Results,
    models: list[str],
    folds: list[int],
    bench: Bench,
    mass: NDArray[np.float64],
) -> HeldOut:
    """The models' outputs on the test events of the folds, and the means with the tree."""
    rows = np.concatenate([split_of(bench, fold).test for fold in folds])
    logits = {model: _logits(results, model, folds) for model in models}
    if BEST in models:
        members = range(bench.config.members)
        logits[ENSEMBLE] = _mean([_logits(results, BEST, folds, member) for member in members])
        for model in (BEST, ENSEMBLE):
            logits[f"{model} + {REFERENCE}"] = _mean([logits[model], logits[REFERENCE]])
    labels = bench.labels
    return HeldOut(
        labels.label[rows], labels.group[rows], labels.overlap[rows], labels.weight[rows],
        mass[rows], logits,
    )  # fmt: skip


def _logits(results: Results, model: str, folds: list[int], member: int = 0) -> NDArray[np.float32]:
    """Of the test events of the folds, one after the other."""
    parts = [results[CompareJob(model, fold, member=member)].logits for fold in folds]
    return np.concatenate(parts)


def _mean(logits: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mean of the log probabilities."""
    logs = [np.log(softmax(values) + 1e-9) for values in logits]
    return np.mean(logs, axis=0).astype(np.float32)


def _counts(held_out: HeldOut) -> dict[str, int]:
    counts = {name: int((held_out.label == c).sum()) for c, name in enumerate(CLASS_NAMES)}
    return counts | {"all": len(held_out.label), "overlap": int(held_out.overlap.sum())}


def _costs(results: Results, config: CompareConfig) -> dict[str, dict[str, float]]:
    """Of every model, and of the mean of several of the best, which costs as often as much."""
    costs = {model: _cost(model, results) for model in config.models}
    if BEST in costs:
        several = {"parameters", "train_seconds", "train_ms_per_event", "test_ms_per_event"}
        costs[ENSEMBLE] = {
            key: value * (config.members if key in several else 1)
            for key, value in costs[BEST].items()
        }
    return costs


def _cost(model: str, results: Results) -> dict[str, float]:
    """Training events, size and wall time per event, mean over the folds."""
    outcomes = [out for job, out in results.items() if job.model == model]
    tested = sum(len(out.logits) for out in outcomes)
    seen = sum(out.train_events * max(out.epochs, 1) for out in outcomes)
    seconds = sum(out.train_seconds for out in outcomes)
    return {
        "train_events": float(np.mean([out.train_events for out in outcomes])),
        "epochs": outcomes[0].epochs,
        "parameters": float(np.mean([out.parameters for out in outcomes])),
        "train_seconds": seconds / len(outcomes),
        "train_ms_per_event": 1000 * seconds / seen,
        "test_ms_per_event": 1000 * sum(out.test_seconds for out in outcomes) / tested,
    }


def _curves(results: Results, bench: Bench, mass: NDArray[np.float64]) -> dict[str, Any]:
    """Of each model a list of points: training events, and for each pair AUC and error.

    Where the tree was trained on as many events, also the paired difference to it.
    """
    curves: dict[str, Any] = {model: [] for model in bench.config.curve.models}
    points = [
        (job, out)
        for job, out in results.items()
        if job.fold == 0 and job.permutation is None and job.member == 0
    ]
    trees = {out.train_events: out.logits for job, out in points if job.model == REFERENCE}
    held_out = _held_out(results, [], [0], bench, mass)
    for job, outcome in sorted(points, key=lambda point: point[1].train_events):
        if job.model not in curves:
            continue
        tree = trees.get(outcome.train_events)
        held_out.logits = {job.model: outcome.logits}
        if tree is not None:
            held_out.logits[REFERENCE] = tree
        reference = REFERENCE if tree is not None else job.model
        table = auc_table(held_out, bench.config.bootstrap, reference)[job.model]["as_generated"]
        keys = ("value", "error", *(() if tree is None else ("difference", "difference_error")))
        point = {pair: {key: table[pair][key] for key in keys} for pair in PAIRS}
        curves[job.model].append({"events": outcome.train_events} | point)
    return curves


def _controls(results: Results, bench: Bench) -> dict[str, Any]:
    """AUCs, on true labels, of models taught permuted ones: mean and error over permutations."""
    label = bench.labels.label[split_of(bench, 0).test]
    found: dict[str, Any] = {}
    for model in dict.fromkeys(job.model for job in results if job.permutation is not None):
        logits = [
            out.logits
            for job, out in results.items()
            if job.model == model and job.permutation is not None
        ]
        found[model] = {}
        for pair in PAIRS:
            values = np.array([pair_auc(x, label, pair) for x in logits])
            found[model][pair] = {
                "value": float(values.mean()),
                "error": float(values.std(ddof=1) / np.sqrt(len(values))),
                "single": values.tolist(),
            }
    return found
