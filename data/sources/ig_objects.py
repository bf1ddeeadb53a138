"""Jets, missing energy and leptons of event displays, where wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from data.batch import Collection
from data.sources.base import ReadOptions


class Display(Protocol):
    """One event of a display."""

    def has(self, name: str) -> bool:
        """Whether it has a collection of that name, in any version."""

    def numbers(self, name: str, field: str) -> NDArray[np.float64]:
        """One field of a collection; empty where the event lacks the collection."""


class Objects(NamedTuple):
    """Collections, best first (some files mix them), and fields by column."""

    names: tuple[str, ...]
    fields: dict[str, str]


_DIRECTION = {"eta": "eta", "phi": "phi"}
_LEPTON = {"pt": "pt", **_DIRECTION, "charge": "charge"}
OBJECTS = {
    # The format has the jets' transverse energy, not their pt.
    "objects/Jet": Objects(("PFJets", "Jets"), {"et": "et", **_DIRECTION}),
    "objects/MET": Objects(("PFMETs", "METs"), {"pt": "pt", "phi": "phi"}),
    "objects/Electron": Objects(("GsfElectrons",), _LEPTON),
    "objects/Muon": Objects(("GlobalMuons",), _LEPTON),
}


class IgObjects:
    """The wanted objects; `types` are their columns by place in the store."""

    def __init__(self, options: ReadOptions) -> None:
        self.types = {
            place: {name: "i1" if name == "charge" else "f4" for name in objects.fields}
            for place, objects in OBJECTS.items()
            if options.wants(place)
        }

    def read(self, events: Sequence[Display]) -> dict[str, Collection]:
        """The objects of some events; none where an event has no collection of them."""
        return {place: self._collection(place, events) for place in self.types}

    def _collection(self, place: str, events: Sequence[Display]) -> Collection:
        names, fields = OBJECTS[place]
        chosen = [next((name for name in names if e.has(name)), names[0]) for e in events]
        parts = {
            column: [e.numbers(name, field) for e, name in zip(events, chosen, strict=True)]
            for column, field in fields.items()
        }
        counts = [len(values) for values in next(iter(parts.values()))]
        columns = {
            column: np.concatenate([*values, np.zeros(0)]).astype(self.types[place][column])
            for column, values in parts.items()
        }
        return Collection(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), columns)
