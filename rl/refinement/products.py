"""The refined photons as a documented HDF5 product; see `docs/refined_photons.md`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path
from data.store import EventStore
from data.store.checks import write_attribute
from data.store.schema import append, dataset_options
from envs.photons.table import FloatArray
from rl.evaluation.metrics import Sample
from rl.evaluation.pairs import corrected

SCHEMA = "refined-photons"
SCHEMA_VERSION = 2
_IDENTITY = ("run", "lumi", "event", "label")
_COLUMNS = ("energy", "pt", "eta", "phi", "u", "v")


def write_refined(
    path: Path, store_path: Path, sample: Sample, attributes: Mapping[str, Any]
) -> None:
    """Write every method's photons and masses, row i for row i of the event store.

    Parameters
    ----------
    path
        File to write.
    store_path
        The event store that the sample's photons come from.
    sample
        All photons of the store, with the methods' corrections.
    attributes
        Provenance, written as attributes.
    """
    with EventStore(store_path) as store:
        identity = {name: store.event(name) for name in _IDENTITY}
    n_events = len(identity["run"])
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        known = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "methods": ",".join(sample.corrections),
            **attributes,
        }
        for name, value in known.items():
            write_attribute(file, name, value)
        for name, values in identity.items():
            write_dataset(file, f"event/{name}", values)
        for method, correction in sample.corrections.items():
            _write_method(file, method, sample, correction, n_events)


def write_dataset(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    """One compressed, checksummed dataset."""
    rows = max(1, min(4096, len(values)))
    options = dataset_options(rows, values.shape[1:])
    append(file.create_dataset(name, dtype=values.dtype, **options), values)


def _write_method(
    file: h5py.File, method: str, sample: Sample, correction: FloatArray, n_events: int
) -> None:
    table, pairs = sample.table, sample.pairs
    place = (table.row, table.slot)
    photons = corrected(table, correction, sample.vertex_z[table.row])
    for name in _COLUMNS:
        values = np.full((n_events, 2), np.nan, dtype=np.float32)
        values[place] = getattr(photons, name)
        write_dataset(file, f"{method}/photons/{name}", values)
    moved = np.full((n_events, 2, 3), np.nan, dtype=np.float32)
    moved[place] = correction
    write_dataset(file, f"{method}/photons/correction", moved)
    mass = np.full(n_events, np.nan, dtype=np.float32)
    mass[pairs.row] = pairs.masses(correction)
    write_dataset(file, f"{method}/m_gg", mass)
