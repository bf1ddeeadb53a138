"""Models to train, in this process or side by side in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from common.progress import progress, setup_logging
from e2e.checkpoint import save_classifier
from e2e.config import ClassifyConfig, NetworkConfig, TrainingConfig
from e2e.datasets import EventInputs
from e2e.devices import set_threads
from e2e.labels import Labels
from e2e.prediction import predict_logits
from e2e.split import Split, make_split
from e2e.training import Trainer, TrainingTask
from e2e.tree import tree_logits


@dataclass(frozen=True)
class Job:
    """One model of one fold.

    Attributes
    ----------
    model
        network, kinematics or tree.
    fold
        The fold it is tested on.
    shuffled
        Whether it is the control that learns permuted labels.
    """

    model: str
    fold: int
    shuffled: bool = False

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.model}_shuffled" if self.shuffled else f"{self.model}_{self.fold}"


@dataclass
class Workbench:
    """What every job needs; sent to each worker once."""

    config: ClassifyConfig
    inputs: EventInputs
    labels: Labels
    folder: Path
    provenance: dict[str, Any]


def plan(config: ClassifyConfig) -> list[Job]:
    """All models of a run, the longest first; one control of each kind."""
    folds = range(min(config.split.models, config.split.folds))
    jobs = [Job("network", fold) for fold in folds]
    jobs += [Job("network", 0, shuffled=True), Job("tree", 0, shuffled=True)]
    jobs += [Job("tree", fold) for fold in folds]
    return jobs + [Job("kinematics", fold) for fold in folds]


def split_of(bench: Workbench, fold: int) -> Split:
    """The rows of a fold's split; events of other classes take no part."""
    usable = bench.inputs.usable & (bench.labels.label >= 0) & (bench.labels.label <= 2)
    return make_split(bench.labels.group, usable, fold, bench.config.split)


def run_jobs(jobs: Sequence[Job], bench: Workbench) -> dict[Job, NDArray[np.float32]]:
    """Train every model; returns its logits on its fold's test rows."""
    workers = min(bench.config.workers, len(jobs))
    if workers == 1:
        set_threads(bench.config.threads)
        return {job: _run(job, bench, show_progress=True) for job in jobs}
    return dict(progress(_in_parallel(jobs, bench, workers), len(jobs), "training", "model"))


def _in_parallel(
    jobs: Sequence[Job], bench: Workbench, workers: int
) -> Iterator[tuple[Job, NDArray[np.float32]]]:
    # Spawned, not forked: a fork of a process that has used OpenMP threads can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _start_worker, (bench, workers))
    with pool:
        futures = {pool.submit(_run_in_worker, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()


_bench: Workbench | None = None  # of this worker process


def _start_worker(bench: Workbench, workers: int) -> None:
    global _bench
    _bench = bench
    setup_logging()
    set_threads(bench.config.threads, workers)


def _run_in_worker(job: Job) -> NDArray[np.float32]:
    assert _bench is not None
    return _run(job, _bench, show_progress=False)


def _run(job: Job, bench: Workbench, show_progress: bool) -> NDArray[np.float32]:
    split = split_of(bench, job.fold)
    labels = _shuffled(bench.labels, split, bench.config.seed) if job.shuffled else bench.labels
    weight = balanced_weights(labels.label, split.train)
    if job.model == "tree":
        assert bench.inputs.tabular is not None
        train = np.concatenate([split.train, split.validation])
        seed, tree = bench.config.seed + job.fold, bench.config.tree
        with threadpool_limits(bench.config.threads or None):
            return tree_logits(
                bench.inputs.tabular, labels.label, weight, train, split.test, tree, seed
            )
    return _train_network(job, bench, split, labels, weight, show_progress)


def _train_network(
    job: Job,
    bench: Workbench,
    split: Split,
    labels: Labels,
    weight: NDArray[np.float32],
    show_progress: bool,
) -> NDArray[np.float32]:
    network, training = settings(job, bench.config)
    task = TrainingTask(
        name=job.name,
        network=network,
        training=training,
        inputs=bench.config.inputs,
        train=split.train,
        validation=split.validation,
        label=labels.label,
        weight=weight,
        prompt=labels.prompt,
        seed=bench.config.seed + job.fold,
    )
    trainer = Trainer(task, bench.inputs, bench.folder)
    trained = trainer.run(show_progress)
    logits = predict_logits(trained, bench.inputs, split.test, trainer.device)
    if job.model == "network" and not job.shuffled:
        provenance = {**bench.provenance, "fold": job.fold}
        path = bench.folder / f"{job.name}.pt"
        save_classifier(path, trained.cpu(), network, bench.config.inputs, provenance)
    return logits


def settings(job: Job, config: ClassifyConfig) -> tuple[NetworkConfig, TrainingConfig]:
    """Network and training of a job: baselines and controls differ from the main model."""
    network, training = config.network, config.training
    if job.model == "kinematics":
        network = network.model_copy(update={"kind": "kinematics"})
    if job.shuffled:
        epochs = min(config.evaluation.control_epochs, training.epochs)
        training = training.model_copy(update={"epochs": epochs})
    return network, training


def balanced_weights(label: NDArray[np.int64], train: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N,) weights that give each class the same sum over the training rows, with mean one."""
    counts = np.bincount(label[train].clip(min=0), minlength=3)
    per_class = len(train) / (3 * np.maximum(counts, 1))
    return per_class[label.clip(0, 2)].astype(np.float32)


def _shuffled(labels: Labels, split: Split, seed: int) -> Labels:
    """Labels and origins permuted together among the events that train or validate."""
    rows = np.concatenate([split.train, split.validation])
    order = np.random.default_rng(seed).permutation(rows)
    label, prompt = labels.label.copy(), labels.prompt.copy()
    label[rows], prompt[rows] = labels.label[order], labels.prompt[order]
    return replace(labels, label=label, prompt=prompt)
