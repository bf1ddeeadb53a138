"""HDF5 datasets of dense images, read as their non-zero values in blocks of bounded memory.

Files of others are chunked in many ways: one event a chunk, or thousands of events of a few
pixels. Blocks follow the chunks, so that each is decompressed once as one reads on.
"""

from __future__ import annotations

from itertools import count, takewhile
from math import prod
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.sources.rhtree_images import nonzero
from data.sources.root_file import DAMAGED, reason

IntArray = NDArray[np.int64]
MOST_BYTES = 64 << 20  # of dense values held at a time, where the chunks allow it


class Filled(NamedTuple):
    """Values that are not zero: event (from 0), flat position in its image, and value."""

    event: IntArray
    position: IntArray
    value: NDArray[np.float32]


def own_dataset(path: str, file: h5py.File, name: str) -> h5py.Dataset:
    """A dataset of numbers that lies in this very file and is as long as it says.

    Raises
    ------
    InputError
        If it leads to another file, holds no numbers, or claims more than the file can hold (HDF5
        would give zeros).
    """
    try:
        link, item = file.get(name, getlink=True), file[name]
        if not isinstance(link, h5py.HardLink) or not isinstance(item, h5py.Dataset):
            raise InputError(path, f"{name} is not a dataset of this file")
        properties = item.id.get_create_plist()
        is_elsewhere = item.is_virtual or properties.get_external_count() > 0
        size = file.id.get_filesize()
        is_whole = item.nbytes <= size if item.chunks is None else _has_chunks(item, size)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(path, f"{name} cannot be opened: {reason(error)}", DAMAGED) from error
    if is_elsewhere or item.dtype.kind not in "iufb" or item.ndim == 0:
        raise InputError(path, f"{name} does not hold numbers in this file")
    if not is_whole:
        raise InputError(path, f"{name} of shape {item.shape} is not wholly in the file", DAMAGED)
    return item


def _has_chunks(dataset: h5py.Dataset, file_size: int) -> bool:
    """Whether each chunk is there once, within the file; HDF5 crashes on some that are not."""
    expected = prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    if expected > file_size:
        return False
    found = set()

    def visit(chunk: Any) -> None:
        if chunk.size > 0 and chunk.byte_offset + chunk.size <= file_size:
            found.add(chunk.chunk_offset)

    dataset.id.chunk_iter(visit)
    inside = all(
        at < length and at % step == 0
        for offset in found
        for at, length, step in zip(offset, dataset.shape, dataset.chunks, strict=True)
    )
    return inside and len(found) == expected


class DenseArray:
    """One dataset (N, ...) of images.

    Parameters
    ----------
    path
        How errors name the file.
    dataset
        The open h5py dataset.
    """

    def __init__(self, path: str, dataset: h5py.Dataset) -> None:
        self.path, self._dataset = path, dataset
        self.name: str = dataset.name.lstrip("/")
        self._size = prod(dataset.shape[1:])
        self._event_bytes = max(self._size * dataset.dtype.itemsize, 1)
        self._chunks: tuple[int, ...] = dataset.chunks or (1,) * dataset.ndim
        affordable = max(MOST_BYTES // self._event_bytes, 1)
        first = self._chunks[0]
        self.block = max(affordable // first * first, first)
        self._cached: tuple[int, Filled] | None = None

    @property
    def edges(self) -> list[int]:
        """Entries at which blocks begin, if the dataset is chunked over many events."""
        if self._chunks[0] == 1:
            return []
        n_events = self._dataset.shape[0]
        return list(takewhile(lambda edge: edge < n_events, count(self.block, self.block)))

    def read(self, start: int, stop: int) -> Filled:
        """The values of the events start:stop that are not zero, in their order.

        Raises
        ------
        InputError
            If the dataset is damaged.
        """
        parts = []
        for number in range(start // self.block, -(-stop // self.block)):
            first = number * self.block
            event, position, value = self._block(number)
            low, high = np.searchsorted(event, [start - first, stop - first])
            parts.append(Filled(event[low:high] + first - start, position[low:high],
                                value[low:high]))  # fmt: skip
        if not parts:
            none = np.zeros(0, dtype=np.int64)
            return Filled(none, none, np.zeros(0, dtype=np.float32))
        return Filled(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _block(self, number: int) -> Filled:
        if self._cached is None or self._cached[0] != number:
            start = number * self.block
            stop = min(start + self.block, self._dataset.shape[0])
            self._cached = None  # before the next is read, so that one is held
            self._cached = (number, self._read_block(start, stop))
        return self._cached[1]

    def _read_block(self, start: int, stop: int) -> Filled:
        """Slabs of rows if all rows of so many events are more than may be held."""
        n_rows, first = self._dataset.shape[1], self._chunks[1]
        row_bytes = max((stop - start) * self._event_bytes // n_rows, 1)
        step = max(MOST_BYTES // row_bytes // first * first, first)
        slabs = [
            self._read_slab(start, stop, row, min(row + step, n_rows))
            for row in range(0, n_rows, step)
        ]
        if len(slabs) == 1:
            return slabs[0]
        event, position, value = (np.concatenate(column) for column in zip(*slabs, strict=True))
        order = np.argsort(event * self._size + position)
        return Filled(event[order], position[order], value[order])

    def _read_slab(self, start: int, stop: int, row: int, end: int) -> Filled:
        try:
            dense = self._dataset[start:stop, row:end]
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                self.path,
                f"dataset {self.name}, entries {start}:{stop}: cannot be read: {reason(error)}",
                DAMAGED,
            ) from error
        size = prod(dense.shape[1:])
        flat = dense.reshape(-1)
        with np.errstate(over="ignore"):  # infinite energies are refused later
            flat = flat.astype(np.float32, copy=False)
        filled = nonzero(flat)
        event, position = np.divmod(filled, max(size, 1))
        position += row * (self._size // self._dataset.shape[1])
        return Filled(event, position, flat[filled])
