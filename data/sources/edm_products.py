"""Finding products and their leaves in an EDM `Events` tree.

A product is a top branch `Type_label_instance_process.`; the process name is matched by wildcard
and leaves by the end of their names, because real files nest them and others write them flat.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from common.errors import InputError

# Of several processes that made the same product, the later reconstruction is wanted.
_PROCESS_ORDER = ("PAT", "REDO", "RERECO", "RECO", "SIM", "HLT")
_NAME = re.compile(r"^(?P<type>[^_.]+)_(?P<label>[^_.]*)_(?P<instance>[^_.]*)_(?P<process>[^_.]*)")


class Label(NamedTuple):
    """Type, module label and instance of an EDM product."""

    type: str
    label: str
    instance: str

    def __str__(self) -> str:
        return "_".join(self)


EB = (
    Label("EcalRecHitsSorted", "reducedEcalRecHitsEB", ""),
    Label("EcalRecHitsSorted", "ecalRecHit", "EcalRecHitsEB"),
    Label("EcalRecHitsSorted", "reducedEgamma", "reducedEBRecHits"),
)
EE = (
    Label("EcalRecHitsSorted", "reducedEcalRecHitsEE", ""),
    Label("EcalRecHitsSorted", "ecalRecHit", "EcalRecHitsEE"),
    Label("EcalRecHitsSorted", "reducedEgamma", "reducedEERecHits"),
)
HBHE = (
    Label("HBHERecHitsSorted", "reducedHcalRecHits", "hbhereco"),
    Label("HBHERecHitsSorted", "hbhereco", ""),
)
TRACKS = (Label("recoTracks", "generalTracks", ""),)
PHOTONS = (
    Label("recoPhotons", "photons", ""),
    Label("recoPhotons", "gedPhotons", ""),
    Label("patPhotons", "slimmedPhotons", ""),
)
VERTICES = (
    Label("recoVertexs", "offlinePrimaryVertices", ""),
    Label("recoVertexs", "offlineSlimmedPrimaryVertices", ""),
)
GENERATED = ("recoGenParticles", "GenEventInfoProduct", "edmHepMCProduct", "LHEEventProduct")


class Product:
    """One product: its leaves by full name."""

    def __init__(self, path: str, label: Label, process: str, leaves: dict[str, Any]) -> None:
        self.path, self.label, self.process, self.leaves = path, label, process, leaves

    def leaf(self, *endings: str) -> Any:
        """The leaf whose name has one of the endings (the first ending wins).

        Raises
        ------
        InputError
            If there is none: the file is unsplit, or of a layout not known.
        """
        found = self.optional(*endings)
        if found is None:
            raise InputError(
                self.path,
                f"product {self.label}: no leaf ending in {' or '.join(endings)}; the file is "
                "unsplit (split level 0: one object per branch) or of an unknown layout",
                "write it again with splitLevel 99 in CMSSW's PoolOutputModule",
            )
        return found

    def optional(self, *endings: str) -> Any | None:
        """As `leaf`, but None where there is none."""
        for ending in endings:
            matching = [name for name in self.leaves if name.endswith(ending)]
            if matching:
                return self.leaves[min(matching, key=len)]
        return None


class Products:
    """The products of an `Events` tree."""

    def __init__(self, path: str, tree: Any) -> None:
        self.path = path
        self._branches: dict[Label, dict[str, list[Any]]] = {}
        for branch in tree.branches:
            if match := _NAME.match(branch.name):
                label = Label(match["type"], match["label"], match["instance"])
                self._branches.setdefault(label, {}).setdefault(match["process"], []).append(branch)

    def __len__(self) -> int:
        return len(self._branches)

    @property
    def types(self) -> set[str]:
        """Type names of all products."""
        return {label.type for label in self._branches}

    def find(self, labels: tuple[Label, ...]) -> Product | None:
        """The first of the labelled products that the file has; None if it has none."""
        for label in labels:
            if processes := self._branches.get(label):
                process = min(processes, key=_preference)
                return Product(self.path, label, process, _leaves(processes[process]))
        return None


def _preference(process: str) -> tuple[int, str]:
    known = process in _PROCESS_ORDER
    return (_PROCESS_ORDER.index(process) if known else len(_PROCESS_ORDER), process)


def _leaves(branches: list[Any]) -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for top in branches:
        leaves[top.name.rstrip(".")] = top
        for branch in top.itervalues(recursive=True):
            leaves[branch.name] = branch
    return leaves
