"""Predicted resolutions and several hypotheses as documented HDF5; see `docs/uncertainty.md`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path
from data.store.checks import reading, write_attribute
from rl.refinement.products import write_dataset

RESOLUTIONS, HYPOTHESES = "predicted-resolutions", "photon-hypotheses"
SCHEMA_VERSION = 1

Columns = Mapping[str, NDArray[Any]]
Attributes = Mapping[str, str | int | float | bool]


def write_product(path: Path, schema: str, columns: Columns, attributes: Attributes) -> None:
    """Write datasets of equal length, compressed and with checksums, and attributes."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
        for name, values in columns.items():
            write_dataset(file, name, values)
        write_attribute(file, "schema", schema)
        write_attribute(file, "schema_version", SCHEMA_VERSION)
        for name, value in attributes.items():
            write_attribute(file, name, value)


def read_product(path: Path, schema: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Datasets by their full names, and attributes.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another schema.
    """
    if not path.is_file():
        raise InputError(path, "no such file", "run the `uncertainty` stage first")
    columns: dict[str, NDArray[Any]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            columns[name] = item[:]

    with reading(path, schema), h5py.File(path) as file:
        attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in file.attrs.items()}
        if attributes.get("schema") == schema:
            file.visititems(collect)
    if attributes.get("schema") != schema:
        raise InputError(path, f"schema {attributes.get('schema')}, expected {schema}")
    return columns, attributes


def event_columns(
    rows: NDArray[np.int64], n_events: int, values: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Values of some events as columns of all, NaN elsewhere; float32."""
    columns: dict[str, NDArray[Any]] = {}
    for name, value in values.items():
        column = np.full((n_events, *value.shape[1:]), np.nan, dtype=np.float32)
        column[rows] = value
        columns[name] = column
    return columns
