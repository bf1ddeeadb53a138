"""The event store: sparse hits and photons of many events in one HDF5 file.

The layout is documented in `docs/event_store.md`. Hits are stored as compressed rows; every
dataset is compressed with zstd and carries a Fletcher-32 checksum, because a flipped bit in an
unprotected HDF5 file reads back as silently wrong numbers.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import Hits

SCHEMA = "e2e-event-store"
SCHEMA_VERSION = 1
LABELS = {-1: "unknown", 0: "diphoton", 1: "higgs", 2: "gamma_jet", 3: "gun"}

EVENT_FIELDS: dict[str, str] = {
    "run": "u4",
    "lumi": "u4",
    "event": "u8",
    "label": "i1",
    "event_weight": "f4",
    "m_gg": "f4",
    "m0_file": "f4",
    "n_vertices": "i4",
    "group": "i8",
    "source": "i4",
    "selected": "?",
}
PHOTON_FIELDS: dict[str, str] = {
    "energy": "f4",
    "pt": "f4",
    "eta": "f4",
    "phi": "f4",
    "r9": "f4",
    "sigma_ieta_ieta": "f4",
    "h_over_e": "f4",
    "seed": "i4",
}
CLUSTER_FIELDS: dict[str, str] = PHOTON_FIELDS | {"u": "f4", "v": "f4", "e5x5": "f4"}
VERTEX_FIELDS: dict[str, str] = {"z": "f4"}
TRUTH_EVENT_FIELDS: dict[str, str] = {
    "process": "i4",
    "n_prompt": "i4",
    "vertex_z": "f4",
    "n_pileup": "i4",
    "gen_mass": "f4",
}
TRUTH_PHOTON_FIELDS: dict[str, str] = {
    "energy": "f4",
    "pt": "f4",
    "eta": "f4",
    "phi": "f4",
    "u": "f4",
    "v": "f4",
    "converted": "f4",
}
GROUPS: dict[str, dict[str, str]] = {
    "event": EVENT_FIELDS,
    "photons": PHOTON_FIELDS,
    "clusters": CLUSTER_FIELDS,
    "vertex": VERTEX_FIELDS,
    "truth": TRUTH_EVENT_FIELDS,
    "truth/photons": TRUTH_PHOTON_FIELDS,
}
_PAIRS = ("photons", "clusters", "truth/photons")


def dataset_options(chunk_rows: int, row_shape: tuple[int, ...] = ()) -> dict[str, Any]:
    """h5py keywords of every dataset the project writes: zstd, checksum, growable."""
    return {
        "shape": (0, *row_shape),
        "maxshape": (None, *row_shape),
        "chunks": (chunk_rows, *row_shape),
        "shuffle": True,  # halves the cells, a tenth off the energies
        "fletcher32": True,
        **hdf5plugin.Zstd(clevel=3),
    }


def append(dataset: h5py.Dataset, rows: NDArray) -> None:
    """Append rows to a growing dataset."""
    start = dataset.shape[0]
    dataset.resize(start + len(rows), axis=0)
    dataset[start:] = rows


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
    """

    def __init__(self, path: str | Path, channels: dict[str, list[str]], with_truth: bool) -> None:
        self._file = h5py.File(path, "w")
        self._file.attrs["schema"] = SCHEMA
        self._file.attrs["schema_version"] = SCHEMA_VERSION
        self.with_truth = with_truth
        self._channels = channels
        for group, columns in GROUPS.items():
            if group.startswith("truth") and not with_truth:
                continue
            row_shape = (2,) if group in _PAIRS else ()
            for name, dtype in columns.items():
                self._file.create_dataset(
                    f"{group}/{name}", dtype=dtype, **dataset_options(4096, row_shape)
                )
        for channel, columns_ in channels.items():
            offsets = self._file.create_dataset(
                f"hits/{channel}/offsets", dtype="i8", **dataset_options(4096)
            )
            append(offsets, np.zeros(1, dtype=np.int64))
            for name in columns_:
                dtype = "u4" if name == "cell" else "f4"
                self._file.create_dataset(
                    f"hits/{channel}/{name}", dtype=dtype, **dataset_options(65536)
                )

    def append(self, tables: dict[str, dict[str, NDArray]], hits: dict[str, Hits]) -> None:
        """Append N events: `tables[group][name]` of (N,) or (N, 2) rows, and hits per channel."""
        n_events = len(tables["event"]["run"])
        for group, columns in tables.items():
            for name, rows in columns.items():
                append(self._file[f"{group}/{name}"], rows)
        for channel, names in self._channels.items():
            found = hits.get(channel) or Hits.empty(n_events)
            group = self._file[f"hits/{channel}"]
            append(group["offsets"], found.offsets[1:] + group["offsets"][-1])
            for name in names:
                column = found.columns.get(name)
                if column is None:
                    column = np.full(len(found.cell), np.nan, dtype=np.float32)
                append(group[name], column)

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        """Write attributes; dictionaries and lists become JSON text."""
        for name, value in attributes.items():
            is_plain = isinstance(value, str | int | float | bool)
            self._file.attrs[name] = value if is_plain else json.dumps(value)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


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
        self._file = _open(self.path)
        if self._file.attrs.get("schema") != SCHEMA:
            self._file.close()
            raise InputError(path, "HDF5, but not an event store", "make one with `preprocess`")
        version = int(self._file.attrs["schema_version"])
        if version != SCHEMA_VERSION:
            self._file.close()
            raise InputError(
                path,
                f"event store of schema version {version}, this program reads {SCHEMA_VERSION}",
                "run `preprocess` again",
            )

    def __len__(self) -> int:
        return int(self._file["event/run"].shape[0])

    def event(self, name: str) -> NDArray:
        """(N,) column of `event/`."""
        return self._read(f"event/{name}")

    def photons(self, name: str) -> NDArray:
        """(N, 2) column of `photons/`: the source's photons, leading first."""
        return self._read(f"photons/{name}")

    def clusters(self, name: str) -> NDArray:
        """(N, 2) column of `clusters/`: the standard 5x5 reconstruction."""
        return self._read(f"clusters/{name}")

    def vertex_z(self) -> NDArray:
        """(N,) z of the vertex in cm; 0 where the source has none."""
        return self._read("vertex/z")

    def truth(self, name: str) -> NDArray:
        """(N, 2) column of the true photons; for labels, rewards and metrics only."""
        return self._read(f"truth/photons/{name}")

    def truth_event(self, name: str) -> NDArray:
        """(N,) column of the event's truth; for labels, rewards and metrics only."""
        return self._read(f"truth/{name}")

    @property
    def has_truth(self) -> bool:
        """Whether the store holds simulated events with their truth."""
        return "truth" in self._file

    @property
    def channels(self) -> tuple[str, ...]:
        """Hit channels of the store."""
        return tuple(self._file["hits"])

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes, JSON texts decoded."""
        return {name: _decode(value) for name, value in self._file.attrs.items()}

    @property
    def simulation(self) -> bool:
        """Whether the events are simulated (a mixture counts as simulated)."""
        return self._file.attrs.get("origin") != "collision"

    def hits(self, channel: str, start: int = 0, stop: int | None = None) -> Hits:
        """Hits of one channel for the events start:stop.

        Raises
        ------
        InputError
            If the store lacks the channel.
        """
        if channel not in self._file["hits"]:
            raise InputError(
                self.path,
                f"no {channel} hits: the source did not provide them",
                f"channels here: {', '.join(self.channels)}",
            )
        group = self._file[f"hits/{channel}"]
        stop = len(self) if stop is None else min(stop, len(self))
        offsets = self._slice(group["offsets"], start, stop + 1)
        first, last = int(offsets[0]), int(offsets[-1])
        columns = {n: self._slice(group[n], first, last) for n in group if n != "offsets"}
        return Hits(offsets - first, **columns)

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

    def _read(self, name: str) -> NDArray:
        if name not in self._file:
            group = name.rsplit("/", 1)[0]
            known = ", ".join(self._file[group]) if group in self._file else "none"
            raise InputError(self.path, f"no dataset {name}", f"in {group}/: {known}")
        return self._slice(self._file[name], None, None)

    def _slice(self, dataset: h5py.Dataset, start: int | None, stop: int | None) -> NDArray:
        try:
            return dataset[start:stop]
        except OSError as error:
            raise InputError(
                self.path, f"damaged: {dataset.name} cannot be read ({error})", "make it again"
            ) from error


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise InputError(path, "no such file")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(path, f"not a readable HDF5 file ({error})", "make it again") from error


def _decode(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "{[":
        return json.loads(value)
    return value.item() if isinstance(value, np.generic) else value
