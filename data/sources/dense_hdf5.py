"""HDF5 files of dense arrays in the papers' layout: whole events, or crops round jets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import hdf5plugin  # noqa: F401  (registers the filters that others may have used)
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import CHANNELS, EventBatch, Hits
from data.detector.geometry import EE_TO_ECAL
from data.sources import dense
from data.sources.base import DEFAULT, ReadOptions, Source, channel_columns, ranges
from data.sources.dense_blocks import DenseArray, Filled, own_dataset
from data.sources.plausible import Place
from data.sources.rhtree_images import positive
from data.sources.root_file import DAMAGED, reason
from data.store.checks import text_attribute
from data.store.schema import SCHEMA

FIRST_EB_CELL, N_EB = 55 * 360, 170 * 360


class Layout(NamedTuple):
    """An array's rows and columns, and what its layers hold, by their number."""

    shape: tuple[int, int]
    layers: dict[int, tuple[str, ...]]


LAYOUTS = {
    "X_ECAL_stacked": Layout((280, 360), {3: ("TRK", "EB", "HBHE")}),
    "X_EB": Layout((170, 360), {1: ("EB",), 2: ("TRK", "EB"), 3: ("TRK", "EB", "HBHE")}),
    "X_EEm": Layout((100, 100), {1: ("EE",), 2: ("TRK", "EE"), 3: ("TRK", "EE", "")}),
    "X_EEp": Layout((100, 100), {1: ("EE",), 2: ("TRK", "EE"), 3: ("TRK", "EE", "")}),
    "X_jets": Layout((125, 125), {3: ("JET", "JET", "JET")}),
}
# The stitched array has all that X_EB has; tracks of the whole detector are better than a part.
_PREFERRED = {
    "EB": (("X_ECAL_stacked",), ("X_EB",)),
    "EE": (("X_EEm", "X_EEp"),),
    "HBHE": (("X_ECAL_stacked",), ("X_EB",)),
    "TRK": (("X_ECAL_stacked",), ("X_EB", "X_EEm", "X_EEp")),
    "JET": (("X_jets",),),
}


def is_event_store(file: h5py.File) -> bool:
    """Whether an HDF5 file is the project's own store."""
    is_text = "schema" in file.attrs and file.attrs.get_id("schema").dtype.kind == "S"
    return is_text and text_attribute("", file, "schema") == SCHEMA


class DenseHdf5Source(Source):
    """Dense arrays under the names that the papers' converters gave them.

    Raises
    ------
    InputError
        If the file is no HDF5, is an event store, has none of the arrays, or arrays of other
        shapes or numbers of events.
    """

    format = "dense_hdf5"

    def __init__(self, path: str | Path, options: ReadOptions = DEFAULT) -> None:
        super().__init__(path, options)
        self._file = self._open()
        try:
            self._prepare(options)
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            self._file.close()
            raise InputError(path, f"damaged HDF5 file: {reason(error)}", DAMAGED) from error
        except BaseException:
            self._file.close()
            raise

    def _open(self) -> h5py.File:
        try:
            return h5py.File(self.path, "r")
        except OSError as error:
            raise InputError(self.path, f"not a readable HDF5 file: {error}", DAMAGED) from error

    def _prepare(self, options: ReadOptions) -> None:
        if is_event_store(self._file):
            raise InputError(
                self.path, "an event store, not an input of preprocess",
                "later stages read it as it is",
            )  # fmt: skip
        present = [name for name in LAYOUTS if name in self._file]
        datasets = {name: own_dataset(self.path, self._file, name) for name in present}
        if not present:
            raise InputError(
                self.path,
                f"HDF5 without any of {', '.join(LAYOUTS)}; it holds {', '.join(self._file)[:200]}",
                "see docs/published_arrays.md for the layout",
            )
        self.n_events = int(datasets[present[0]].shape[0])
        layers = {name: self._layers(name, datasets[name].shape) for name in present}
        self._used = _assign(layers)
        self._layer_of = layers
        arrays = {name for names in self._used.values() for name in names}
        self._arrays = {name: DenseArray(self.path, datasets[name]) for name in sorted(arrays)}
        self.missing = (*(c for c in CHANNELS if c not in self._used), "photons")
        self.channels = channel_columns(self.missing, ())
        self._has_jets = "JET" in self._used
        if self._has_jets:
            self.channels["JET"] = ["cell", "energy"]
            self.collections = dense.jet_types(self._file)
        self._ids = dense.named(dense.IDENTIFIERS, self._file)
        written = text_attribute(self.path, self._file, "hcal_upsampling")
        self._convention = dense.upsampling(self.path, written, options)
        self.origin = self._origin()

    def batches(self, start: int, stop: int, chunk: int) -> Iterator[EventBatch]:
        for first, last in ranges(start, stop, chunk):
            yield self._batch(first, last)

    @property
    def basket_edges(self) -> list[int]:
        return max((array.edges for array in self._arrays.values()), key=len)

    def close(self) -> None:
        self._file.close()

    def _layers(self, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
        """What the layers of an array hold, by its shape."""
        layout = LAYOUTS[name]
        n_layers = shape[3] if len(shape) == 4 else 0
        if shape[1:3] != layout.shape or n_layers not in layout.layers:
            expected = " or ".join(str((*layout.shape, n)) for n in layout.layers)
            raise InputError(
                self.path, f"{name}: shape {shape}, expected (N,) + {expected}",
                "see docs/published_arrays.md for the layout",
            )  # fmt: skip
        if shape[0] != self.n_events:
            raise InputError(self.path, f"{name} has {shape[0]} entries, others {self.n_events}")
        return layout.layers[n_layers]

    def _batch(self, start: int, stop: int) -> EventBatch:
        n_events = stop - start
        filled = {name: array.read(start, stop) for name, array in self._arrays.items()}
        numbers = self._identifiers(start, stop)
        label = m0 = None
        if not self._has_jets:
            if "y" in self._file:
                label = dense.event_labels(self._column("y", start, stop), self.warnings)
            if "m0" in self._file:
                m0 = np.nan_to_num(self._column("m0", start, stop).astype(np.float32))
        return EventBatch(
            run=numbers.run,
            lumi=numbers.lumi,
            event=numbers.event,
            hits={c: self._hits(c, filled, start, n_events) for c in self._used},
            m0=m0,
            label=label,
            missing=self.missing,
            is_numbered=self._has_jets and "event" in self._ids,
            collections=self._jets(start, stop) if self._has_jets else {},
        )

    def _hits(self, channel: str, filled: dict[str, Filled], start: int, n_events: int) -> Hits:
        place = Place(self.path, self._used[channel][0], start, self.strict)
        if channel == "JET":
            event, position, value = filled["X_jets"]
            return dense.jet_hits(
                event, position % 3, position // 3, value, n_events, self._convention,
                self.warnings, place,
            )  # fmt: skip
        parts = [(name, self._layer(name, channel, filled[name])) for name in self._used[channel]]
        if channel == "HBHE":
            name, (event, pixel, value) = parts[0]
            first_row = 11 if name == "X_EB" else 0
            return dense.tower_hits(
                event, pixel, value, first_row, n_events, self._convention, self.warnings, place
            )
        rows = [_in_channel(channel, name, layer) for name, layer in parts]
        event, cell, value = (np.concatenate(column) for column in zip(*rows, strict=True))
        event, cell, value = positive(channel, event, cell, value, self.warnings, place)
        if channel == "TRK" and len(parts) > 1:
            return _summed(event, cell, value, n_events)
        return Hits.from_events(event, n_events, cell, value)

    def _layer(self, name: str, channel: str, filled: Filled) -> Filled:
        layers = self._layer_of[name]
        at = filled.position % len(layers) == layers.index(channel)
        return Filled(filled.event[at], filled.position[at] // len(layers), filled.value[at])

    def _jets(self, start: int, stop: int) -> dict[str, Any]:
        names = dense.named(dense.ALL_COLUMNS, self._file)
        columns = {key: self._column(name, start, stop) for key, name in names.items()}
        return dense.jet_collections(columns, self.collections, stop - start, self.warnings)

    def _identifiers(self, start: int, stop: int) -> dense.Numbers:
        columns = {key: self._column(name, start, stop) for key, name in self._ids.items()}
        place = Place(self.path, "run, lumi and event", start, self.strict)
        return dense.identifiers(columns, stop - start, place, self.warnings)

    def _column(self, name: str, start: int, stop: int) -> NDArray:
        dataset = own_dataset(self.path, self._file, name)
        if dataset.shape not in ((self.n_events,), (self.n_events, 1)):
            raise InputError(
                self.path, f"{name}: shape {dataset.shape}, expected one number for each of "
                f"{self.n_events} entries",
            )  # fmt: skip
        try:
            return dataset[start:stop].reshape(stop - start)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            problem = f"dataset {name}: cannot be read: {reason(error)}"
            raise InputError(self.path, problem, DAMAGED) from error

    def _origin(self) -> str:
        origin = text_attribute(self.path, self._file, "origin")
        if origin in ("simulation", "collision"):
            return str(origin)
        # Only simulated events have labels; CMS numbers simulated runs 1.
        has_labels = any(name in self._file for name in dense.TRUE_COLUMNS["label"])
        if has_labels or "run" not in self._ids:
            return "simulation"
        runs = self._column(self._ids["run"], 0, min(1, self.n_events))
        return "simulation" if (runs == 1).any() else "collision"


def _assign(layers: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Per channel the arrays it is read from."""
    used = {}
    for channel, choices in _PREFERRED.items():
        for choice in choices:
            if found := [name for name in choice if channel in layers.get(name, ())]:
                used[channel] = found
                break
    return used


def _in_channel(channel: str, name: str, layer: Filled) -> Filled:
    """The store's cells of an array's pixels; pixels that are none of the channel's drop."""
    event, pixel, value = layer
    if name in ("X_EEm", "X_EEp"):
        cell = pixel + (10000 if name == "X_EEp" else 0)
        if channel == "TRK":
            cell = EE_TO_ECAL[cell]
    elif channel == "EB" and name == "X_ECAL_stacked":
        cell = pixel - FIRST_EB_CELL
        cell = np.where(cell < N_EB, cell, -1)
    elif channel == "TRK" and name == "X_EB":
        cell = pixel + FIRST_EB_CELL
    else:
        cell = pixel
    known = cell >= 0
    return Filled(event[known], cell[known], value[known])


def _summed(event: NDArray, cell: NDArray, value: NDArray[np.float32], n_events: int) -> Hits:
    """One hit per cell: several crystals share a cell of the stitched image."""
    n_cells = 280 * 360
    key, inverse = np.unique(event * n_cells + cell, return_inverse=True)
    total = np.bincount(inverse, weights=value, minlength=len(key)).astype(np.float32)
    return Hits.from_events(key // n_cells, n_events, key % n_cells, total)
