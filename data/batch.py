"""A batch of events in memory: what every reader yields and the store writer takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import awkward as ak

FloatArray = NDArray[np.float32]
CHANNELS = ("EB", "EE", "HBHE", "TRK")  # of the detector
STORE_CHANNELS = (*CHANNELS, "JET")  # JET: crops round a jet, imported without their event
HIT_TYPES = {
    "cell": "u4", "energy": "f4", "time": "f4", "eta": "f4", "phi": "f4", "z": "f4", "charge": "i1",
}  # fmt: skip


@dataclass
class Hits:
    """Sparse hits of one channel for N events, in compressed rows.

    Attributes
    ----------
    offsets
        (N+1,) int64; event i owns rows offsets[i]:offsets[i+1].
    cell
        (M,) uint32 flat cell (see `data.detector.geometry`).
    energy
        (M,) float32 in GeV; for TRK the transverse momentum.
    time
        (M,) float32 in ns, or None where the source has none.
    eta, phi, z, charge
        (M,) direction at the track's origin, z in cm of its point nearest to the beam, and charge
        in e (int8); tracks only and where the source has them.
    """

    offsets: NDArray[np.int64]
    cell: NDArray[np.uint32]
    energy: FloatArray
    time: FloatArray | None = None
    eta: FloatArray | None = None
    phi: FloatArray | None = None
    z: FloatArray | None = None
    charge: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def event(self) -> NDArray[np.int64]:
        """(M,) event index of each hit."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def columns(self) -> dict[str, NDArray]:
        """The per-hit columns that are present, by name."""
        return {n: getattr(self, n) for n in HIT_TYPES if getattr(self, n) is not None}

    def select(self, keep: NDArray[np.bool_]) -> Hits:
        """Hits of the events where `keep` (N,) is true."""
        offsets, columns = _selected(self.offsets, self.columns, keep)
        return Hits(offsets, **columns)

    @classmethod
    def from_events(
        cls,
        event: NDArray[np.integer],
        n_events: int,
        cell: NDArray[np.integer],
        energy: NDArray[np.floating],
        **columns: NDArray | None,
    ) -> Hits:
        """Build from unordered (event, cell, energy, ...) rows; row order within events is kept."""
        counts = np.bincount(event, minlength=n_events)
        given = {"cell": cell, "energy": energy, **columns}
        rows = {name: column for name, column in given.items() if column is not None}
        if (event[1:] < event[:-1]).any():
            order = np.argsort(event, kind="stable")
            rows = {name: column[order] for name, column in rows.items()}
        typed = {name: column.astype(HIT_TYPES[name], copy=False) for name, column in rows.items()}
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), **typed)

    @classmethod
    def empty(cls, n_events: int) -> Hits:
        """No hits in any of `n_events` events."""
        zero = np.zeros(0)
        return cls.from_events(zero.astype(np.int64), n_events, zero.astype(np.int64), zero)


def concatenate_hits(parts: Sequence[Hits]) -> Hits:
    """Join hits of consecutive event ranges; a column missing in one part is dropped in all."""
    shifts = np.cumsum([0] + [part.offsets[-1] for part in parts])
    offsets = np.concatenate(
        [[0]] + [part.offsets[1:] + shift for part, shift in zip(parts, shifts[:-1], strict=True)]
    )
    names = set.intersection(*(set(part.columns) for part in parts))
    return Hits(
        offsets.astype(np.int64),
        **{name: np.concatenate([part.columns[name] for part in parts]) for name in names},
    )


@dataclass
class Collection:
    """Any number of objects (jets, electrons, generator particles) in each of N events.

    Attributes
    ----------
    offsets
        (N+1,) int64; event i owns rows offsets[i]:offsets[i+1].
    columns
        Name to (M,) array.
    """

    offsets: NDArray[np.int64]
    columns: dict[str, NDArray]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def select(self, keep: NDArray[np.bool_]) -> Collection:
        """The objects of the events where `keep` (N,) is true."""
        return Collection(*_selected(self.offsets, self.columns, keep))


def _selected(
    offsets: NDArray[np.int64], columns: dict[str, NDArray], keep: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], dict[str, NDArray]]:
    """Offsets and columns of compressed rows for the events where `keep` is true."""
    counts = np.diff(offsets)
    rows = np.repeat(keep, counts)
    kept = np.concatenate([[0], np.cumsum(counts[keep])]).astype(np.int64)
    return kept, {name: column[rows] for name, column in columns.items()}


@dataclass
class EventBatch:
    """N events as a reader delivers them.

    Attributes
    ----------
    run, lumi, event
        (N,) identifiers.
    hits
        Channel name to `Hits`; a channel the source lacks is absent here and named in `missing`.
    photons
        Jagged record array with energy, pt, eta, phi and whatever of r9, sigma_ieta_ieta,
        h_over_e, pixel_seed, vertex_z the source has; None where it has no photons.
    vertex_z
        (N,) z in cm of the vertex the event's photons point to; None when unknown.
    m0
        (N,) diphoton mass written in the source, 0 for none; None when it has none.
    label
        (N,) class of each event as the source has it, -1 for unknown; None when it has none.
    truth
        Simulated events only: see `docs/event_store.md`.
    collections
        Further objects by their place in the store: `objects/Jet`, `objects/MET`, ... and
        `truth/particles` for generator particles.
    is_numbered
        Rows with one run and event number are of one event, also in simulation, and must not be
        split between samples: imported jets, one row each.
    """

    run: NDArray[np.integer]
    lumi: NDArray[np.integer]
    event: NDArray[np.integer]
    hits: dict[str, Hits]
    photons: ak.Array | None = None
    vertex_z: NDArray[np.floating] | None = None
    n_vertices: NDArray[np.integer] | None = None
    m0: NDArray[np.floating] | None = None
    label: NDArray[np.integer] | None = None
    truth: dict[str, ak.Array] | None = None
    missing: tuple[str, ...] = field(default=())
    collections: dict[str, Collection] = field(default_factory=dict)
    is_numbered: bool = False

    def __len__(self) -> int:
        return len(self.run)
