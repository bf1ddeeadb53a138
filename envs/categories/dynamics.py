"""The rules of categorisation on arrays: edges move, and the significance pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.categories.config import CategoryConfig
from envs.categories.events import CategoryEvents
from envs.categories.grid import Cells, Sample, SummedTables, resampled_samples
from envs.categories.significance import Contents, significance, squared

FloatArray = NDArray[np.float32]
Floats = NDArray[np.float64]
IntArray = NDArray[np.int64]

_BOUND = 6.0
_SLICE = 0.05  # quantiles on each side of an edge that a physicist would look at
_LEAST_YIELD = 1e-2


@dataclass(frozen=True)
class Edges:
    """m episodes under way.

    Attributes
    ----------
    replica
        (m,) sample.
    edges
        (m, p) edges in quantiles: of the score, then of the resolution band by band.
    step
        (m,) steps taken.
    value
        (m,) significance over that of one category; not part of the observation.
    """

    replica: IntArray
    edges: Floats
    step: IntArray
    value: Floats

    def __len__(self) -> int:
        return len(self.replica)


class CategoryDynamics:
    """Start, observe and step any number of episodes at once.

    Parameters
    ----------
    events
        Events to choose edges on.
    config
        Shape of the categories, steps, samples and reward.
    cells
        Grid that edges are rounded to; by default the quantiles of the events' signal.
    samples
        Samples to start from; by default resampled ones.
    """

    def __init__(
        self,
        events: CategoryEvents,
        config: CategoryConfig,
        cells: Cells | None = None,
        samples: Sequence[Sample] | None = None,
    ) -> None:
        self.start_name = "replica"
        self.observation_bound = _BOUND
        self.config = config
        self.steps = config.steps
        self.events = events
        self.cells = cells or Cells.fit(events, config)
        samples = samples or resampled_samples(events, config)
        self.tables = SummedTables(events, self.cells, samples)
        self.n_edges = config.bands * (1 + config.splits)
        self.n_categories = config.bands * (config.splits + 1)
        names = [f"score_{b}" for b in range(config.bands)]
        names += [f"resolution_{b}_{s}" for b in range(config.bands) for s in range(config.splits)]
        self.action_names = tuple(names)
        categories = range(self.n_categories)
        self.observation_names = (
            *(f"edge_{name}" for name in names),
            "step",
            *(f"log_yield_{k}" for k in range(self.tables.factors.shape[1])),
            *(f"{what}_{k}" for what in ("signal", "purity", "share") for k in categories),
            *(f"{side}_{name}" for side in ("below", "above") for name in names),
        )
        every = np.arange(len(self.tables))
        self._inclusive = self._value(every, np.zeros((len(every), self.n_edges)))

    def __len__(self) -> int:
        return len(self.tables)

    @property
    def first(self) -> Floats:
        """(p,) edges that an episode starts from: equal parts of the signal."""
        bands, splits = self.config.bands, self.config.splits
        score = np.arange(bands) / bands
        resolution = np.tile(np.arange(1, splits + 1) / (splits + 1), bands)
        return np.concatenate([score, resolution])

    def start(self, which: IntArray) -> Edges:
        """Open an episode on each of the given samples."""
        edges = np.tile(self.first, (len(which), 1))
        value = self.significance(which, edges)
        return Edges(which, edges, np.zeros(len(which), dtype=np.int64), value)

    def step(
        self, state: Edges, action: NDArray[np.floating]
    ) -> tuple[Edges, FloatArray, NDArray[np.bool_]]:
        """Move the edges, (m, p) in units of the largest step; edges stay in order."""
        moved = state.edges + self.config.largest_step * np.clip(action, -1, 1)
        edges = self.ordered(np.clip(moved, 0, 1))
        value = self.significance(state.replica, edges)
        after = Edges(state.replica, edges, state.step + 1, value)
        reward = (value - state.value) / self.config.reward_unit
        return after, reward.astype(np.float32), after.step >= self.steps

    def observe(self, state: Edges) -> FloatArray:
        """(m, d) observations: edges, and what is in the categories and on both sides of edges."""
        contents = self.contents(state.replica, state.edges)
        share = squared(contents)
        share = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-12)
        total = contents.signal.sum(axis=(1, 2))[:, None] + 1e-12
        signal = contents.signal.sum(axis=2)
        columns = [
            2 * state.edges - 1,
            (state.step / self.steps - 0.5)[:, None],
            np.log(self.tables.factors[state.replica]),
            2 * signal / total,
            _purity(contents),
            2 * share,
            *(_purity(part) for part in self._sides(state)),
        ]
        return np.clip(np.concatenate(columns, axis=1), -_BOUND, _BOUND).astype(np.float32)

    def info(self, state: Edges) -> dict[str, NDArray[Any]]:
        """Samples, edges and significances."""
        return {"replica": state.replica, "edges": state.edges, "significance": state.value}

    def draw(self, state: Edges) -> NDArray[np.uint8]:
        """The plane of score and resolution with the first episode's edges, (H, W, 3)."""
        from envs.categories.render import draw_plane

        return draw_plane(self, state)

    def significance(self, replica: IntArray, edges: Floats) -> Floats:
        """(m,) significance of edges (m, p) on samples (m,), over that of one category."""
        return self._value(replica, edges) / self._inclusive[replica]

    def contents(self, replica: IntArray, edges: Floats) -> Contents:
        """Contents of the (m, c) categories."""
        low, high, left, right = self._boxes(edges)
        return self.tables.boxes(replica, low, high, left, right)

    def assign(self, edges: Floats, events: CategoryEvents) -> IntArray:
        """(n,) category of each event by edges (p,); -1: not accepted."""
        place = self.cells.place(events)
        low, high, left, right = (corner[0] for corner in self._boxes(edges[None]))
        inside = (place[0][:, None] >= low) & (place[0][:, None] < high)
        inside &= (place[1][:, None] >= left) & (place[1][:, None] < right)
        return np.where(inside.any(axis=1), inside.argmax(axis=1), -1)

    def _value(self, replica: IntArray, edges: Floats) -> Floats:
        return significance(self.contents(replica, edges))

    def ordered(self, edges: Floats) -> Floats:
        """Edges (m, p) with those of the score rising, and those of each band."""
        bands, splits = self.config.bands, self.config.splits
        score = np.sort(edges[:, :bands], axis=1)
        resolution = np.sort(edges[:, bands:].reshape(len(edges), bands, splits), axis=2)
        return np.concatenate([score, resolution.reshape(len(edges), -1)], axis=1)

    def _boxes(self, edges: Floats) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """(m, c) borders of the categories in cells, bands of rising score, best resolution first.

        With all edges at 0 the last category holds every event: one category.
        """
        m, bands, splits = len(edges), self.config.bands, self.config.splits
        rows, columns = len(self.cells.score) + 1, len(self.cells.resolution) + 1
        score = np.rint(edges[:, :bands] * rows).astype(np.int64)
        score = np.concatenate([score, np.full((m, 1), rows)], axis=1)
        resolution = np.rint(edges[:, bands:].reshape(m, bands, splits) * columns).astype(np.int64)
        first, last = np.zeros((m, bands, 1), dtype=np.int64), np.full((m, bands, 1), columns)
        resolution = np.concatenate([first, resolution, last], axis=2)
        return (
            np.repeat(score[:, :-1], splits + 1, axis=1),
            np.repeat(score[:, 1:], splits + 1, axis=1),
            resolution[:, :, :-1].reshape(m, -1),
            resolution[:, :, 1:].reshape(m, -1),
        )

    def _sides(self, state: Edges) -> list[Contents]:
        """(m, p) thin slices below and above each edge."""
        bands, splits = self.config.bands, self.config.splits
        rows, columns = len(self.cells.score) + 1, len(self.cells.resolution) + 1
        low, high, _, _ = self._boxes(state.edges)
        score = np.rint(state.edges[:, :bands] * rows).astype(np.int64)
        place = np.rint(state.edges[:, bands:] * columns).astype(np.int64)
        band = np.repeat(np.arange(bands) * (splits + 1), splits)
        thick = max(1, round(_SLICE * rows)), max(1, round(_SLICE * columns))
        zero, full = np.zeros_like(score), np.full_like(score, columns)
        sides = []
        for below in (True, False):
            down, up = (thick[0], 0) if below else (0, thick[0])
            back, forth = (thick[1], 0) if below else (0, thick[1])
            corners = (
                np.concatenate([np.clip(score - down, 0, rows), low[:, band]], axis=1),
                np.concatenate([np.clip(score + up, 0, rows), high[:, band]], axis=1),
                np.concatenate([zero, np.clip(place - back, 0, columns)], axis=1),
                np.concatenate([full, np.clip(place + forth, 0, columns)], axis=1),
            )
            sides.append(self.tables.boxes(state.replica, *corners))
        return sides


def _purity(contents: Contents) -> Floats:
    """Scaled logarithm of signal over background; 0 where there is next to nothing."""
    signal, background = contents.signal.sum(axis=-1), contents.background
    known = (signal > _LEAST_YIELD) & (background > _LEAST_YIELD)
    ratio = np.maximum(signal, _LEAST_YIELD) / np.maximum(background, _LEAST_YIELD)
    return np.where(known, np.log(ratio) + 4.0, 0.0)  # near 0: 2 % of signal
