"""Dense or sparse image branches of `fevt/RHTree` to hits, whatever their encoding.

Dense: one value per cell, as `vector<float>`, fixed array, or counter with a jagged array.
Sparse: a counter with `<name>_idx` and `<name>_e`, as in other groups' conversions.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import uproot
from numpy.typing import NDArray

from common.errors import InputError
from data.sources.root_file import flat, read

IntArray = NDArray[np.int64]
_REMEDY = "the file is damaged, or its branch is not an image of the paper's ntuple"


class ImageBranch:
    """One image of the ntuple.

    Parameters
    ----------
    path, tree
        The file and its open tree.
    name
        Branch name of the dense image; the sparse one drops `_energy`.
    n_cells
        Cells of the image.
    """

    def __init__(self, path: Path, tree: Any, name: str, n_cells: int) -> None:
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
    def basket_edges(self) -> list[int]:
        """Entry numbers where the branch's baskets begin and end."""
        branch = self.dense if self.dense is not None else self.value
        return [int(edge) for edge in branch.entry_offsets]

    def read(self, start: int, stop: int) -> tuple[IntArray, IntArray, NDArray[np.float32]]:
        """Event (from 0), cell and value of the cells that are not zero.

        Raises
        ------
        InputError
            If an entry does not have the image's size, or an index lies outside of it.
        """
        if self.index is not None:
            return self._read_sparse(start, stop)
        values = self._read_dense(start, stop).reshape(-1)
        # Bits tell zeros apart in any byte order, so only the few others are converted.
        rows = np.flatnonzero((values.view(np.uint32) & _not_sign(values)) != 0)
        return rows // self.n_cells, rows % self.n_cells, values[rows].astype(np.float32)

    def at(self, start: int, stop: int, event: IntArray, cell: IntArray) -> NDArray[np.float32]:
        """Values of given cells of a dense image."""
        values = self._read_dense(start, stop)
        return values[event, cell].astype(np.float32)

    def _read_dense(self, start: int, stop: int) -> NDArray:
        interpretation = self.dense.interpretation
        if isinstance(interpretation, uproot.AsDtype):
            raw = interpretation.from_dtype
            array = read(self.path, self.dense, start, stop, uproot.AsDtype(raw, raw), library="np")
            sizes = np.full(len(array), array[0].size if len(array) else self.n_cells)
            values = array.reshape(len(array), -1)
        else:
            content, sizes = flat(read(self.path, self.dense, start, stop))
            values = content
        wrong = sizes != self.n_cells
        if wrong.any():
            entry = int(np.argmax(wrong))
            raise InputError(
                self.path,
                f"branch {self.name}, entry {start + entry}: expected {self.n_cells} values, "
                f"found {int(sizes[entry])}",
                _REMEDY,
            )
        if values.dtype.itemsize != 4 or values.dtype.kind != "f":
            values = values.astype(np.float32)
        return values.reshape(stop - start, self.n_cells)

    def _read_sparse(self, start: int, stop: int) -> tuple[IntArray, IntArray, NDArray[np.float32]]:
        cell, counts = flat(read(self.path, self.index, start, stop))
        value, found = flat(read(self.path, self.value, start, stop))
        if not np.array_equal(counts, found):
            entry = start + int(np.argmin(counts == found))
            raise InputError(
                self.path, f"branch {self.value.name}, entry {entry}: not as long as "
                f"{self.index.name}", _REMEDY,
            )  # fmt: skip
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
        kept = value != 0
        return event[kept], cell[kept].astype(np.int64), value[kept].astype(np.float32)


def _not_sign(values: NDArray) -> np.uint32:
    """Mask that hides the sign bit, so that -0.0 counts as zero."""
    big = values.dtype.byteorder == ">"
    return np.uint32(0xFFFFFF7F if big else 0x7FFFFFFF)


def positive(
    channel: str,
    event: IntArray,
    cell: IntArray,
    value: NDArray[np.float32],
    warnings: Counter[str],
) -> tuple[IntArray, IntArray, NDArray[np.float32]]:
    """Drop and count what is negative or not finite; an ntuple should have neither."""
    good = np.isfinite(value) & (value > 0)
    if good.all():
        return event, cell, value
    warnings[f"{channel}: cells with a value that is negative or not finite"] += int((~good).sum())
    return event[good], cell[good], value[good]
