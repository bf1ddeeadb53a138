"""From an event store to the inputs of the diphoton networks and of the boosted tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import InputError
from data.store import EventStore
from e2e.inputs import images
from e2e.inputs.events import EventInputs, join_inputs
from e2e.inputs.full import check_names, read_full
from e2e.inputs.kinematics import Pairs
from e2e.inputs.tabular import tabular_features

if TYPE_CHECKING:
    from e2e.config import InputConfig

_CHUNK = 2000  # events whose hits are in memory at a time


def read_inputs(
    store: EventStore,
    config: InputConfig,
    start: int = 0,
    stop: int | None = None,
    tabular: bool = False,
) -> EventInputs:
    """Make the inputs of the events start:stop of a store.

    Images `crops`, `context` and, with `config.hits`, `hits` (see `e2e.inputs.images`), and those
    of the whole detector that `config.full` names (`e2e.inputs.full`); tables `kinematics` and,
    where asked for here or by `config.shapes`, `tabular` (see `e2e.inputs.tabular`).

    Raises
    ------
    InputError
        If the store has no barrel hits; absent tracks or HCAL leave their channel empty.
    """
    if "EB" not in store.channels:
        raise InputError(
            store.path, "no EB hits", "the classifier needs barrel rechits: preprocess another file"
        )
    check_names(store, config.full)
    stop = len(store) if stop is None else min(stop, len(store))
    every = Pairs.read(store)
    # An empty range still yields (empty) inputs of the right shapes.
    firsts = range(start, stop, _CHUNK) or range(start, start + 1)
    return join_inputs(
        [
            _read_chunk(store, every, config, first, min(first + _CHUNK, stop), tabular)
            for first in firsts
        ]
    )


def _read_chunk(
    store: EventStore, every: Pairs, config: InputConfig, start: int, stop: int, tabular: bool
) -> EventInputs:
    pairs = every.rows(start, stop)
    windows = images.read_windows(store, pairs, config, start, stop)
    blind = images.blind_hits(windows, pairs, config)
    tables = {"kinematics": pairs.kinematics()}
    if tabular or config.shapes:
        tables["tabular"] = tabular_features(blind, pairs)
    hits = {"hits": images.crystal_crops(windows["EB"], pairs, config)} if config.hits else {}
    return EventInputs(
        {
            "crops": images.crops(blind, pairs, config),
            "context": images.context(blind, pairs, config),
            **hits,
            **read_full(store, pairs, config, start, stop),
        },
        tables,
        pairs.complete,
    )
