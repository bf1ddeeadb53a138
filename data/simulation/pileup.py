"""Pile-up: a library of simulated minimum-bias events overlaid on hard events.

A library event is reused turned in phi by a multiple of five crystals, which keeps ECAL crystals
and HCAL towers aligned, and reflected in z.  The endcap's square lattice allows quarter turns
only.  Two further library events stand at the hard vertex in place of multiparton interactions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import N_EB, N_EE, N_HBHE
from data.simulation.calorimeter import merge
from data.simulation.particles import ParticleLists
from data.simulation.profiles import Cells
from data.simulation.response import simulate_response
from data.simulation.tracks import Tracks

IntArray = NDArray[np.int64]

VERTEX_SPREAD = 5.0  # cm, along the beam
UNDERLYING_EVENTS = 2
TURNS = 72  # steps of five crystals
LIBRARY_FLOOR = 0.003  # GeV


def _quarter_turns() -> NDArray[np.int32]:
    """Cell y * 100 + x of one endcap after 0 to 3 quarter turns, (40000,)."""
    y, x = np.divmod(np.arange(10000, dtype=np.int32), 100)
    turned = [(x, y), (99 - y, x), (99 - x, 99 - y), (y, 99 - x)]
    return np.concatenate([b * 100 + a for a, b in turned]).astype(np.int32)


_QUARTER_TURNS = _quarter_turns()


@dataclass
class _Rows:
    """Columns of the library's events, with offsets: event i owns rows offsets[i]:offsets[i+1]."""

    offsets: IntArray
    columns: tuple[NDArray, ...]

    @classmethod
    def build(cls, event: IntArray, n_events: int, *columns: NDArray) -> _Rows:
        order = np.argsort(event, kind="stable")
        offsets = np.searchsorted(event[order], np.arange(n_events + 1)).astype(np.int64)
        return cls(offsets, tuple(c[order] for c in columns))

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


@dataclass
class MinimumBiasLibrary:
    """Noise-free minimum-bias events, ready to be overlaid."""

    size: int
    eb: _Rows
    ee: _Rows
    hbhe: _Rows
    tracks: _Rows

    @classmethod
    def simulate(cls, lists: ParticleLists, rng: np.random.Generator) -> MinimumBiasLibrary:
        """Run the detector on minimum-bias particle lists."""
        n = len(lists)
        response = simulate_response(lists, rng.normal(0, VERTEX_SPREAD, n), rng)

        def rows(cells: Cells, n_cells: int, width: int) -> _Rows:
            m = merge(cells, n_cells, LIBRARY_FLOOR)
            row, column = (m.cell // width).astype(np.int32), (m.cell % width).astype(np.int32)
            return _Rows.build(m.event, n, row, column, m.energy)

        t = response.tracks
        return cls(
            size=n,
            eb=rows(response.eb, N_EB, 360),
            ee=rows(response.ee, N_EE, 100),
            hbhe=rows(response.hbhe, N_HBHE, 72),
            tracks=_Rows.build(t.event, n, t.pt, t.eta, t.phi),
        )

    def draw(self, n_pileup: IntArray, rng: np.random.Generator) -> Overlay:
        """Choose library events for events with ``n_pileup`` (N,) interactions beside the hard."""
        count = n_pileup + UNDERLYING_EVENTS
        total = int(count.sum())
        return Overlay(
            event=np.repeat(np.arange(len(n_pileup)), count),
            index=rng.integers(0, self.size, total),
            turn=rng.integers(0, TURNS, total),
            flip=rng.random(total) < 0.5,
        )

    def eb_cells(self, overlay: Overlay) -> Cells:
        """Overlaid barrel crystals."""
        which, (row, column, energy) = self.eb.gather(overlay.index)
        return _turned(overlay, which, row, column, energy, rows=170, columns=360, step=5)

    def hbhe_cells(self, overlay: Overlay) -> Cells:
        """Overlaid HBHE towers."""
        which, (row, column, energy) = self.hbhe.gather(overlay.index)
        return _turned(overlay, which, row, column, energy, rows=56, columns=72, step=1)

    def ee_cells(self, overlay: Overlay) -> Cells:
        """Overlaid endcap crystals, turned by the nearest lower quarter."""
        which, (row, x, energy) = self.ee.gather(overlay.index)
        quarter = (overlay.turn // (TURNS // 4)).astype(np.int32)[which]
        side = np.where(overlay.flip[which], 1 - row // 100, row // 100)
        turned = _QUARTER_TURNS[quarter * 10000 + row % 100 * 100 + x]
        return Cells(overlay.event[which], side * 10000 + turned, energy)

    def overlaid_tracks(self, overlay: Overlay) -> Tracks:
        """Overlaid tracks."""
        which, (pt, eta, phi) = self.tracks.gather(overlay.index)
        eta = np.where(overlay.flip[which], -eta, eta)
        phi = phi + (overlay.turn * (2 * np.pi / TURNS))[which]
        return Tracks(overlay.event[which], pt, eta, phi)


def _turned(
    overlay: Overlay,
    which: IntArray,
    row: NDArray[np.int32],
    column: NDArray[np.int32],
    energy: NDArray[np.float32],
    *,
    rows: int,
    columns: int,
    step: int,
) -> Cells:
    shift = (overlay.turn * step).astype(np.int32)[which]
    column = column + shift
    column -= np.where(column >= columns, columns, 0).astype(np.int32)
    row = np.where(overlay.flip[which], rows - 1 - row, row)
    return Cells(overlay.event[which], row * columns + column, energy)
