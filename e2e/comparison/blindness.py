"""Do whole images, scaled by m_gg and then cut, still tell the mass by their lowest hits?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits
from data.store import EventStore
from e2e.comparison.config import CompareConfig
from e2e.evaluation.blindness import low_energy_columns, tell_higgs_from_diphoton
from e2e.inputs.full import event_scale, scaled_hits
from e2e.inputs.kinematics import Pairs
from e2e.labels import Labels

CHANNELS = ("TRK", "EB", "EE", "HBHE")
_LIMIT = 4.0  # GeV times the factor on the cuts; hits below it are looked at
_CHUNK = 2000  # events whose hits are in memory at a time


def whole_image_blindness(
    store: EventStore, labels: Labels, config: CompareConfig
) -> dict[str, Any]:
    """AUC(H/γγ) of trees on low-energy hits of whole events, by channel and of all.

    Keys: a channel or `all`, then `blind` (scaled by the mass, then cut), `raw` (in GeV, the same
    cut) and their difference; each with value and error.
    """
    pairs = Pairs.read(store)
    blind = event_scale(pairs, config.inputs)
    columns = {
        "blind": _columns(store, blind, config),
        "raw": _columns(store, np.ones(len(pairs)), config),
    }
    found = {}
    for channel in (*columns["blind"], "all"):
        seen = {kind: _of(channel, columns[kind]) for kind in columns}
        found[channel] = tell_higgs_from_diphoton(
            seen, labels, pairs.complete, config.split, config.bootstrap
        )
    return found


def _of(channel: str, columns: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.concatenate(list(columns.values()), axis=1) if channel == "all" else columns[channel]


def _columns(
    store: EventStore, scale: NDArray[np.float64], config: CompareConfig
) -> dict[str, NDArray[np.float64]]:
    """(N, F) description of each channel's hits between its cut and the limit."""
    cuts, limit = config.inputs.full_cuts, _LIMIT * config.inputs.full_cut
    found: dict[str, list[NDArray[np.float64]]] = {}
    for start in range(0, len(store), _CHUNK):
        stop = min(start + _CHUNK, len(store))
        for channel in (name for name in CHANNELS if name in store.channels):
            hits: Hits = scaled_hits(
                store.hits(channel, start, stop), channel, scale[start:stop], cuts[channel]
            )
            low = hits.energy < limit
            part = low_energy_columns(
                hits.event[low], hits.energy[low], cuts[channel], limit, len(hits)
            )
            found.setdefault(channel, []).append(part)
    return {channel: np.concatenate(parts) for channel, parts in found.items()}
