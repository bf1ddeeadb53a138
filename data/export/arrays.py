"""Event stores as the dense arrays that the papers' converters wrote, in HDF5 or Parquet.

`docs/published_arrays.md` describes the files; `data.sources.dense_hdf5` and `dense_parquet` read
them back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError, InputError
from common.files import atomic_path
from common.progress import log
from data.detector.images import STACKS, Upsampling
from data.detector.jets import JET_LAYERS
from data.export.drawing import check, diphoton_mass, draw, shape_of
from data.export.jets import IDENTIFIERS, JETS, iterate_jets
from data.sources.dense import JET_SHAPE
from data.store import EventStore
from data.store.checks import write_attribute

_EVENTS_AT_A_TIME = 32  # the stitched array has 1.2 MB an event
_OPTIONS = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
_COLUMN_OPTIONS = {"chunks": (4096,), "fletcher32": True}


def write_hdf5(
    store: EventStore,
    arrays: Sequence[str],
    output: str | Path,
    convention: Upsampling = "conserving",
    min_jet_pt: float = 0.0,
) -> Path:
    """Write arrays of whole events, or the jets' images, a few events at a time.

    Parameters
    ----------
    store
        The open event store.
    arrays
        Any of `X_EB`, `X_EEm`, `X_EEp`, `X_ECAL_stacked` and the images of
        `data.detector.images`, with `m0`, `y`, `runId`, `lumiId` and `eventId` of every event; or
        `X_jets` alone, with columns of every jet.
    output
        The file; it appears when complete.
    convention
        How towers are spread over their 25 crystals; written to the file.
    min_jet_pt
        Jets below this pt (GeV) are left out.

    Raises
    ------
    ConfigError
        For unknown names, or `X_jets` among arrays of events.
    InputError
        If the store lacks what an array is made of.
    """
    if JETS in arrays and len(arrays) > 1:
        raise ConfigError(f"{JETS} has one entry a jet: write it to a file of its own")
    output = Path(output)
    with atomic_path(output) as temporary, h5py.File(temporary, "w") as file:
        write_attribute(file, "hcal_upsampling", convention)
        write_attribute(file, "origin", "simulation" if store.simulation else "collision")
        if JETS in arrays:
            n_rows = _write_jets(file, store, convention, min_jet_pt)
        else:
            n_rows = _write_events(file, store, arrays, convention)
    log.info("export: %d %s to %s", n_rows, "jets" if JETS in arrays else "events", output)
    return output


def _write_events(
    file: h5py.File, store: EventStore, names: Sequence[str], convention: Upsampling
) -> int:
    check(store, names)
    columns = {"m0": diphoton_mass(store), "y": store.event("label")}
    columns |= {name: store.event(key) for name, key in IDENTIFIERS.items()}
    for name, column in columns.items():
        file.create_dataset(name, data=column, maxshape=(None,), **_COLUMN_OPTIONS)
    for name in names:
        shape = shape_of(name)
        dataset = file.create_dataset(
            name, (len(store), *shape), dtype="f4", chunks=(1, *shape), **_OPTIONS
        )
        if name in STACKS:
            write_attribute(dataset, "layers", json.dumps(STACKS[name]))
        start = 0
        for images in draw(store, name, convention, _EVENTS_AT_A_TIME):
            dataset[start : start + len(images)] = images
            start += len(images)
    return len(store)


def _write_jets(
    file: h5py.File, store: EventStore, convention: Upsampling, min_jet_pt: float
) -> int:
    images = file.create_dataset(
        JETS, (0, *JET_SHAPE), maxshape=(None, *JET_SHAPE), dtype="f4", chunks=(1, *JET_SHAPE),
        **_OPTIONS,
    )  # fmt: skip
    write_attribute(images, "layers", json.dumps(JET_LAYERS))
    n_rows = 0
    for jets in iterate_jets(store, convention, min_jet_pt):
        stop = n_rows + len(jets.images)
        images.resize(stop, axis=0)
        images[n_rows:] = jets.images
        for name, column in jets.columns.items():
            if name not in file:
                file.create_dataset(
                    name, (0,), maxshape=(None,), dtype=column.dtype, **_COLUMN_OPTIONS
                )
            file[name].resize(stop, axis=0)
            file[name][n_rows:] = column
        n_rows = stop
    return n_rows


def write_parquet(
    store: EventStore,
    output: str | Path,
    convention: Upsampling = "conserving",
    min_jet_pt: float = 0.0,
) -> Path:
    """Write `X_jets`, as lists (3, 125, 125), and the jets' columns; see `write_hdf5`.

    Raises
    ------
    ConfigError
        If pyarrow is not installed.
    InputError
        If the store has neither imported jets, nor jets and the hits round them.
    """
    try:
        import pyarrow as pa  # an extra
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ConfigError(
            f"{output}: Parquet files need pyarrow: pip install 'cms-e2e-rl[parquet]'"
        ) from error
    output = Path(output)
    n_rows = 0
    with atomic_path(output) as temporary:
        writer = None
        for jets in iterate_jets(store, convention, min_jet_pt):
            lists = _nested(pa, np.ascontiguousarray(np.moveaxis(jets.images, 3, 1)))
            columns = {JETS: lists} | {name: pa.array(c) for name, c in jets.columns.items()}
            table = pa.table(columns).replace_schema_metadata({"hcal_upsampling": convention})
            if writer is None:
                writer = pq.ParquetWriter(
                    temporary, table.schema, compression="zstd", write_page_checksum=True
                )
            writer.write_table(table)
            n_rows += len(jets.images)
        if writer is None:
            raise InputError(store.path, "no event: there are no jets to write")
        writer.close()
    log.info("export: %d jets to %s", n_rows, output)
    return output


def _nested(pa: Any, values: NDArray[np.float32]) -> Any:
    """An array (M, a, b, c) as lists of lists of lists of numbers."""
    result = pa.array(values.reshape(-1))
    for axis in (3, 2, 1):
        n_lists = int(np.prod(values.shape[:axis]))
        offsets = np.arange(n_lists + 1, dtype=np.int32) * values.shape[axis]
        result = pa.ListArray.from_arrays(pa.array(offsets), result)
    return result
