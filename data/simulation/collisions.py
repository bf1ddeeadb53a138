"""The public collision events of 2012 that the simulation is tuned on and judged by.

Every file is divided event by event: even positions are for tuning, odd ones for testing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import Hits, concatenate_hits
from data.sources import open_source

RUNS_2012 = (190456, 208686)
TUNING, TESTING = "tuning", "testing"
HALVES = (TUNING, TESTING)
_CHANNELS = ("EB", "EE", "HBHE", "TRK")


@dataclass
class Collisions:
    """Collision events: hits by channel, z of the first vertex and number of vertices, (N,)."""

    hits: dict[str, Hits]
    vertex_z: NDArray[np.float64]
    n_vertices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.vertex_z)


def read_half(files: list[Path], half: str) -> Collisions:
    """One half of the events of 2012 in event display files.

    Raises
    ------
    InputError
        if there are none.
    """
    parts = [_read(path, HALVES.index(half)) for path in files]
    if not sum(len(part) for part in parts):
        raise InputError(files[0], "no collisions of 2012 here or in the files given with it")
    return Collisions(
        hits={c: concatenate_hits([part.hits[c] for part in parts]) for c in _CHANNELS},
        vertex_z=np.concatenate([part.vertex_z for part in parts]),
        n_vertices=np.concatenate([part.n_vertices for part in parts]),
    )


def _read(path: Path, parity: int) -> Collisions:
    with open_source(path) as source:
        batch = next(source.batches(0, source.n_events, source.n_events))
    n = len(batch)
    first, last = RUNS_2012
    keep = (np.arange(n) % 2 == parity) & (batch.run >= first) & (batch.run <= last)
    z = np.zeros(n) if batch.vertex_z is None else np.nan_to_num(batch.vertex_z)
    if batch.n_vertices is None:
        raise InputError(path, "no vertices: pile-up cannot be told from these events")
    return Collisions(
        {channel: batch.hits[channel].select(keep) for channel in _CHANNELS},
        z[keep].astype(np.float64),
        np.asarray(batch.n_vertices)[keep].astype(np.int64),
    )
