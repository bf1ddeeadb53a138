"""One training of one model on one fold: logits, time and size, kept so as not to be repeated."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from common.files import atomic_path
from e2e.comparison.config import CompareConfig
from e2e.comparison.models import BEST, MODELS, REFERENCE, Model, columns_of
from e2e.config import NetworkConfig, TrainingConfig
from e2e.inputs.events import EventInputs, Targets
from e2e.labels import Labels
from e2e.training.jobs import balanced_subset, balanced_weights, shuffled
from e2e.training.prediction import predict_logits
from e2e.training.split import Split, make_split, uniform_hash
from e2e.training.trainer import Trainer, TrainingTask
from e2e.training.tree import fit_tree, tree_log_probabilities

_LEAST_BATCH = 32
_CONTROL_EPOCHS = 15


@dataclass(frozen=True)
class CompareJob:
    """One training.

    Attributes
    ----------
    model
        Name in `MODELS`.
    fold
        The fold it is tested on.
    events
        Training events of a learning curve's point, else None for all.
    permutation
        Of a control that learns permuted labels, which permutation; else None.
    member
        Of several trainings that differ in their seed.
    """

    model: str
    fold: int
    events: int | None = None
    permutation: int | None = None
    member: int = 0

    @property
    def name(self) -> str:
        """Of its files."""
        parts = [self.model, f"fold{self.fold}"]
        parts += [f"events{self.events}"] if self.events is not None else []
        parts += [f"shuffled{self.permutation}"] if self.permutation is not None else []
        parts += [f"member{self.member}"] if self.member else []
        return "_".join(parts)

    @property
    def is_whole(self) -> bool:
        """Whether it learns true labels of all the events that it may."""
        return self.events is None and self.permutation is None


@dataclass
class Bench:
    """What every job needs; sent to each worker once."""

    config: CompareConfig
    inputs: EventInputs
    labels: Labels
    folder: Path
    store_sha256: str


@dataclass
class Outcome:
    """What came of a job.

    Attributes
    ----------
    logits
        (T, 3) of the fold's test rows.
    train_events, epochs, parameters
        How many; leaves for a tree, whose epochs are 0.
    train_seconds, test_seconds
        Wall time of training and of predicting all test rows, one process of several.
    """

    logits: NDArray[np.float32]
    train_events: int
    epochs: int
    parameters: int
    train_seconds: float
    test_seconds: float


def plan(config: CompareConfig, n_events: int) -> list[CompareJob]:
    """All jobs of a run, the longest first; a store of `n_events` bounds the learning curves."""
    folds = range(min(config.split.models, config.split.folds))
    few = range(min(config.resnet.folds, len(folds)))
    jobs = [
        CompareJob(name, fold)
        for name in config.models
        for fold in (few if MODELS[name].kind == "resnet" else folds)
    ]
    jobs += [CompareJob(name, 0) for name in config.curve.models]
    jobs += [
        CompareJob(name, 0, events)
        for name in config.curve.models
        for events in config.curve.events
        if events < n_events * (1 - 1 / config.split.folds) * 0.9
        and (MODELS[name].kind != "resnet" or events < config.resnet.events)
    ]
    if BEST in config.models:
        members = range(1, config.members)
        jobs += [CompareJob(BEST, fold, member=k) for fold in folds for k in members]
        for name in (BEST, REFERENCE):
            jobs += [CompareJob(name, 0, None, k) for k in range(config.control_permutations)]
    order = {"resnet": 0, "network": 1, "tree": 2}
    every = dict.fromkeys(jobs)
    return sorted(
        every, key=lambda j: (order[MODELS[j.model].kind], j.permutation is not None,
                              j.events is not None, -(j.events or 0))
    )  # fmt: skip


def split_of(bench: Bench, fold: int) -> Split:
    """Rows of a fold: all that are not tested train; there is no early stopping to validate."""
    usable = bench.inputs.usable & np.isin(bench.labels.label, (0, 1, 2))
    split = make_split(bench.labels.group, usable, fold, bench.config.split)
    train = np.sort(np.concatenate([split.train, split.validation]))
    return replace(split, train=train, validation=train[:0])


def run_job(job: CompareJob, bench: Bench, show_progress: bool) -> Outcome:
    """Train and test, or read what an earlier run of the same job left."""
    path = bench.folder / f"{job.name}.npz"
    fingerprint = _fingerprint(job, bench)
    if (known := _read(path, fingerprint)) is not None:
        return known
    split, labels = split_of(bench, job.fold), bench.labels
    if job.permutation is not None:
        rng = np.random.default_rng([bench.config.seed, job.permutation])
        split = balanced_subset(split, labels.label, bench.config.control_events, rng)
        labels = shuffled(labels, split.train, rng)
    split = replace(split, train=first_events(split.train, labels.group, _budget(job, bench)))
    work = _run_tree if MODELS[job.model].kind == "tree" else _run_network
    outcome = work(job, bench, split, labels, show_progress)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, fingerprint=fingerprint, **asdict(outcome))
    return outcome


def first_events(
    train: NDArray[np.int64], group: NDArray[np.int64], events: int | None
) -> NDArray[np.int64]:
    """The first of the training rows in the order of a hash of their groups: subsets are nested."""
    if events is None or events >= len(train):
        return train
    order = np.argsort(uniform_hash(group[train], seed=77), kind="stable")
    return np.sort(train[order[:events]])


def _budget(job: CompareJob, bench: Bench) -> int | None:
    most = bench.config.resnet.events if MODELS[job.model].kind == "resnet" else None
    given = [events for events in (job.events, most) if events is not None]
    return min(given) if given else None


def _run_tree(
    job: CompareJob, bench: Bench, split: Split, labels: Labels, show_progress: bool
) -> Outcome:
    features = bench.inputs.tables["tabular"][:, columns_of(MODELS[job.model])]
    weight = balanced_weights(labels.label, split.train)
    start = time.perf_counter()
    with threadpool_limits(torch.get_num_threads()):
        tree = fit_tree(features, labels.label, weight, split.train, bench.config.tree,
                        bench.config.seed + job.fold)  # fmt: skip
        middle = time.perf_counter()
        logits = tree_log_probabilities(tree, features[split.test])
    end = time.perf_counter()
    return Outcome(logits, len(split.train), 0, _leaves(tree), middle - start, end - middle)


def _leaves(tree: HistGradientBoostingClassifier) -> int:
    predictors = [p for iteration in tree._predictors for p in iteration]
    return sum(int(p.nodes["is_leaf"].sum()) for p in predictors)


def _run_network(
    job: CompareJob, bench: Bench, split: Split, labels: Labels, show_progress: bool
) -> Outcome:
    is_resnet, is_control = MODELS[job.model].kind == "resnet", job.permutation is not None
    mirrors = bench.config.resnet.mirrors if is_resnet else not is_control
    task = _task(job, bench, split, labels)
    start = time.perf_counter()
    trainer = Trainer(task, bench.inputs, bench.folder / "trainings")
    network = trainer.run(show_progress)
    middle = time.perf_counter()
    logits = predict_logits(network, bench.inputs, split.test, trainer.device, mirrors)
    end = time.perf_counter()
    parameters = sum(values.numel() for values in network.parameters())
    epochs = task.training.epochs
    return Outcome(logits, len(split.train), epochs, parameters, middle - start, end - middle)


def _task(job: CompareJob, bench: Bench, split: Split, labels: Labels) -> TrainingTask:
    model, config = MODELS[job.model], bench.config
    weight = balanced_weights(labels.label, split.train)
    return TrainingTask(
        name=job.name,
        network=network_of(model, config),
        training=training_of(job, len(split.train), config),
        inputs=config.inputs.model_copy(update={"shapes": model.shapes}),
        train=split.train,
        validation=split.validation,
        targets=Targets({"label": labels.label, "weight": weight, "prompt": labels.prompt}),
        seed=config.seed + job.fold + 1000 * job.member,
    )


def network_of(model: Model, config: CompareConfig) -> NetworkConfig:
    """The network of a model."""
    update = dict(model.network)
    if model.kind == "resnet":
        update["stride"] = config.resnet.stride
    return config.network.model_copy(update=update)


def training_of(job: CompareJob, n_train: int, config: CompareConfig) -> TrainingConfig:
    """Its training; small samples are passed over more often, in smaller batches."""
    training, settings = config.training, config.resnet
    update: dict[str, Any] = {"tensorboard": False}
    if MODELS[job.model].kind == "resnet":
        update |= {
            "epochs": settings.epochs, "batch_size": settings.batch_size,
            "learning_rate": settings.learning_rate,
        }  # fmt: skip
        training = training.model_copy(update=update)
    if job.permutation is not None:
        # Without the auxiliary loss, which knows jets from photons, classes are exchangeable.
        update |= {"epochs": _CONTROL_EPOCHS, "batch_size": 64, "prompt_loss": 0.0}
        return training.model_copy(update=update)
    batch = int(np.clip(n_train // 32, _LEAST_BATCH, training.batch_size))
    steps = max(n_train // batch, 1)
    epochs = max(training.epochs, -(-config.curve.least_steps // steps))
    return training.model_copy(update=update | {"batch_size": batch, "epochs": epochs})


def _fingerprint(job: CompareJob, bench: Bench) -> str:
    """Hash of everything that decides the result."""
    config, model = bench.config, MODELS[job.model]
    decides = {
        "tree": {"tree"}, "network": {"network", "training"},
        "resnet": {"network", "training", "resnet"},
    }[model.kind]  # fmt: skip
    common = {"inputs", "split", "seed", "control_events"}
    settings = config.model_dump(mode="json", include=common | decides)
    settings["inputs"].pop("full")  # which other images are made changes nothing
    settings["split"].pop("models")  # nor how many other folds are tested
    definition = {k: v for k, v in asdict(model).items() if k != "title"}
    settings |= {"job": asdict(job), "model": definition, "store": bench.store_sha256}
    settings["least_steps"] = config.curve.least_steps
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _read(path: Path, fingerprint: str) -> Outcome | None:
    if not path.is_file():
        return None
    with np.load(path) as content:
        if str(content["fingerprint"]) != fingerprint:
            return None
        values = {name: content[name] for name in content.files if name != "fingerprint"}
    logits = values.pop("logits")
    return Outcome(logits, **{name: value.item() for name, value in values.items()})
