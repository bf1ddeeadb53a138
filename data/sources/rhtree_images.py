"""Dense or sparse image branches of `fevt/RHTree` to hits, whatever their encoding.

Dense: one value per cell, as `vector<float>`, fixed array, or counter with a jagged array.
Sparse: a counter with `<name>_idx` and `<name>_e`, as in other groups' conversions.

Dense images are nearly all zeros (1 MB an event for 10 kB of hits), so they are searched basket
by basket in the bytes as they are inflated, and only the cells found are converted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from common.errors import InputError
from data.sources import plausible
from data.sources.plausible import Place
from data.sources.root_file import DAMAGED, basket_edges, flat, prefetch, read, reason

IntArray = NDArray[np.int64]
_REMEDY = "the file is damaged, or its branch is not an image of the paper's ntuple"
_FLOAT = np.dtype(">f4")


class ImageBranch:
    """One image of the ntuple.

    Parameters
    ----------
    path, tree
        The file and its open tree.
    name
        Branch name of the dense image; the sparse one may drop `_energy`.
    n_cells
        Cells of the image.
    """

    def __init__(self, path: str, tree: Any, name: str, n_cells: int) -> None:
        self.path, self.name, self.n_cells = path, name, n_cells
        branches = {branch.name: branch for branch in tree.branches}
        self.dense: Any = branches.get(name)
        self.index: Any = None
        self.value: Any = None
        for stem in (name, name.removesuffix("_energy")):
            if self.dense is None and f"{stem}_idx" in branches and f"{stem}_e" in branches:
                self.index, self.value = branches[f"{stem}_idx"], branches[f"{stem}_e"]

    @property
    def exists(self) -> bool:
        """Whether the file has the image in any encoding."""
        return self.dense is not None or self.index is not None

    @property
    def branches(self) -> list[Any]:
        """The branches that hold it."""
        return [b for b in (self.dense, self.index, self.value) if b is not None]

    @property
    def basket_edges(self) -> list[int]:
        """Entry numbers where the branch's baskets begin and end."""
        branch = self.dense if self.dense is not None else self.value
        return basket_edges(self.path, branch)

    def read(self, start: int, stop: int) -> tuple[IntArray, IntArray, NDArray[np.float32]]:
        """Event (from 0), cell and value of the cells that are not zero, in that order.

        Raises
        ------
        InputError
            If an entry does not have the image's size, or an index lies outside of it.
        """
        if self.index is not None:
            return self._read_sparse(start, stop)
        events, cells, values = [], [], []
        for first, block in self._blocks(start, stop):
            rows = nonzero(block)
            events.append(first - start + rows // self.n_cells)
            cells.append(rows % self.n_cells)
            values.append(block.reshape(-1)[rows].astype(np.float32))
        return _joined(events, np.int64), _joined(cells, np.int64), _joined(values, np.float32)

    def at(self, start: int, stop: int, event: IntArray, cell: IntArray) -> NDArray[np.float32]:
        """Values at cells of a dense image; `event` (from 0) must not fall."""
        values = np.zeros(len(event), dtype=np.float32)
        for first, block in self._blocks(start, stop):
            low, high = np.searchsorted(event, [first - start, first - start + len(block)])
            values[low:high] = block[event[low:high] - (first - start), cell[low:high]]
        return values

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[int, NDArray]]:
        """Consecutive blocks of the dense image: first entry, big-endian (entries, cells)."""
        header = self._header_bytes()
        if header is None:
            yield from self._converted(start, stop)
            return
        prefetch([self.dense], start, stop)
        for number, (low, high) in enumerate(pairwise(self.basket_edges)):
            first, last = max(low, start), min(high, stop)
            if first < last:
                block = self._basket(number, low, high, header)
                yield first, block[first - low : last - low]

    def _header_bytes(self) -> int | None:
        """Bytes before each entry's floats in a basket; None if it is not an array of floats."""
        interpretation = self.dense.interpretation
        if isinstance(interpretation, uproot.AsDtype):
            return 0 if interpretation.from_dtype.base == _FLOAT else None
        is_jagged = isinstance(interpretation, uproot.AsJagged)
        if is_jagged and getattr(interpretation.content, "from_dtype", None) == _FLOAT:
            return int(interpretation.header_bytes)
        return None

    def _basket(self, number: int, low: int, high: int, header: int) -> NDArray:
        n_entries, size = high - low, header + 4 * self.n_cells
        try:
            basket = self.dense.basket(number)
            data, offsets = basket.data, basket.byte_offsets
        except InputError:  # a remote read that failed says so itself
            raise
        except Exception as error:  # uproot lets errors of many libraries through
            raise InputError(
                self.path,
                f"branch {self.name}, entries {low}:{high}: cannot be read: {reason(error)}",
                DAMAGED,
            ) from error
        if offsets is not None and len(offsets) == n_entries + 1:
            self._check_sizes((np.diff(offsets) - header) / 4, low)
        if len(data) != n_entries * size:
            found = (len(data) / max(n_entries, 1) - header) / 4
            self._check_sizes(np.full(n_entries, found), low)
        rows = np.ascontiguousarray(data.reshape(n_entries, size)[:, header:])
        return rows.view(_FLOAT)

    def _converted(self, start: int, stop: int) -> Iterator[tuple[int, NDArray]]:
        """Blocks of an encoding that needs uproot's interpretation, such as doubles."""
        array = read(self.path, self.dense, start, stop)
        if array.ndim != 2:
            raise InputError(self.path, f"branch {self.name}: not one image per entry", _REMEDY)
        content, sizes = flat(array)
        self._check_sizes(sizes, start)
        yield start, content.astype(_FLOAT).reshape(stop - start, self.n_cells)

    def _check_sizes(self, sizes: NDArray, first: int) -> None:
        wrong = sizes != self.n_cells
        if wrong.any():
            entry = int(np.argmax(wrong))
            raise InputError(
                self.path,
                f"branch {self.name}, entry {first + entry}: expected {self.n_cells} values, "
                f"found {sizes[entry]:g}",
                _REMEDY,
            )

    def _read_sparse(self, start: int, stop: int) -> tuple[IntArray, IntArray, NDArray[np.float32]]:
        cell, counts = flat(read(self.path, self.index, start, stop))
        value, found = flat(read(self.path, self.value, start, stop))
        if not np.array_equal(counts, found):
            entry = start + int(np.argmin(counts == found))
            problem = f"branch {self.value.name}, entry {entry}: not as long as {self.index.name}"
            raise InputError(self.path, problem, _REMEDY)
        event = np.repeat(np.arange(stop - start), counts)
        outside = (cell < 0) | (cell >= self.n_cells)
        if outside.any():
            row = int(np.argmax(outside))
            raise InputError(
                self.path,
                f"branch {self.index.name}, entry {start + int(event[row])}: cell {int(cell[row])} "
                f"outside 0..{self.n_cells - 1}",
                _REMEDY,
            )
        kept = np.flatnonzero(value != 0)
        kept = kept[np.lexsort((cell[kept], event[kept]))]
        return event[kept], cell[kept].astype(np.int64), value[kept].astype(np.float32)


def positive(
    channel: str,
    event: IntArray,
    cell: IntArray,
    value: NDArray[np.float32],
    warnings: Counter[str],
    place: Place,
) -> tuple[IntArray, IntArray, NDArray[np.float32]]:
    """The cells with a possible value; an ntuple has no negative ones.

    Raises
    ------
    InputError
        For an impossible value, unless the place is not strict: then it is dropped and counted.
    """
    good = plausible.energies(place, channel, event, value, warnings)
    if (value[good] > 0).all():
        kept = good
    else:
        negative = good & (value < 0)
        plausible.refuse(
            place, event, negative, f"value {value[negative][0]:g} GeV where none is negative",
            f"{channel}: cells with a negative value", warnings,
        )  # fmt: skip
        kept = good & ~negative
    return (event, cell, value) if kept.all() else (event[kept], cell[kept], value[kept])


def nonzero(block: NDArray) -> IntArray:
    """Flat indices of the values of 4 bytes that are neither 0.0 nor -0.0."""
    values = block.reshape(-1)
    if values.size % 2 == 0:
        # Zeros are zeros in any byte order, and two floats at a time are found faster.
        pairs = np.flatnonzero(values.view(np.uint64) != 0)
        rows = (pairs[:, None] * 2 + np.arange(2)).reshape(-1)
    else:
        rows = np.flatnonzero(values.view(np.uint32) != 0)
    return rows[values[rows] != 0]


def _joined(parts: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=dtype)
