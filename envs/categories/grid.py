"""Contents of any rectangle of score and resolution, by four look-ups in summed tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.categories.config import CategoryConfig
from envs.categories.events import CategoryEvents, resampled
from envs.categories.significance import (
    MASS_RANGE,
    SIGNAL_EDGES,
    Contents,
    in_range,
    signal_bins,
    typical_event,
)

Floats = NDArray[np.float64]
IntArray = NDArray[np.int64]

BACKGROUNDS = (0, 2)  # labels: γγ, γ+jet
_BINS = len(SIGNAL_EDGES) - 1
_COLUMNS = _BINS + 2 * len(BACKGROUNDS) + 1  # yields and mass sums of each background, their count


@dataclass(frozen=True)
class Cells:
    """Borders of the cells: the signal's quantiles.

    Attributes
    ----------
    score, resolution
        (g - 1,) inner borders.
    """

    score: Floats
    resolution: Floats

    @classmethod
    def fit(cls, events: CategoryEvents, config: CategoryConfig) -> Cells:
        """Measure on the signal of a sample."""
        signal = events.is_signal

        def inner(values: Floats, cells: int) -> Floats:
            parts = np.arange(1, cells) / cells
            weight = events.weight[signal]
            return np.quantile(values[signal], parts, weights=weight, method="inverted_cdf")

        return cls(
            inner(events.score, config.score_cells),
            inner(events.resolution, config.resolution_cells),
        )

    def place(self, events: CategoryEvents) -> tuple[IntArray, IntArray]:
        """(n,) cells of events, by their score and by their resolution."""
        return (
            np.searchsorted(self.score, events.score, side="right"),
            np.searchsorted(self.resolution, events.resolution, side="right"),
        )


@dataclass(frozen=True)
class Sample:
    """One way to look at the events.

    Attributes
    ----------
    drawn
        (n,) how often each event is there.
    factors
        (2,) on the yields of γγ and γ+jet.
    """

    drawn: Floats
    factors: Floats


def resampled_samples(events: CategoryEvents, config: CategoryConfig) -> list[Sample]:
    """The events as they are, and resampled ones whose backgrounds' yields scatter."""
    rng = np.random.default_rng(config.seed)
    found = [Sample(np.ones(len(events)), np.ones(len(BACKGROUNDS)))]
    for _ in range(config.replicas - 1):
        factors = np.exp(config.yield_spread * rng.standard_normal(len(BACKGROUNDS)))
        found.append(Sample(resampled(events.group, rng), factors))
    return found


class SummedTables:
    """Samples of events, summed over all cells below each corner of the grid.

    Parameters
    ----------
    events
        Events.
    cells
        Borders of the grid.
    samples
        What to make tables of.
    """

    def __init__(self, events: CategoryEvents, cells: Cells, samples: Sequence[Sample]) -> None:
        shape = (len(cells.score) + 1, len(cells.resolution) + 1)
        self.factors = np.stack([sample.factors for sample in samples])
        place = cells.place(events)
        cell = place[0] * shape[1] + place[1]
        self._sums = np.zeros((len(samples), shape[0] + 1, shape[1] + 1, _COLUMNS))
        for k, sample in enumerate(samples):
            filled = _filled(events, sample.drawn, cell, shape[0] * shape[1], sample.factors)
            table = filled.reshape(*shape, _COLUMNS)
            self._sums[k, 1:, 1:] = table.cumsum(axis=0).cumsum(axis=1)
        every = self._sums[:, -1, -1]
        weight = every[:, _BINS:-1:2].sum(axis=1)
        above = every[:, _BINS + 1 : -1 : 2].sum(axis=1)
        self._typical = typical_event(weight, above + MASS_RANGE[0] * weight, every[:, -1])

    def __len__(self) -> int:
        return len(self._sums)

    def boxes(
        self, replica: IntArray, low: IntArray, high: IntArray, left: IntArray, right: IntArray
    ) -> Contents:
        """Contents of rectangles.

        Parameters
        ----------
        replica
            (m,) sample.
        low, high, left, right
            (m, c) first cell and the one after the last: of the score, of the resolution.
        """
        k = replica[:, None]
        sums = self._sums
        total = sums[k, high, right] - sums[k, low, right] - sums[k, high, left]
        total = np.maximum(total + sums[k, low, left], 0.0)  # rounding
        yields = total[..., _BINS::2][..., : len(BACKGROUNDS)].sum(axis=-1)
        masses = total[..., _BINS + 1 :: 2][..., : len(BACKGROUNDS)].sum(axis=-1)
        return Contents(
            total[..., :_BINS], yields, masses, total[..., -1], self._typical[replica][:, None]
        )


def _filled(
    events: CategoryEvents, drawn: Floats, cell: IntArray, n_cells: int, factors: Floats
) -> Floats:
    """(n_cells, columns) of one sample."""
    table = np.zeros((n_cells, _COLUMNS))
    weight = events.weight * drawn
    rows, place = signal_bins(events.mass, events.is_signal)
    np.add.at(table, (cell[rows], place), weight[rows])
    smooth = in_range(events.mass) & ~events.is_signal
    for k, label in enumerate(BACKGROUNDS):
        here = smooth & (events.label == label)
        w, above = factors[k] * weight[here], events.mass[here] - MASS_RANGE[0]
        table[:, _BINS + 2 * k] = np.bincount(cell[here], w, minlength=n_cells)
        table[:, _BINS + 2 * k + 1] = np.bincount(cell[here], w * above, minlength=n_cells)
    table[:, -1] = np.bincount(cell[smooth], drawn[smooth], minlength=n_cells)
    return table
