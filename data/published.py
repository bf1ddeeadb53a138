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
from common.progress import log, progress
from data.detector.images import STACKS, Upsampling, image, lacking, stack
from data.detector.jets import JET_LAYERS
from data.published_jets import JETS, iterate_jets
from data.sources.base import ranges
from data.sources.dense import JET_SHAPE
from data.store import EventStore

ARRAYS = (*STACKS, JETS)
_EVENTS_AT_A_TIME = 32  # the stitched array has 1.2 MB an event
_OPTIONS = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}


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
        Any of `X_EB`, `X_EEm`, `X_EEp` and `X_ECAL_stacked`, with `m0`, `y`, `runId`, `lumiId` and
        `eventId` of every event; or `X_jets` alone, with columns of every jet.
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
    if unknown := [name for name in arrays if name not in ARRAYS]:
        raise ConfigError(f"unknown array {unknown[0]!r}: known are {', '.join(ARRAYS)}")
    if JETS in arrays and len(arrays) > 1:
        raise ConfigError(f"{JETS} has one entry a jet: write it to a file of its own")
    output = Path(output)
    with atomic_path(output) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["hcal_upsampling"] = convention
        file.attrs["origin"] = "simulation" if store.simulation else "collision"
        if JETS in arrays:
            n_rows = _write_jets(file, store, convention, min_jet_pt)
        else:
            n_rows = _write_events(file, store, arrays, convention)
    log.info("export: %d %s to %s", n_rows, "jets" if JETS in arrays else "events", output)
    return output


def _write_events(
    file: h5py.File, store: EventStore, arrays: Sequence[str], convention: Upsampling
) -> int:
    n_events = len(store)
    for name, column in _event_columns(store).items():
        file.create_dataset(name, data=column)
    channels = {channel: store.hits(channel, 0, 0).columns for channel in store.channels}
    for name in arrays:
        if name not in STACKS:
            continue
        for part in STACKS[name]:
            if missing := lacking(part, channels):
                raise InputError(store.path, f"{name} needs {part}, which needs {missing}")
        shape = (*image(STACKS[name][0]).shape, len(STACKS[name]))
        dataset = file.create_dataset(
            name, (n_events, *shape), dtype="f4", chunks=(1, *shape), **_OPTIONS
        )
        dataset.attrs["layers"] = json.dumps(STACKS[name])
        wanted = {c for part in STACKS[name] for c in image(part).channels}
        pieces = list(ranges(0, n_events, _EVENTS_AT_A_TIME))
        for start, stop in progress(pieces, desc=name, unit="parts"):
            hits = {channel: store.hits(channel, start, stop) for channel in wanted}
            dataset[start:stop] = stack(STACKS[name], hits, convention)
    return n_events


def _event_columns(store: EventStore) -> dict[str, NDArray]:
    """The converters' names of the store's columns; m0 as the `.npz` export has it."""
    of_file, of_pair = store.event("m0_file"), np.nan_to_num(store.event("m_gg"))
    return {
        "m0": np.where(np.isfinite(of_file), of_file, of_pair).astype(np.float32),
        "y": store.event("label"),
        "runId": store.event("run"),
        "lumiId": store.event("lumi"),
        "eventId": store.event("event"),
    }


def _write_jets(
    file: h5py.File, store: EventStore, convention: Upsampling, min_jet_pt: float
) -> int:
    images = file.create_dataset(
        JETS, (0, *JET_SHAPE), maxshape=(None, *JET_SHAPE), dtype="f4", chunks=(1, *JET_SHAPE),
        **_OPTIONS,
    )  # fmt: skip
    images.attrs["layers"] = json.dumps(JET_LAYERS)
    n_rows = 0
    for jets in iterate_jets(store, convention, min_jet_pt):
        stop = n_rows + len(jets.images)
        images.resize(stop, axis=0)
        images[n_rows:] = jets.images
        for name, column in jets.columns.items():
            if name not in file:
                file.create_dataset(
                    name, (0,), maxshape=(None,), dtype=column.dtype, chunks=(4096,)
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
                writer = pq.ParquetWriter(temporary, table.schema, compression="zstd")
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
