"""The classify stage: train the classifier and its baselines, test them, write the products."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path, sha256
from common.progress import log
from common.runs import RunFolder
from data.store import EventStore
from e2e.config import ClassifyConfig, InputConfig
from e2e.deployment.card import write_card
from e2e.evaluation import tables
from e2e.evaluation.blindness import blindness_test
from e2e.evaluation.merit import HeldOut, auc_table, mass_sculpting, signal_efficiencies
from e2e.evaluation.scores import PAIRS, pair_auc, softmax
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import Targets
from e2e.inputs.kinematics import Pairs
from e2e.labels import CLASS_NAMES, Labels
from e2e.low_level.export import export_low_level
from e2e.low_level.scores_file import write_scores
from e2e.low_level.targets import has_crystal_truth, share_targets
from e2e.training.checkpoint import load_classifier
from e2e.training.devices import set_threads
from e2e.training.jobs import Job, Workbench, network_tasks, plan, run_jobs, split_of
from e2e.training.split import fold_of
from e2e.training.training_set import write_training_set

MODELS = ("kinematics", "tree", "network")
Logits = dict[str, NDArray[np.float32]]


def run(config: ClassifyConfig) -> Path:
    """Train and test; returns the run folder. A complete run of the same configuration is kept.

    Raises
    ------
    InputError
        If the store cannot be used for training.
    """
    with EventStore(config.store) as store:
        labels = Labels.read(store)
        folder = RunFolder(config.output, "classify", config, [config.store])
        if folder.is_complete():
            log.info("classify: already complete: %s", config.output)
            return folder.folder
        inputs = read_inputs(store, config.inputs, tabular=True)
        mass = Pairs.read(store).mass
        models = folder.path("models")
        models.mkdir(exist_ok=True)
        provenance = _provenance(folder, config)
        targets = further_targets(store, config.inputs, mass)
        bench = Workbench(config, inputs, labels, models, provenance, targets)
        folder.log.info("classify: %d events with a pair", int(inputs.usable.sum()))
        if config.prepare:
            write_training_set(models / "training_set.h5", inputs, network_tasks(bench), provenance)
            folder.log.info("classify: written: %s", models / "training_set.h5")
            return folder.folder
        results = run_jobs(plan(config), bench)
        set_threads(config.threads * config.workers)  # what follows has the machine to itself
        logits = _gathered(results, bench)
        _write_products(folder, store, config, logits, provenance)
        held_out = _held_out(logits, labels, mass)
        metrics = _metrics(held_out, config) | {
            "mass_blindness": blindness_test(store, labels, config),
            "shuffled_labels": _controls(results, bench),
            "events": _counts(held_out, labels),
        }
        simulation = store.simulation
    folder.write_metrics(metrics)
    tables.write(folder, metrics)
    write_card(folder.path("MODEL_CARD.md"), load_classifier(folder.path("classifier.pt")), metrics)
    _plots(folder, bench, held_out, simulation)
    folder.complete()
    return folder.folder


def further_targets(store: EventStore, inputs: InputConfig, mass: NDArray[np.floating]) -> Targets:
    """What may be learned beyond classes: m_gg is kept from the score, shares need their truth."""
    tables: dict[str, NDArray] = {"mass": mass.astype(np.float32)}
    if not (inputs.hits and has_crystal_truth(store)):
        return Targets(tables)
    shares = share_targets(store, inputs)
    return Targets({**tables, **shares.tables}, shares.images)


def _provenance(folder: RunFolder, config: ClassifyConfig) -> dict[str, Any]:
    return {
        "store_sha256": folder.inputs[str(config.store)],
        "split": config.split.model_dump(mode="json"),
        "training": config.training.model_dump(mode="json"),
        "seed": config.seed,
    }


def _gathered(results: dict[Job, NDArray[np.float32]], bench: Workbench) -> Logits:
    """(N, 3) logits per model, NaN for events that no model held out."""
    logits = {m: np.full((len(bench.inputs), 3), np.nan, dtype=np.float32) for m in MODELS}
    for job, values in results.items():
        if not job.is_control:
            logits[job.model][split_of(bench, job.fold).test] = values
    return logits


def _write_products(
    folder: RunFolder,
    store: EventStore,
    config: ClassifyConfig,
    logits: Logits,
    provenance: dict[str, Any],
) -> None:
    """The first fold's network is the classifier of the run; its test events are held out."""
    classifier = folder.path("classifier.pt")
    with atomic_path(classifier) as temporary:
        shutil.copyfile(folder.path("models") / "network_0.pt", temporary)
    fold = fold_of(store.event("group").astype(np.int64), config.split)
    attributes = {
        "store_fingerprint": provenance["store_sha256"],
        "checkpoint_sha256": sha256(classifier),
    }
    write_scores(folder.path("scores.h5"), store, fold, logits, attributes)
    if config.network.kind == "diphoton":
        export_low_level(classifier, config.store, folder.path("low_level.h5"))


def _held_out(logits: Logits, labels: Labels, mass: NDArray[np.float64]) -> HeldOut:
    rows = np.flatnonzero(np.isfinite(logits["network"]).all(axis=1))
    found = {model: values[rows] for model, values in logits.items()}
    mean = (_log_softmax(found["network"]) + found["tree"]) / 2
    found["network + tree"] = mean.astype(np.float32)
    return HeldOut(
        label=labels.label[rows],
        group=labels.group[rows],
        overlap=labels.overlap[rows],
        weight=labels.weight[rows],
        mass=mass[rows],
        logits=found,
    )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log(softmax(logits)).astype(np.float32)


def _metrics(held_out: HeldOut, config: ClassifyConfig) -> dict[str, Any]:
    settings = config.evaluation
    return {
        "auc": auc_table(held_out, settings.bootstrap),
        "signal_efficiency": signal_efficiencies(
            held_out, settings.background_efficiencies, settings.bootstrap
        ),
        "mass_sculpting": {
            model: mass_sculpting(
                held_out, model, settings.background_efficiencies, settings.bootstrap
            )
            for model in MODELS
        },
    }


def _controls(results: dict[Job, NDArray[np.float32]], bench: Workbench) -> dict[str, Any]:
    """AUCs, on true labels, of models taught permuted ones: mean and error over permutations."""
    label = bench.labels.label[split_of(bench, 0).test]
    found = {}
    for model in ("network", "tree"):
        controls = [job for job in results if job.is_control and job.model == model]
        # In their own order: results of an interrupted run come in another.
        logits = [results[job] for job in sorted(controls, key=lambda job: job.permutation or 0)]
        aucs = {pair: np.array([pair_auc(x, label, pair) for x in logits]) for pair in PAIRS}
        found[model] = {
            pair: {
                "value": float(values.mean()),
                "error": float(values.std(ddof=1) / np.sqrt(len(values))),
                "single": values.tolist(),
            }
            for pair, values in aucs.items()
        }
    return found


def _counts(held_out: HeldOut, labels: Labels) -> dict[str, Any]:
    return {
        "all": {name: int((labels.label == c).sum()) for c, name in enumerate(CLASS_NAMES)},
        "held_out": {name: int((held_out.label == c).sum()) for c, name in enumerate(CLASS_NAMES)},
        "held_out_overlap": int(held_out.overlap.sum()),
        "held_out_groups": len(np.unique(held_out.group)),
    }


def _plots(folder: RunFolder, bench: Workbench, held_out: HeldOut, simulation: bool) -> None:
    from e2e.evaluation import plots

    plots.draw(folder, bench, held_out, simulation)
