"""A file with everything some trainings need, to be carried to a machine that only trains.

Layout, documented in `docs/training.md`: `images/` and `tables/` hold the inputs of the rows that
train or validate; `trainings/NAME/` the rows, the targets and the complete settings of each.
Reading needs h5py, hdf5plugin, numpy and torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path
from common.settings import Settings, plain
from data.store.checks import open_file, reading, text_attribute, write_attribute
from data.store.schema import append, dataset_options
from e2e.inputs.events import EventInputs, Targets
from e2e.inputs.sparse import SparseImages
from e2e.networks import build_network
from e2e.training.task import TrainingTask

if TYPE_CHECKING:
    from e2e.config import InputConfig, NetworkConfig, TrainingConfig

SCHEMA = "e2e-training-set"
SCHEMA_VERSION = 1
_CHUNK_BYTES = 1 << 18


@dataclass
class TrainingSet:
    """What a file holds.

    Attributes
    ----------
    inputs
        Of the rows that train or validate in any of the tasks.
    tasks
        In the order they were given; their configurations are read-only `Settings`.
    provenance
        Where the events came from, as the writer told.
    """

    inputs: EventInputs
    tasks: list[TrainingTask]
    provenance: dict[str, Any]


def write_training_set(
    path: str | Path,
    inputs: EventInputs,
    tasks: Sequence[TrainingTask],
    provenance: Mapping[str, Any],
) -> None:
    """Write the tasks and the rows of the inputs that they use, atomically.

    Rows that neither train nor validate, such as those held out for tests, stay behind.

    Raises
    ------
    TypeError
        If images are of another kind than `SparseImages`: the file has no layout for these.
    """
    used = np.unique(np.concatenate([np.r_[task.train, task.validation] for task in tasks]))
    needs = {n for task in tasks for n in build_network(task.network, task.inputs).needs}
    some = inputs.take(used, needs)
    with (
        atomic_path(path) as temporary,
        h5py.File(temporary, "w", libver=("v110", "v110")) as file,
    ):
        _write_images(file.create_group("images"), some.images)
        _write_tables(file.create_group("tables"), some.tables)
        _write_tables(file, {"usable": some.usable})
        for order, task in enumerate(tasks):
            _write_task(file.create_group(f"trainings/{task.name}"), task, used, order)
        write_attribute(file, "schema", SCHEMA)
        write_attribute(file, "schema_version", SCHEMA_VERSION)
        write_attribute(file, "provenance", json.dumps(dict(provenance)))
        write_attribute(file, "contents_sha256", _contents(file))


def read_training_set(path: str | Path) -> TrainingSet:
    """Read a whole file into memory and check it against its checksum.

    Raises
    ------
    InputError
        If it is missing, damaged, or something else.
    """
    path = Path(path)
    remedy = "make one with `run_pipeline.py classify … --prepare`"
    with open_file(path) as file, reading(path, "the training set"):
        if text_attribute(path, file, "schema") != SCHEMA:
            raise InputError(path, "not a training set", remedy)
        if int(file.attrs["schema_version"]) != SCHEMA_VERSION:
            raise InputError(path, "a training set of another version of this program", remedy)
        if _contents(file) != text_attribute(path, file, "contents_sha256"):
            raise InputError(path, "its contents do not have their checksum: damaged", remedy)
        inputs = EventInputs(
            _read_images(file["images"]), _read_tables(file["tables"]), file["usable"][...]
        )
        groups = sorted(file["trainings"].values(), key=lambda group: int(group.attrs["order"]))
        tasks = [_read_task(path, group) for group in groups]
        provenance = json.loads(text_attribute(path, file, "provenance") or "{}")
    return TrainingSet(inputs, tasks, provenance)


def _write_task(group: h5py.Group, task: TrainingTask, used: NDArray, order: int) -> None:
    settings = {
        "network": plain(task.network),
        "training": plain(task.training),
        "inputs": plain(task.inputs),
        "seed": task.seed,
        "objective": task.objective,
    }
    write_attribute(group, "settings", json.dumps(settings))
    write_attribute(group, "order", order)
    rows = {
        "train": np.searchsorted(used, task.train),
        "validation": np.searchsorted(used, task.validation),
    }
    _write_tables(group, rows)
    tables = {name: values[used] for name, values in task.targets.tables.items()}
    _write_tables(group.create_group("tables"), tables)
    images = {name: found.take(used) for name, found in task.targets.images.items()}
    _write_images(group.create_group("images"), images)


def _read_task(path: Path, group: h5py.Group) -> TrainingTask:
    settings = json.loads(text_attribute(path, group, "settings") or "{}")
    return TrainingTask(
        name=group.name.rpartition("/")[2],
        network=cast("NetworkConfig", Settings(settings["network"])),
        training=cast("TrainingConfig", Settings(settings["training"])),
        inputs=cast("InputConfig", Settings(settings["inputs"])),
        train=group["train"][...],
        validation=group["validation"][...],
        targets=Targets(_read_tables(group["tables"]), _read_images(group["images"])),
        seed=settings["seed"],
        objective=settings["objective"],
    )


def _write_images(group: h5py.Group, images: Mapping[str, SparseImages]) -> None:
    for name, found in images.items():
        if type(found) is not SparseImages:
            raise TypeError(f"{name}: no layout for {type(found).__name__}")
        columns: dict[str, NDArray] = {
            "offsets": found.offsets,
            "pixel": found.pixel,
            "value": found.value,
        }
        _write_tables(group.create_group(name), columns)
        group[name].attrs["shape"] = np.array(found.shape)


def _read_images(group: h5py.Group) -> dict[str, SparseImages]:
    images = {}
    for name, columns in group.items():
        offsets, pixel, value = (columns[part][...] for part in ("offsets", "pixel", "value"))
        shape = tuple(int(n) for n in columns.attrs["shape"])
        images[name] = SparseImages(offsets, pixel, value, shape)
    return images


def _write_tables(group: h5py.Group, tables: Mapping[str, NDArray]) -> None:
    for name, rows in tables.items():
        row_bytes = max(int(rows.dtype.itemsize * np.prod(rows.shape[1:], dtype=np.int64)), 1)
        chunk = max(_CHUNK_BYTES // row_bytes, 1)
        dataset = group.create_dataset(
            name, dtype=rows.dtype, **dataset_options(chunk, rows.shape[1:])
        )
        append(dataset, rows)


def _read_tables(group: h5py.Group) -> dict[str, NDArray]:
    return {name: dataset[...] for name, dataset in group.items()}


def _contents(file: h5py.File) -> str:
    """SHA-256 of every dataset and attribute but the checksum itself, by name."""
    digest = hashlib.sha256()

    def add(name: str, item: h5py.HLObject) -> None:
        digest.update(name.encode())
        for key in sorted(item.attrs):
            if key != "contents_sha256":
                digest.update(key.encode() + np.asarray(item.attrs[key]).tobytes())
        if isinstance(item, h5py.Dataset):
            digest.update(repr((item.dtype.str, item.shape)).encode())
            digest.update(np.ascontiguousarray(item[...]).tobytes())

    add("/", file)
    file.visititems(add)
    return digest.hexdigest()
