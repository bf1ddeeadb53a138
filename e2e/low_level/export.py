"""The classifier's low-level outputs for any event store; see `docs/low_level_outputs.md`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path, sha256
from common.progress import progress
from data.crops import photon_crops
from data.store import EventStore
from data.store.schema import append, dataset_options
from e2e.evaluation.scores import softmax
from e2e.inputs.diphoton import read_inputs
from e2e.training.checkpoint import Classifier, load_classifier
from e2e.training.prediction import predict_features

SCHEMA = "e2e-low-level-outputs"
SCHEMA_VERSION = 1
_CHUNK = 1024
_IDENTIFIERS = {"run": "u4", "lumi": "u4", "event": "u8", "label": "i1"}


def export_low_level(checkpoint: str | Path, store_path: str | Path, output: str | Path) -> Path:
    """Apply a classifier to every event of a store and write what it knows of each photon.

    Row i belongs to row i of the store. Events without a pair of standard photons have NaN
    logits and scores; a photon that is absent has NaN throughout. Needs neither truth nor labels.

    Parameters
    ----------
    checkpoint
        A `classifier.pt`, or the run folder that holds it.
    store_path
        Event store to read.
    output
        HDF5 file to write, atomically.

    Raises
    ------
    InputError
        If either file cannot be used, or the classifier does not look at photons one by one.
    """
    classifier = load_classifier(checkpoint)
    if "crops" not in classifier.network.needs:
        raise InputError(
            checkpoint, "this classifier has no outputs per photon", "train network.kind=diphoton"
        )
    with (
        EventStore(store_path) as store,
        atomic_path(output) as temporary,
        h5py.File(temporary, "w") as file,
    ):
        starts = range(0, len(store), _CHUNK)
        for start in progress(starts, desc="low-level outputs", unit="chunk"):
            _write(file, _chunk(classifier, store, start, min(start + _CHUNK, len(store))))
        file.attrs["schema"] = SCHEMA
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["checkpoint_sha256"] = classifier.sha256
        file.attrs["store_fingerprint"] = sha256(store_path)
        file.attrs["class_names"] = list(classifier.class_names)
        file.attrs["inputs"] = classifier.inputs.model_dump_json()
        absent = [name for name in ("EB", "HBHE", "TRK") if name not in store.channels]
        file.attrs["missing_channels"] = ",".join(absent)
    return Path(output)


def _chunk(classifier: Classifier, store: EventStore, start: int, stop: int) -> dict[str, NDArray]:
    """Every dataset's rows for the events start:stop."""
    inputs = read_inputs(store, classifier.inputs, start, stop)
    parts = list(predict_features(classifier.network, inputs, np.arange(stop - start)))
    logits = np.concatenate([found for _, _, found in parts])
    logits[~inputs.usable] = np.nan
    seed = store.clusters("seed")[start:stop]
    columns: dict[str, NDArray] = {
        f"event/{name}": store.event(name)[start:stop].astype(dtype)
        for name, dtype in _IDENTIFIERS.items()
    }
    columns["logits"] = logits
    columns["scores"] = softmax(logits).astype(np.float32)
    for name, dtype in (("embedding", np.float32), ("feature_map", np.float16)):
        values = np.concatenate([getattr(features, name).numpy() for _, features, _ in parts])
        columns[f"photons/{name}"] = _without_absent(values.astype(dtype), seed)
    columns["photons/crop"] = _shape_crops(store, seed, start, stop)
    return columns


def _shape_crops(store: EventStore, seed: NDArray, start: int, stop: int) -> NDArray[np.float16]:
    """(n, 2, 11, 11) ECAL energies round each seed over the photon's own 5x5 sum, uncut."""
    event = np.repeat(np.arange(stop - start), 2)
    crops = photon_crops(store.hits("EB", start, stop), event, seed.ravel())
    sums = store.clusters("e5x5")[start:stop].reshape(-1, 1, 1)
    with np.errstate(invalid="ignore"):
        shape = (crops / sums).reshape(-1, 2, *crops.shape[1:])
    return _without_absent(shape.astype(np.float16), seed)


def _without_absent(values: NDArray, seed: NDArray) -> NDArray:
    values[seed < 0] = np.nan
    return values


def _write(file: h5py.File, columns: dict[str, NDArray]) -> None:
    for name, rows in columns.items():
        if name not in file:
            # A chunk of some 256 kB, whatever a row weighs.
            weight = max(int(rows.dtype.itemsize * np.prod(rows.shape[1:], dtype=np.int64)), 1)
            chunk = int(np.clip(262144 // weight, 16, 4096))
            file.create_dataset(name, dtype=rows.dtype, **dataset_options(chunk, rows.shape[1:]))
        append(file[name], rows)


def read_low_level(
    path: str | Path, names: tuple[str, ...] = ("photons/embedding", "photons/feature_map")
) -> Iterator[tuple[str, NDArray]]:
    """Yield (name, array) of the wanted datasets.

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds something else.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("schema") != SCHEMA:
                raise InputError(path, "not a file of low-level outputs", "make one with classify")
            for name in names:
                if name not in file:
                    raise InputError(path, f"no dataset {name}", "make the file again")
                yield name, file[name][...]
    except OSError as error:
        raise InputError(path, f"cannot be read ({error})", "make it again") from error
