"""Events that choose their category one by one, each paid by what its own move is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.categories.events import CategoryEvents
from envs.categories.significance import (
    Contents,
    Floats,
    IntArray,
    background_bins,
    cautious,
    fill,
    in_range,
    signal_bins,
)

FloatArray = NDArray[np.float32]

_BOUND = 6.0


@dataclass(frozen=True)
class Choice:
    """m events under way; `event` (m,) rows, `step` (m,) steps taken."""

    event: IntArray
    step: IntArray


class PerEventDynamics:
    """One step, one action: a coordinate within ±1, cut into equal parts, the categories.

    The reward is counterfactual: the change of the squared
    significance of all events together when this one is put into its category, the others staying
    where they are, to first order. `sort` tells where they are.

    Parameters
    ----------
    events
        Events with class and mass, which the reward is made of.
    features
        (n, d) mass-blind, standardised.
    n_categories
        Categories; every event is in one of them.
    """

    def __init__(self, events: CategoryEvents, features: Floats, n_categories: int) -> None:
        self.steps = 1
        self.start_name = "event"
        self.action_names: tuple[str, ...] = ("coordinate",)
        self.observation_bound = _BOUND
        self.observation_names = tuple(f"feature_{k}" for k in range(features.shape[1]))
        self.events = events
        self.n_categories = n_categories
        self._features = np.clip(features, -_BOUND, _BOUND).astype(np.float32)
        self.worth = np.zeros((len(events), n_categories))

    def __len__(self) -> int:
        return len(self.events)

    def category(self, coordinate: NDArray[np.floating]) -> IntArray:
        """(m,) category of coordinates (m,)."""
        part = np.floor((np.clip(coordinate, -1, 1) + 1) / 2 * self.n_categories)
        return np.minimum(part.astype(np.int64), self.n_categories - 1)

    def contents(self, category: IntArray) -> Contents:
        """Contents of the categories when all events are put into theirs, (n,)."""
        events = self.events
        return fill(category, self.n_categories, events.mass, events.is_signal, events.weight)

    def sort(self, category: IntArray) -> None:
        """Put all events into categories (n,), and work out what a move of each would be worth."""
        events, contents = self.events, cautious(self.contents(category))
        background = np.maximum(background_bins(contents), 1e-6)
        ratio = contents.signal / background
        of_signal = 2 * np.log1p(ratio)  # dq/ds, per bin
        shape = background / np.maximum(background.sum(axis=1, keepdims=True), 1e-9)
        per_yield = background.sum(axis=1) / np.maximum(contents.background, 1e-9)
        of_background = ((2 * (np.log1p(ratio) - ratio)) * shape).sum(axis=1) * per_yield  # dq/dB
        worth = np.zeros((len(events), self.n_categories))
        rows, place = signal_bins(events.mass, events.is_signal)
        worth[rows] = of_signal[:, place].T
        worth[in_range(events.mass) & ~events.is_signal] = of_background
        worth *= events.weight[:, None]
        self.worth = worth / max(float(np.abs(worth).mean()), 1e-12)

    def start(self, which: IntArray) -> Choice:
        """Look at events."""
        return Choice(which, np.zeros(len(which), dtype=np.int64))

    def step(
        self, state: Choice, action: NDArray[np.floating]
    ) -> tuple[Choice, FloatArray, NDArray[np.bool_]]:
        """Choose by coordinates (m, 1)."""
        category = self.category(action[:, 0])
        reward = self.worth[state.event, category].astype(np.float32)
        return Choice(state.event, state.step + 1), reward, np.ones(len(reward), dtype=bool)

    def observe(self, state: Choice) -> FloatArray:
        """(m, d) features."""
        return self._features[state.event]

    def info(self, state: Choice) -> dict[str, NDArray[Any]]:
        """Events under way."""
        return {"event": state.event}

    def draw(self, state: Choice) -> NDArray[np.uint8]:
        """What the first event's categories are worth, as a bar of colours."""
        worth = self.worth[state.event[0]]
        scale = max(float(np.abs(worth).max()), 1e-12)
        grey = np.rint(127.5 * (1 + worth / scale)).astype(np.uint8)
        return np.repeat(np.repeat(grey[None, :, None], 3, axis=2), 8, axis=1).repeat(16, axis=0)
