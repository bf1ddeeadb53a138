"""The event store: sparse hits and photons of many events in one HDF5 file.

The layout is documented in `docs/event_store.md`. Hits are stored as compressed rows; every
dataset is compressed with zstd and carries a Fletcher-32 checksum, because a flipped bit in an
unprotected HDF5 file reads back as silently wrong numbers.
"""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import HIT_TYPES, Collection, Hits
from data.store_checks import (
    ATTRIBUTES_CHECKSUM,
    attributes_checksum,
    check_structure,
    open_file,
    read_attributes,
    reading,
    write_attribute,
)
from data.store_schema import (
    CLUSTER_FIELDS,
    EVENT_FIELDS,
    GROUPS,
    LABELS,
    PAIR_GROUPS,
    PHOTON_FIELDS,
    SCHEMA,
    SCHEMA_VERSION,
    TRUTH_EVENT_FIELDS,
    TRUTH_PHOTON_FIELDS,
    VERTEX_FIELDS,
    append,
    dataset_options,
    unknown,
)

__all__ = [
    "CLUSTER_FIELDS",
    "EVENT_FIELDS",
    "GROUPS",
    "LABELS",
    "PHOTON_FIELDS",
    "SCHEMA",
    "SCHEMA_VERSION",
    "TRUTH_EVENT_FIELDS",
    "TRUTH_PHOTON_FIELDS",
    "VERTEX_FIELDS",
    "EventStore",
    "StoreWriter",
    "append",
    "dataset_options",
]


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

        A column of the store that a batch lacks is filled with `data.store_schema.unknown`.
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


class EventStore:
    """Read an event store.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        If the file is missing, is not HDF5, is not an event store, or is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = open_file(self.path)
        try:
            self._check_schema()
        except InputError:
            self._file.close()
            raise

    def _check_schema(self) -> None:
        attributes = read_attributes(self.path, self._file)
        schema, version = attributes.get("schema"), attributes.get("schema_version")
        if schema != SCHEMA:
            raise InputError(
                self.path, "HDF5, but not an event store", "make one with `preprocess`"
            )
        if version != SCHEMA_VERSION:
            raise InputError(
                self.path,
                f"event store of schema version {version}, this program reads {SCHEMA_VERSION}",
                "run `preprocess` again",
            )
        check_structure(self.path, self._file)

    def __len__(self) -> int:
        with self._reading("event/run"):
            return int(self._file["event/run"].shape[0])

    def event(self, name: str) -> NDArray:
        """(N,) column of `event/`."""
        return self.column(f"event/{name}")

    def photons(self, name: str) -> NDArray:
        """(N, 2) column of `photons/`: the source's photons, leading first."""
        return self.column(f"photons/{name}")

    def clusters(self, name: str) -> NDArray:
        """(N, 2) column of `clusters/`: the standard 5x5 reconstruction."""
        return self.column(f"clusters/{name}")

    def vertex_z(self) -> NDArray:
        """(N,) z of the vertex in cm; 0 where the source has none."""
        return self.column("vertex/z")

    def truth(self, name: str) -> NDArray:
        """(N, 2) column of the true photons; for labels, rewards and metrics only."""
        return self.column(f"truth/photons/{name}")

    def truth_event(self, name: str) -> NDArray:
        """(N,) column of the event's truth; for labels, rewards and metrics only."""
        return self.column(f"truth/{name}")

    @property
    def has_truth(self) -> bool:
        """Whether the store holds events of this project's simulation with their truth."""
        with self._reading("truth"):
            return "truth/process" in self._file

    @property
    def channels(self) -> tuple[str, ...]:
        """Hit channels of the store."""
        with self._reading("hits"):
            return tuple(self._file["hits"])

    @property
    def collections(self) -> dict[str, dict[str, str]]:
        """Further objects by group (`objects/Jet`, `truth/particles`): types of columns."""
        with self._reading("objects"):
            groups = [f"objects/{name}" for name in self._file.get("objects", ())]
            truth = self._file.get("truth", {})
            # Of the truth's groups, photons has two slots per event and no offsets.
            groups += [f"truth/{name}" for name in truth if f"{name}/offsets" in truth]
            return {
                group: {n: d.dtype.str[1:] for n, d in self._file[group].items() if n != "offsets"}
                for group in groups
            }

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes, JSON texts decoded."""
        with self._reading("the attributes"):
            found = read_attributes(self.path, self._file)
            return {name: _decode(value) for name, value in found.items()}

    @property
    def simulation(self) -> bool:
        """Whether the events are simulated (a mixture counts as simulated)."""
        return read_attributes(self.path, self._file).get("origin") != "collision"

    def hits(self, channel: str, start: int = 0, stop: int | None = None) -> Hits:
        """Hits of one channel for the events start:stop.

        Raises
        ------
        InputError
            If the store lacks the channel.
        """
        if channel not in self.channels:
            raise InputError(
                self.path,
                f"no {channel} hits: the source did not provide them",
                f"channels here: {', '.join(self.channels)}",
            )
        rows = self.rows(f"hits/{channel}", start, stop)
        return Hits(rows.offsets, **rows.columns)

    def objects(self, name: str, start: int = 0, stop: int | None = None) -> Collection:
        """Objects of the events start:stop, such as `Jet`, `Electron` or `MET`.

        Raises
        ------
        InputError
            If the store does not have them.
        """
        return self._collection(f"objects/{name}", start, stop)

    def truth_particles(self, start: int = 0, stop: int | None = None) -> Collection:
        """Generator particles of the source; for labels, rewards and metrics only."""
        return self._collection("truth/particles", start, stop)

    def _collection(self, group: str, start: int, stop: int | None) -> Collection:
        known = self.collections
        if group not in known:
            raise InputError(
                self.path,
                f"no {group}: the source did not provide them",
                f"objects here: {', '.join(known) or 'none'}",
            )
        return self.rows(group, start, stop)

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Collection:
        """Any group with offsets, by its name in the file; truth is for labels and metrics only."""
        stop = len(self) if stop is None else min(stop, len(self))
        start = min(start, stop)
        with self._reading(name):
            group = self._file[name]
            offsets = group["offsets"][start : stop + 1]
            first, last = int(offsets[0]), int(offsets[-1])
            columns = {column: group[column][first:last] for column in group if column != "offsets"}
        return Collection(offsets - first, columns)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def column(self, name: str) -> NDArray:
        """Any dataset by its name in the file; truth is for labels, rewards and metrics only."""
        with self._reading(name):
            if name in self._file:
                return self._file[name][:]
            group = name.rsplit("/", 1)[0]
            known = ", ".join(self._file[group]) if group in self._file else "none"
        raise InputError(self.path, f"no dataset {name}", f"in {group}/: {known}")

    def _reading(self, what: str) -> AbstractContextManager[None]:
        return reading(self.path, what)


def _decode(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "{[":
        return json.loads(value)
    return value
