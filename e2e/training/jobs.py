"""Models to train, in this process or side by side in several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from e2e.config import ClassifyConfig, NetworkConfig, TrainingConfig
from e2e.inputs.events import EventInputs, Targets
from e2e.labels import Labels
from e2e.training.checkpoint import save_classifier
from e2e.training.parallel import run_side_by_side
from e2e.training.prediction import predict_logits
from e2e.training.split import Split, make_split
from e2e.training.trainer import Trainer, TrainingTask
from e2e.training.tree import tree_logits


@dataclass(frozen=True)
class Job:
    """One model of one fold.

    Attributes
    ----------
    model
        network, kinematics or tree.
    fold
        The fold it is tested on.
    permutation
        Of a control that learns permuted labels, which permutation; else None.
    """

    model: str
    fold: int
    permutation: int | None = None

    @property
    def name(self) -> str:
        """Of its files."""
        if self.is_control:
            return f"{self.model}_shuffled_{self.permutation}"
        return f"{self.model}_{self.fold}"

    @property
    def is_control(self) -> bool:
        """Whether it learns permuted labels."""
        return self.permutation is not None


@dataclass
class Workbench:
    """What every job needs; sent to each worker once.

    `targets` holds what may be learned beyond classes and prompt photons: `mass`, `share`.
    """

    config: ClassifyConfig
    inputs: EventInputs
    labels: Labels
    folder: Path
    provenance: dict[str, Any]
    targets: Targets = field(default_factory=lambda: Targets({}))


def plan(config: ClassifyConfig) -> list[Job]:
    """All models of a run, the longest first."""
    folds = range(min(config.split.models, config.split.folds))
    jobs = [Job("network", fold) for fold in folds]
    jobs += [Job("tree", fold) for fold in folds]
    permutations = range(config.evaluation.control_permutations)
    jobs += [Job(model, 0, k) for model in ("network", "tree") for k in permutations]
    return jobs + [Job("kinematics", fold) for fold in folds]


def split_of(bench: Workbench, fold: int) -> Split:
    """The rows of a fold's split; events of other classes take no part."""
    usable = bench.inputs.usable & (bench.labels.label >= 0) & (bench.labels.label <= 2)
    return make_split(bench.labels.group, usable, fold, bench.config.split)


def run_jobs(jobs: Sequence[Job], bench: Workbench) -> dict[Job, NDArray[np.float32]]:
    """Train every model; returns its logits on its fold's test rows."""
    return run_side_by_side(run_job, jobs, bench, bench.config.workers, bench.config.threads)


def run_job(job: Job, bench: Workbench, show_progress: bool) -> NDArray[np.float32]:
    """Train one model; returns its logits on its fold's test rows."""
    split = split_of(bench, job.fold)
    labels = bench.labels
    if job.permutation is not None:
        rng = np.random.default_rng([bench.config.seed, job.permutation])
        events = bench.config.evaluation.control_events
        split = balanced_subset(split, labels.label, events, rng)
        labels = shuffled(labels, split.train, rng)
    weight = balanced_weights(labels.label, split.train)
    if job.model == "tree":
        train = np.concatenate([split.train, split.validation])
        seed, tree = bench.config.seed + job.fold, bench.config.tree
        with threadpool_limits(torch.get_num_threads()):
            return tree_logits(
                bench.inputs.tables["tabular"], labels.label, weight, train, split.test, tree, seed
            )
    task = _task(job, bench, split, labels, weight)
    return _train_network(job, bench, split, task, show_progress)


def network_tasks(bench: Workbench) -> list[TrainingTask]:
    """The trainings of the main network, one per fold, as `run_jobs` would make them."""
    tasks = []
    for job in plan(bench.config):
        if job.model == "network" and not job.is_control:
            split = split_of(bench, job.fold)
            weight = balanced_weights(bench.labels.label, split.train)
            tasks.append(_task(job, bench, split, bench.labels, weight))
    return tasks


def _task(
    job: Job, bench: Workbench, split: Split, labels: Labels, weight: NDArray[np.float32]
) -> TrainingTask:
    network, training = settings(job, bench.config)
    known: dict[str, NDArray] = {"label": labels.label, "weight": weight, "prompt": labels.prompt}
    return TrainingTask(
        name=job.name,
        network=network,
        training=training,
        inputs=bench.config.inputs,
        train=split.train,
        validation=split.validation,
        targets=Targets({**known, **bench.targets.tables}, bench.targets.images),
        seed=bench.config.seed + job.fold,
    )


def _train_network(
    job: Job, bench: Workbench, split: Split, task: TrainingTask, show_progress: bool
) -> NDArray[np.float32]:
    trainer = Trainer(task, bench.inputs, bench.folder)
    trained = trainer.run(show_progress)
    mirrors = not job.is_control  # a control need not be precise
    logits = predict_logits(trained, bench.inputs, split.test, trainer.device, mirrors)
    if job.model == "network" and not job.is_control:
        provenance = {**bench.provenance, "fold": job.fold}
        path = bench.folder / f"{job.name}.pt"
        save_classifier(path, trained.cpu(), task.network, task.inputs, provenance)
    return logits


def settings(job: Job, config: ClassifyConfig) -> tuple[NetworkConfig, TrainingConfig]:
    """Network and training of a job: baselines and controls differ from the main model."""
    network, training = config.network, config.training
    if job.model == "kinematics":
        network = network.model_copy(update={"kind": "kinematics"})
    if job.is_control:
        # Without the auxiliary losses, which know jets from photons, the classes are exchangeable.
        update = {
            "epochs": config.evaluation.control_epochs,
            "batch_size": 64,
            "prompt_loss": 0.0,
            "share_loss": 0.0,
            "decorrelation": "none",
            "tensorboard": False,
        }
        training = training.model_copy(update=update)
    return network, training


def balanced_weights(label: NDArray[np.int64], train: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N,) weights that give each class the same sum over the training rows, with mean one."""
    counts = np.bincount(label[train].clip(min=0), minlength=3)
    per_class = len(train) / (3 * np.maximum(counts, 1))
    return per_class[label.clip(0, 2)].astype(np.float32)


def balanced_subset(
    split: Split, label: NDArray[np.int64], events: int, rng: np.random.Generator
) -> Split:
    """Equally many training events of each class, none for validation.

    With equal classes their permuted labels are exchangeable, so that 0.5 is what to expect.
    With unequal ones the commoner label wins where events are sparse, and they are sparsest among
    jets: an overfitted control then lies below 0.5.
    """
    drawn = rng.permutation(split.train)
    members = [drawn[label[drawn] == c] for c in range(3)]
    size = min(events // 3, *(len(rows) for rows in members))
    train = np.sort(np.concatenate([rows[:size] for rows in members]))
    return replace(split, train=train, validation=split.train[:0])


def shuffled(labels: Labels, rows: NDArray[np.int64], rng: np.random.Generator) -> Labels:
    """Labels and origins of `rows` permuted together, with one mixture in every true class.

    A plain permutation leaves a chance correlation of a percent or so with the true class. An AUC
    sees the direction of a score and not its size, so that a model of classes as easily told
    apart as these follows the chance far from 0.5, on either side.
    """
    label = labels.label[rows]
    position = np.empty(len(rows))  # of each donor within its class, from 0 to 1
    for c in np.unique(label):
        members = np.flatnonzero(label == c)
        position[members] = (rng.permutation(len(members)) + rng.random()) / len(members)
    donors = rows[np.argsort(position, kind="stable")]  # every stretch holds all classes alike
    receivers = rows[np.lexsort((rng.random(len(rows)), label))]
    result = replace(labels, label=labels.label.copy(), prompt=labels.prompt.copy())
    result.label[receivers] = labels.label[donors]
    result.prompt[receivers] = labels.prompt[donors]
    return result
