"""The decorrelate stage: train every variant on the same folds, and see what it does to m_gg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.metrics import bootstrap
from common.progress import log
from common.runs import RunFolder
from data.store import EventStore
from e2e.classify import further_targets
from e2e.decorrelation import figures, tables
from e2e.decorrelation.config import DecorrelateConfig
from e2e.decorrelation.variants import REFERENCE, Variant, classify_config, inputs_of, variants
from e2e.evaluation.merit import HeldOut, auc_table, mass_sculpting
from e2e.evaluation.scores import higgs_score
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import EventInputs
from e2e.inputs.kinematics import Pairs
from e2e.labels import HIGGS, Labels
from e2e.training.devices import set_threads
from e2e.training.distance_correlation import squared_distance_correlation
from e2e.training.jobs import Job, Workbench, run_job, split_of
from e2e.training.parallel import run_side_by_side

_PAIRWISE_EVENTS = 2000  # of which a distance correlation is made
_REPLICAS = 20  # of a distance correlation's error


def run(config: DecorrelateConfig) -> Path:
    """Train and compare; returns the run folder. A complete run of the same settings is kept.

    Raises
    ------
    InputError
        If the store cannot be used for training.
    """
    with EventStore(config.store) as store:
        labels = Labels.read(store)
        folder = RunFolder(config.output, "decorrelate", config, [config.store])
        if folder.is_complete():
            log.info("decorrelate: already complete: %s", config.output)
            return folder.folder
        pairs = Pairs.read(store)
        logits = _train(config, _benches(config, store, labels, pairs, folder))
        simulation = store.simulation
    set_threads(config.threads * config.workers)
    every = variants(config)
    held_out = _held_out(logits, labels, pairs.mass)
    metrics = _metrics(held_out, every, config)
    folder.write_metrics(metrics)
    tables.write(folder, metrics, every)
    figures.draw(folder, metrics, held_out, every, simulation)
    folder.complete()
    return folder.folder


def _benches(
    config: DecorrelateConfig, store: EventStore, labels: Labels, pairs: Pairs, folder: RunFolder
) -> dict[Variant, Workbench]:
    """What each variant needs to train; variants of the same inputs share them."""
    scaled = read_inputs(store, inputs_of("scaled", config), tabular=True)
    raw = read_inputs(store, inputs_of("raw", config), tabular=True)
    inputs = {
        ("network", "scaled"): scaled,
        ("tree", "scaled"): scaled,
        ("network", "raw"): raw,
        ("network", "mass"): _with_mass(raw, pairs),
        ("tree", "mass"): _table_with_mass(raw, pairs),
    }
    targets = further_targets(store, config.inputs, pairs.mass)
    benches = {}
    for variant in variants(config):
        models = folder.path("models") / variant.name
        models.mkdir(parents=True, exist_ok=True)
        settings, seen = classify_config(variant, config), inputs[variant.model, variant.inputs]
        provenance = {"variant": variant.name}
        benches[variant] = Workbench(settings, seen, labels, models, provenance, targets)
    return benches


def _with_mass(raw: EventInputs, pairs: Pairs) -> EventInputs:
    """Raw inputs with m_gg instead of cos dphi, which follows from m_gg and what is left."""
    kinematics = raw.tables["kinematics"].copy()
    kinematics[:, -1] = pairs.mass
    return EventInputs(raw.images, {**raw.tables, "kinematics": kinematics}, raw.usable)


def _table_with_mass(raw: EventInputs, pairs: Pairs) -> EventInputs:
    """The tree's raw shapes and isolation with m_gg and the photons' pt."""
    known = np.column_stack([raw.tables["tabular"], pairs.mass, pairs.pt]).astype(np.float32)
    return EventInputs({}, {"tabular": known}, raw.usable)


def _train(
    config: DecorrelateConfig, benches: dict[Variant, Workbench]
) -> dict[str, NDArray[np.float32]]:
    """(N, 3) logits of every variant, NaN where not held out."""
    folds = range(min(config.split.models, config.split.folds))
    jobs = [(variant, fold) for variant in benches for fold in folds]
    results = run_side_by_side(_run, jobs, benches, config.workers, config.threads)
    found = {}
    for variant, bench in benches.items():
        logits = np.full((len(bench.inputs), 3), np.nan, dtype=np.float32)
        for fold in folds:
            logits[split_of(bench, fold).test] = results[variant, fold]
        found[variant.name] = logits
    return found


def _run(
    job: tuple[Variant, int], benches: dict[Variant, Workbench], show_progress: bool
) -> NDArray[np.float32]:
    variant, fold = job
    return run_job(Job(variant.model, fold), benches[variant], show_progress)


def _held_out(
    logits: dict[str, NDArray[np.float32]], labels: Labels, mass: NDArray[np.float64]
) -> HeldOut:
    rows = np.flatnonzero(np.isfinite(logits[REFERENCE]).all(axis=1))
    return HeldOut(
        label=labels.label[rows],
        group=labels.group[rows],
        overlap=labels.overlap[rows],
        weight=labels.weight[rows],
        mass=mass[rows],
        logits={name: values[rows] for name, values in logits.items()},
    )


def _metrics(held_out: HeldOut, every: list[Variant], config: DecorrelateConfig) -> dict[str, Any]:
    return {
        "auc": auc_table(held_out, config.bootstrap, REFERENCE),
        "mass_sculpting": {
            variant.name: mass_sculpting(
                held_out, variant.name, config.background_efficiencies, config.bootstrap
            )
            for variant in every
        },
        "distance_correlation": {v.name: _correlation(held_out, v.name) for v in every},
        "events": {
            "held_out": len(held_out.label),
            "background": int((held_out.label != HIGGS).sum()),
        },
    }


def _correlation(held_out: HeldOut, name: str) -> dict[str, float]:
    """Distance correlation of the Higgs score and m_gg over held-out background, and its error.

    `of_random` is what permuted masses give: the estimate of independent samples is not zero.
    """
    background = np.flatnonzero(held_out.label != HIGGS)
    rng = np.random.default_rng(0)
    rows = rng.permutation(background)[:_PAIRWISE_EVENTS]
    score, mass = higgs_score(held_out.logits[name][rows]), held_out.mass[rows]

    def statistic(s: NDArray[np.float64], m: NDArray[np.float64]) -> float:
        squared = squared_distance_correlation(torch.from_numpy(s), torch.from_numpy(m))
        return float(squared.clamp(min=0).sqrt())

    error = bootstrap(statistic, score, mass, groups=held_out.group[rows], n=_REPLICAS)
    return {
        "value": statistic(score, mass),
        "error": float(error),
        "of_random": statistic(score, rng.permutation(mass)),
    }
