"""The jets stage: quark against gluon, networks on images beside a boosted tree on shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path
from common.progress import log
from common.runs import RunFolder
from data.store import EventStore
from data.store.schema import dataset_options
from e2e.config import InputConfig
from e2e.jets import plots, tables
from e2e.jets.config import JetsConfig
from e2e.jets.labels import GLUON, QUARK, true_flavour
from e2e.jets.labels import TITLES as FLAVOURS
from e2e.jets.merit import auc_table, counts, shuffled_labels
from e2e.jets.models import (
    MODELS,
    NETWORK,
    TREE,
    Bench,
    Scores,
    apply_network,
    network_config,
    train_all,
)
from e2e.jets.sample import JetSample, read_jets
from e2e.networks import EventNetwork
from e2e.training.checkpoint import save_classifier
from e2e.training.devices import set_threads


def run(config: JetsConfig) -> Path:
    """Train and test; returns the run folder. A complete run of the same configuration is kept.

    Raises
    ------
    InputError
        If a store cannot be used.
    """
    with EventStore(config.store) as store:
        folder = RunFolder(config.output, "jets", config, [config.store, *config.unlabelled])
        if folder.is_complete():
            log.info("jets: already complete: %s", config.output)
            return folder.folder
        set_threads(config.threads)
        sample = read_jets(store, config.cuts)
        label = true_flavour(store, sample.row)
        simulation = store.simulation
    models = folder.path("models")
    models.mkdir(exist_ok=True)
    bench = Bench(config, sample, label, models)
    folder.log.info("jets: %d jets, %d with a flavour", len(sample), int((label >= 0).sum()))
    scores, network = train_all(bench)
    _add_mean(scores)
    _write_scores(folder.path("scores.h5"), bench, scores)
    domains = _domains(config, network)
    _write_classifier(folder, bench, network)
    metrics = {
        "auc": auc_table(bench, scores),
        "shuffled_labels": shuffled_labels(bench),
        "jets": counts(bench, scores),
        "parameters": sum(p.numel() for p in network.parameters()),
        "unlabelled": {name: len(values) for name, (_, values, _) in domains.items()},
    }
    folder.write_metrics(metrics)
    tables.write(folder, metrics)
    plots.draw(folder, bench, scores, simulation)
    if domains:
        plots.draw_domains(folder, bench, scores, domains)
    folder.complete()
    return folder.folder


def _add_mean(scores: Scores) -> None:
    """The mean of network and tree: whether they have learned the same."""
    for suffix in ("", "_reweighted"):
        pair = scores[f"{NETWORK.name}{suffix}"], scores[f"{TREE.name}{suffix}"]
        scores[f"mean{suffix}"] = (pair[0] + pair[1]) / 2


def _domains(
    config: JetsConfig, network: EventNetwork
) -> dict[str, tuple[JetSample, NDArray[np.float64], bool]]:
    """Jets and scores of the stores without flavours, and whether they are simulated."""
    found: dict[str, tuple[JetSample, NDArray[np.float64], bool]] = {}
    for path in config.unlabelled:
        with EventStore(path) as store:
            sample = read_jets(store, config.cuts)
            found[path.stem] = (sample, apply_network(network, sample.inputs), store.simulation)
    return found


def _write_classifier(folder: RunFolder, bench: Bench, network: EventNetwork) -> None:
    """The first fold's network on all layers, as `e2e.training.checkpoint.load_classifier` reads.

    Its input is the image `jets` of `e2e.jets.sample`; the classifier's own input configuration is
    that of diphoton events and has no meaning here.
    """
    config = bench.config
    provenance = {
        "stage": "jets",
        "store_sha256": folder.inputs[str(config.store)],
        "cuts": config.cuts.model_dump(mode="json"),
        "split": config.split.model_dump(mode="json"),
        "training": config.training.model_dump(mode="json"),
        "seed": config.seed,
        "fold": 0,
    }
    path, settings = folder.path("classifier.pt"), network_config(bench, NETWORK)
    names = [FLAVOURS[value] for value in (GLUON, QUARK)]
    save_classifier(path, network.cpu(), settings, InputConfig(), provenance, names)


def _write_scores(path: Path, bench: Bench, scores: Scores) -> None:
    """Every jet with the score of every model; NaN where no model of this run holds it out."""
    sample = bench.sample
    columns: dict[str, Any] = {
        "jets/row": sample.row,
        "jets/group": sample.group,
        "jets/pt": sample.pt.astype(np.float32),
        "jets/eta": sample.eta.astype(np.float32),
        "jets/label": bench.label.astype(np.int8),
        **{f"scores/{name}": values.astype(np.float32) for name, values in scores.items()},
    }
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, values in columns.items():
            options = {**dataset_options(4096), "shape": values.shape}
            file.create_dataset(name, dtype=values.dtype, **options)[:] = values
        file.attrs["schema"] = "e2e-jet-scores"
        file.attrs["models"] = [model.name for model in MODELS]
