"""Writing an event store: batches of events appended to growing datasets."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from data.batch import HIT_TYPES, Collection, Hits
from data.store.checks import ATTRIBUTES_CHECKSUM, attributes_checksum, write_attribute
from data.store.schema import (
    GROUPS,
    PAIR_GROUPS,
    SCHEMA,
    SCHEMA_VERSION,
    append,
    dataset_options,
    unknown,
)


class StoreWriter:
    """Append batches of events to a new event store.

    Parameters
    ----------
    path
        File to create; callers pass a temporary name (`common.files.atomic_path`).
    channels
        Hit channels of the store; a batch without one of them contributes no hits there.
    with_truth
        Whether to make the truth groups.
    collections
        Further objects of the store by group (`objects/Jet`), each with its columns' types.
    is_scratch
        The store is read once and deleted: compress for speed, not for size.
    """

    def __init__(
        self,
        path: str | Path,
        channels: dict[str, list[str]],
        with_truth: bool,
        collections: dict[str, dict[str, str]] | None = None,
        is_scratch: bool = False,
    ) -> None:
        self._is_scratch = is_scratch
        # This version of the format protects its own structures by checksums, older ones do not.
        self._file = h5py.File(path, "w", libver=("v110", "v110"))
        self.set_attributes({"schema": SCHEMA, "schema_version": SCHEMA_VERSION})
        self.with_truth = with_truth
        self._channels = channels
        # Datasets stay open: closing one writes its unfinished chunk, read at the next append.
        self._datasets: dict[str, h5py.Dataset] = {}
        self._ends: dict[str, int] = {}
        for group, columns in GROUPS.items():
            if group.startswith("truth") and not with_truth:
                continue
            row_shape = (2,) if group in PAIR_GROUPS else ()
            for name, dtype in columns.items():
                self._create(f"{group}/{name}", dtype, 4096, row_shape)
        self._file.create_group("hits")  # also of a store without hits
        for channel, names in channels.items():
            self._create_rows(f"hits/{channel}", {name: HIT_TYPES[name] for name in names}, 65536)
        self._collections = collections or {}
        for group, types in self._collections.items():
            self._create_rows(group, types, 4096)

    def _create_rows(self, group: str, types: dict[str, str], chunk_rows: int) -> None:
        self._create(f"{group}/offsets", "i8", 4096)
        append(self._datasets[f"{group}/offsets"], np.zeros(1, dtype=np.int64))
        self._ends[group] = 0
        for name, dtype in types.items():
            self._create(f"{group}/{name}", dtype, chunk_rows)

    def _create(
        self, name: str, dtype: str, chunk_rows: int, row_shape: tuple[int, ...] = ()
    ) -> None:
        options = dataset_options(chunk_rows, row_shape, self._is_scratch)
        self._datasets[name] = self._file.create_dataset(name, dtype=dtype, **options)

    def append(
        self,
        tables: dict[str, dict[str, NDArray]],
        hits: dict[str, Hits],
        collections: dict[str, Collection] | None = None,
    ) -> None:
        """Append N events: `tables[group][name]` of (N,) or (N, 2) rows, hits per channel, objects.

        A column of the store that a batch lacks is filled with `data.store.schema.unknown`.
        """
        n_events = len(tables["event"]["run"])
        for group, columns in tables.items():
            for name, column in columns.items():
                append(self._datasets[f"{group}/{name}"], column)
        for channel, names in self._channels.items():
            found = hits.get(channel) or Hits.empty(n_events)
            types = {name: HIT_TYPES[name] for name in names}
            self._append_rows(f"hits/{channel}", types, found.offsets, found.columns)
        for group, types in self._collections.items():
            empty = Collection(np.zeros(n_events + 1, dtype=np.int64), {})
            rows = (collections or {}).get(group, empty)
            self._append_rows(group, types, rows.offsets, rows.columns)

    def _append_rows(
        self,
        name: str,
        types: dict[str, str],
        offsets: NDArray[np.int64],
        columns: dict[str, NDArray],
    ) -> None:
        n_rows = int(offsets[-1])
        append(self._datasets[f"{name}/offsets"], offsets[1:] + self._ends[name])
        self._ends[name] += n_rows
        for column, dtype in types.items():
            rows = columns.get(column)
            rows = unknown((n_rows,), dtype) if rows is None else rows
            append(self._datasets[f"{name}/{column}"], rows)

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        """Write attributes; dictionaries and lists become JSON text."""
        for name, value in attributes.items():
            is_plain = isinstance(value, str | int | float | bool)
            write_attribute(self._file, name, value if is_plain else json.dumps(value))

    def close(self) -> None:
        """Finish and close the file."""
        try:
            write_attribute(self._file, ATTRIBUTES_CHECKSUM, attributes_checksum(self._file))
            # Closing a dataset flushes it too, but h5py ignores it if that fails.
            self._file.flush()
            self._datasets.clear()
            self._file.close()
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Close an unfinished file that will be deleted, without failing once more."""
        with suppress(OSError, RuntimeError, ValueError, AttributeError):
            # On a full disk HDF5 could not even close: what it still writes goes into memory
            # (where the system has such files, as Linux does).
            descriptor = self._file.id.get_vfd_handle()
            nowhere = os.memfd_create("abandoned")
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        with suppress(OSError, RuntimeError):
            self._datasets.clear()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()
