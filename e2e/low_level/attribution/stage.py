"""The attribution stage: which crystals decide, shown for every class, and tests of the method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import InputError
from common.files import atomic_path
from common.progress import log
from common.runs import RunFolder
from data.store import EventStore
from data.store.schema import append, dataset_options
from e2e.evaluation.scores import PAIRS
from e2e.inputs.diphoton import read_inputs
from e2e.labels import CLASS_NAMES, Labels
from e2e.low_level.attribution import report
from e2e.low_level.attribution.checks import attribute, deletion_test, randomisation_test
from e2e.low_level.attribution.gradients import grad_cam
from e2e.low_level.config import AttributionConfig
from e2e.low_level.held_out import held_out
from e2e.training.checkpoint import Classifier, load_classifier
from e2e.training.devices import set_threads

SCHEMA = "e2e-attributions"
_RANDOMISED_EVENTS = 100  # of each class, whose maps are compared with randomised networks'


@dataclass(frozen=True)
class Attributed:
    """n events, sorted by class, and what decides about them.

    Attributes
    ----------
    row
        (n,) row of the store.
    label, group
        (n,) class and parton event.
    inputs
        Tensors by name.
    maps
        Integrated gradients by image.
    cam
        (n, 2, S, S) signed Grad-CAM.
    difference, baseline, total
        (n,) difference of logits, the same for empty images, and the sum of the attributions.
    """

    row: NDArray[np.int64]
    label: NDArray[np.int64]
    group: NDArray[np.int64]
    inputs: dict[str, Tensor]
    maps: dict[str, Tensor]
    cam: Tensor
    difference: NDArray[np.float32]
    baseline: NDArray[np.float32]
    total: NDArray[np.float32]


def run(config: AttributionConfig) -> Path:
    """Attribute, draw, test; returns the run folder. A complete run of the same settings is kept.

    Raises
    ------
    InputError
        If the classifier has no encoder of crops, or the store lacks a class.
    """
    set_threads(config.threads)
    path = config.classifier
    checkpoint = path / "classifier.pt" if path.is_dir() else path
    classifier = load_classifier(checkpoint)
    if "crops" not in classifier.network.needs:
        raise InputError(checkpoint, "no crops to attribute to", "train network.kind=diphoton")
    folder = RunFolder(config.output, "attribution", config, [checkpoint, config.store])
    if folder.is_complete():
        log.info("attribution: already complete: %s", config.output)
        return folder.folder
    with EventStore(config.store) as store:
        found = _attributed(config, classifier, store)
        simulation = store.simulation
    _write(folder.path("attributions.h5"), found, config, folder.inputs)
    metrics = _metrics(config, classifier, found)
    folder.write_metrics(metrics)
    report.tables(folder, metrics)
    report.figures(folder, found, metrics, config.examples, simulation)
    folder.complete()
    return folder.folder


def _attributed(config: AttributionConfig, classifier: Classifier, store: EventStore) -> Attributed:
    labels = Labels.read(store)
    unseen = held_out(classifier, labels.group, config.classifier)
    every = read_inputs(store, classifier.inputs)
    rows = np.concatenate(
        [
            np.flatnonzero((labels.label == c) & unseen & every.usable)[: config.events]
            for c in range(len(CLASS_NAMES))
        ]
    )
    network = classifier.network
    inputs = every.batch(rows, network.needs)
    classes = PAIRS[config.attribution.pair]
    found = attribute(network, inputs, classes, config.attribution.steps)
    return Attributed(
        rows, labels.label[rows], labels.group[rows], inputs, found["images"],
        grad_cam(network, inputs, *classes),
        found["difference"], found["baseline"], found["total"],
    )  # fmt: skip


def _metrics(
    config: AttributionConfig, classifier: Classifier, found: Attributed
) -> dict[str, Any]:
    signal, background = PAIRS[config.attribution.pair]
    used = np.flatnonzero(np.isin(found.label, (signal, background)))
    few = np.concatenate(
        [np.flatnonzero(found.label == c)[:_RANDOMISED_EVENTS] for c in (signal, background)]
    )
    seeds = [config.seed + k for k in range(config.randomisations)]
    return {
        "pair": config.attribution.pair,
        "completeness": _completeness(found),
        "channels": _channels(found),
        "randomisation": randomisation_test(
            classifier.network, _rows(found.inputs, few), found.maps["crops"][few],
            (signal, background), config.attribution.steps, seeds,
        ),
        "deletion": deletion_test(
            classifier.network, _rows(found.inputs, used), _rows(found.maps, used),
            found.label[used] == signal, found.group[used], (signal, background),
            config.attribution.steps, config.deleted, config.bootstrap, config.seed,
        ),
        "events": {name: int((found.label == c).sum()) for c, name in enumerate(CLASS_NAMES)},
    }  # fmt: skip


def _rows(tensors: dict[str, Tensor], rows: NDArray[np.int64]) -> dict[str, Tensor]:
    chosen = torch.from_numpy(rows)
    return {name: values[chosen] for name, values in tensors.items()}


def _completeness(found: Attributed) -> dict[str, float]:
    """How far the sums miss the differences they should be, over the size of these."""
    wanted = (found.difference - found.baseline).astype(np.float64)
    miss = np.abs(found.total - wanted)
    size = float(np.abs(wanted).mean())
    return {
        "mean": float(miss.mean()) / size,
        "quantile_95": float(np.quantile(miss, 0.95)) / size,
        "mean_difference": size,
    }


def _channels(found: Attributed) -> dict[str, dict[str, list[float]]]:
    """Per class and image, sum of attributions per channel (tracks, ECAL, HCAL), mean of events."""
    return {
        name: {
            image: maps[torch.from_numpy(found.label == c)].sum(dim=(1, 3, 4)).mean(dim=0).tolist()
            for image, maps in found.maps.items()
        }
        for c, name in enumerate(CLASS_NAMES)
    }


def _write(
    path: Path, found: Attributed, config: AttributionConfig, inputs: dict[str, str]
) -> None:
    """The examples and mean maps as HDF5; see `docs/low_level_outputs.md`."""
    columns: dict[str, NDArray] = {
        "row": found.row, "label": found.label.astype(np.int8),
        "difference": found.difference, "baseline": found.baseline,
        "grad_cam": found.cam.numpy().astype(np.float32),
    }  # fmt: skip
    for name, maps in found.maps.items():
        columns[f"hits/{name}"] = found.inputs[name].numpy()
        columns[f"attribution/{name}"] = maps.numpy()
        means = [maps[torch.from_numpy(found.label == c)].abs().mean(dim=0) for c in range(3)]
        columns[f"mean_absolute/{name}"] = torch.stack(means).numpy()
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, rows in columns.items():
            file.create_dataset(name, dtype=rows.dtype, **dataset_options(64, rows.shape[1:]))
            append(file[name], rows)
        file.attrs["schema"] = SCHEMA
        file.attrs["schema_version"] = 1
        file.attrs["class_names"] = list(CLASS_NAMES)
        file.attrs["settings"] = config.attribution.model_dump_json()
        checksums = list(inputs.values())
        file.attrs["checkpoint_sha256"], file.attrs["store_fingerprint"] = checksums
