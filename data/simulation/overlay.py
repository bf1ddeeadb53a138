"""Events of a library laid over others, turned in phi by steps of five crystals and reflected in z.

The step keeps ECAL crystals and HCAL towers aligned.  The endcap's square lattice allows quarter
turns only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.simulation.profiles import Cells

IntArray = NDArray[np.int64]

TURNS = 72  # steps of five crystals


def _quarter_turns() -> NDArray[np.int32]:
    """Cell y * 100 + x of one endcap after 0 to 3 quarter turns, (40000,)."""
    y, x = np.divmod(np.arange(10000, dtype=np.int32), 100)
    turned = [(x, y), (99 - y, x), (99 - x, 99 - y), (y, 99 - x)]
    return np.concatenate([b * 100 + a for a, b in turned]).astype(np.int32)


_QUARTER_TURNS = _quarter_turns()


@dataclass
class Rows:
    """Columns of the library's events, with offsets: event i owns rows offsets[i]:offsets[i+1]."""

    offsets: IntArray
    columns: tuple[NDArray, ...]

    @classmethod
    def build(cls, event: IntArray, n_events: int, *columns: NDArray) -> Rows:
        """From rows in any order."""
        order = np.argsort(event, kind="stable")
        offsets = np.searchsorted(event[order], np.arange(n_events + 1)).astype(np.int64)
        return cls(offsets, tuple(c[order] for c in columns))

    @classmethod
    def of_cells(
        cls, event: IntArray, cell: IntArray, n_events: int, width: int, *energies: NDArray
    ) -> Rows:
        """Rows with columns lattice row, lattice column, energies."""
        row, column = (cell // width).astype(np.int32), (cell % width).astype(np.int32)
        return cls.build(event, n_events, row, column, *energies)

    def gather(self, index: IntArray) -> tuple[IntArray, tuple[NDArray, ...]]:
        """Rows of the events ``index``: which entry of ``index`` each belongs to, and columns."""
        count = np.diff(self.offsets)[index]
        start = np.cumsum(count) - count
        rows = np.arange(count.sum()) + np.repeat(self.offsets[index] - start, count)
        return np.repeat(np.arange(len(index)), count), tuple(c[rows] for c in self.columns)


@dataclass
class Overlay:
    """Which library events go where: event overlaid, library index, turn and reflection, (K,)."""

    event: IntArray
    index: IntArray
    turn: IntArray
    flip: NDArray[np.bool_]

    @classmethod
    def draw(cls, count: IntArray, size: int, rng: np.random.Generator) -> Overlay:
        """``count[i]`` events of a library of ``size`` for event i, at random."""
        total = int(count.sum())
        return cls(
            event=np.repeat(np.arange(len(count)), count),
            index=rng.integers(0, size, total),
            turn=rng.integers(0, TURNS, total),
            flip=rng.random(total) < 0.5,
        )

    @property
    def angle(self) -> NDArray[np.float64]:
        """Turn in radians."""
        return np.asarray(self.turn * (2 * np.pi / TURNS), np.float64)


def barrel(library: Rows, overlay: Overlay) -> Cells:
    """Overlaid barrel crystals."""
    event, cell, columns = _turned(library, overlay, rows=170, columns=360, step=5)
    return Cells(event, cell, columns[0])


def towers(library: Rows, overlay: Overlay) -> tuple[Cells, ...]:
    """Overlaid HBHE towers, one ``Cells`` for each energy that the library has."""
    event, cell, columns = _turned(library, overlay, rows=56, columns=72, step=1)
    return tuple(Cells(event, cell, energy) for energy in columns)


def endcaps(library: Rows, overlay: Overlay) -> Cells:
    """Overlaid endcap crystals, turned by the nearest lower quarter."""
    which, (row, x, energy) = library.gather(overlay.index)
    quarter = (overlay.turn // (TURNS // 4)).astype(np.int32)[which]
    side = np.where(overlay.flip[which], 1 - row // 100, row // 100)
    turned = _QUARTER_TURNS[quarter * 10000 + row % 100 * 100 + x]
    return Cells(overlay.event[which], side * 10000 + turned, energy)


def _turned(
    library: Rows, overlay: Overlay, *, rows: int, columns: int, step: int
) -> tuple[IntArray, IntArray, tuple[NDArray, ...]]:
    which, (row, column, *energies) = library.gather(overlay.index)
    column += (overlay.turn * step).astype(np.int32)[which]
    column -= np.where(column >= columns, columns, 0).astype(np.int32)
    row = np.where(overlay.flip[which], rows - 1 - row, row)
    return overlay.event[which], row * columns + column, tuple(energies)
