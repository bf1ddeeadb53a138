"""From an event store to a network's inputs, in memory but sparse; dense only per batch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import InputError
from data.store import EventStore
from e2e import images
from e2e.config import InputConfig
from e2e.kinematics import Pairs
from e2e.sparse import SparseImages, concatenate
from e2e.tabular import tabular_features

_CHUNK = 2000  # events whose hits are in memory at a time


@dataclass
class EventInputs:
    """Inputs of N events.

    Attributes
    ----------
    crops, context
        Sparse images (2, 3, S, S) and (2, 3, B, B); see `e2e.images`.
    kinematics
        (N, 5) float32 mass-blind kinematics, NaN without a pair.
    usable
        (N,) whether the event has a pair of standard photons.
    tabular
        (N, F) float32 inputs of the boosted tree, or None where they were not asked for.
    """

    crops: SparseImages
    context: SparseImages
    kinematics: NDArray[np.float32]
    usable: NDArray[np.bool_]
    tabular: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.kinematics)

    def batch(
        self, rows: NDArray[np.integer], needs: Iterable[str], device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        """Dense tensors of the given events: those of `needs` among crops, context, kinematics."""
        tensors: dict[str, Tensor] = {}
        for name in needs:
            if name == "kinematics":
                values = np.nan_to_num(self.kinematics[rows])
                tensors[name] = torch.from_numpy(values).to(device)
            else:
                tensors[name] = getattr(self, name).dense(rows, device)
        return tensors


def read_inputs(
    store: EventStore,
    config: InputConfig,
    start: int = 0,
    stop: int | None = None,
    tabular: bool = False,
) -> EventInputs:
    """Make the inputs of the events start:stop of a store.

    Raises
    ------
    InputError
        If the store has no barrel hits; absent tracks or HCAL leave their channel empty.
    """
    if "EB" not in store.channels:
        raise InputError(
            store.path, "no EB hits", "the classifier needs barrel rechits: preprocess another file"
        )
    stop = len(store) if stop is None else min(stop, len(store))
    every = Pairs.read(store)
    # An empty range still yields (empty) inputs of the right shapes.
    firsts = range(start, stop, _CHUNK) or range(start, start + 1)
    parts = [
        _read_chunk(store, every, config, first, min(first + _CHUNK, stop), tabular)
        for first in firsts
    ]
    return EventInputs(
        concatenate([part.crops for part in parts]),
        concatenate([part.context for part in parts]),
        np.concatenate([part.kinematics for part in parts]),
        np.concatenate([part.usable for part in parts]),
        np.concatenate([part.tabular for part in parts if part.tabular is not None])
        if tabular
        else None,
    )


def _read_chunk(
    store: EventStore, every: Pairs, config: InputConfig, start: int, stop: int, tabular: bool
) -> EventInputs:
    pairs = every.rows(start, stop)
    windows = images.read_windows(store, pairs.seed, start, stop, images.half_window(config))
    blind = images.blind_hits(windows, pairs, config)
    return EventInputs(
        images.crops(blind, pairs, config),
        images.context(blind, pairs, config),
        pairs.kinematics(),
        pairs.complete,
        tabular_features(blind, pairs) if tabular else None,
    )
