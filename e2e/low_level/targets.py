"""What the head of crystals' shares learns and is judged by: truth, for losses and metrics only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import Hits
from data.store import EventStore
from e2e.config import InputConfig
from e2e.inputs.events import Targets
from e2e.inputs.images import crystal_crops, half_window
from e2e.inputs.kinematics import Pairs
from e2e.inputs.sparse import SparseImages, concatenate
from e2e.inputs.windows import window_hits

_CRYSTALS = "truth/crystals"
_CHUNK = 4000  # events at a time


def has_crystal_truth(store: EventStore) -> bool:
    """Whether a store says which part of each crystal's energy is of prompt photons."""
    return store.has_truth and _CRYSTALS in store.collections


def share_targets(store: EventStore, config: InputConfig) -> Targets:
    """Targets of the head: image `share` (2, 1, S, S) and table `share_known` (N,) bool.

    Raises
    ------
    InputError
        If the store has no truth of crystals.
    """
    known = store.truth_event("process") >= 0
    return Targets({"share_known": known}, {"share": crystal_truth(store, config, "share")})


def crystal_truth(store: EventStore, config: InputConfig, column: str) -> SparseImages:
    """(2, 1, S, S) of one column of the crystals' truth in the crops: `share`, or `energy` in GeV.

    Crystals that are absent hold 0, as do those outside the crops' windows.
    """
    if not has_crystal_truth(store):
        raise InputError(
            store.path,
            "no truth of crystals",
            "simulate and preprocess again, or use inputs.hits=false",
        )
    every, parts = Pairs.read(store), []
    for start in range(0, max(len(store), 1), _CHUNK):
        stop = min(start + _CHUNK, len(store))
        rows = store.rows(_CRYSTALS, start, stop)
        values = Hits(rows.offsets, rows.columns["cell"], rows.columns[column])
        pairs = every.rows(start, stop)
        window = window_hits("EB", values, pairs.seed, half_window(config))
        parts.append(crystal_crops(window, pairs, config))
    return concatenate(parts)


@dataclass(frozen=True)
class PhotonTruth:
    """True energy and impact of N events' photons, (N, 2) each; NaN for one without a match.

    Energy in GeV, u and v in crystals; `pileup` (N,) is the number of simulated collisions.
    """

    energy: NDArray[np.float64]
    u: NDArray[np.float64]
    v: NDArray[np.float64]
    pileup: NDArray[np.int64]

    @classmethod
    def read(cls, store: EventStore) -> PhotonTruth:
        """Read the truth of a store.

        Raises
        ------
        InputError
            If it has none.
        """
        if not store.has_truth:
            raise InputError(store.path, "no truth", "use a store of simulated events")
        columns = {n: store.truth(n).astype(np.float64) for n in ("energy", "u", "v")}
        return cls(**columns, pileup=store.truth_event("n_pileup").astype(np.int64))
