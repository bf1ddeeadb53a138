"""Jets of the ntuple's jet analysers: vectors per event, or numbered scalars of older ones.

The seed is the tower that a jet's image is centred at, in rows and columns of the 56 x 72 image
counted from 0 (`jetSeed_ieta`, `jetSeed_iphi`; the branches hold these, not ieta and iphi). The
jets' truth stands beside them, or in the tree `fevt/Truth` of simulated files.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.batch import Collection
from data.sources.jagged import collection, flat_columns
from data.sources.rhtree_truth import TREE
from data.sources.root_file import open_tree, read

JETS, TRUE_JETS = "objects/Jet", "truth/jets"
_NAMES = {  # column: branch names of the analysers and their forks, best first
    "pt": ("jetPt", "jet_pt", "jetpT"),
    "eta": ("jetEta", "jet_eta"),
    "phi": ("jetPhi", "jet_phi"),
    "mass": ("jetM", "jetMass", "jetM0", "jet_m"),
    "energy": ("jetE",),
    "seed_row": ("jetSeed_ieta",),
    "seed_column": ("jetSeed_iphi",),
}
_TRUE_NAMES = {
    "label": ("jetIsQuark",),
    "pdg_id": ("jetPdgIds", "jetIds"),
    "parton_pt": ("jetPartonPt",),
    "generated_pt": ("jetGenPt",),
}
_TYPES = {"seed_row": "i2", "seed_column": "i2", "label": "i4", "pdg_id": "i4"}


class RHTreeJets:
    """The jets of one ntuple; `types` is empty if it has none."""

    def __init__(self, path: str, branches: dict[str, Any], file: Any = None) -> None:
        self._path = path
        if file is not None and TREE in file:
            truth = open_tree(path, file, TREE)
            branches = {branch.name: branch for branch in truth.branches} | branches
        self._columns = _vectors(branches) or _numbered(branches)
        names = {JETS: _NAMES, TRUE_JETS: _TRUE_NAMES}
        self.types = {
            place: {c: _TYPES.get(c, "f4") for c in known if c in self._columns}
            for place, known in names.items()
        }
        self.types = {place: types for place, types in self.types.items() if types}

    def read(self, start: int, stop: int) -> dict[str, Collection]:
        """Jets of the entries start:stop, and row by row their truth.

        Raises
        ------
        InputError
            If a branch cannot be read, or is not as long as the others.
        """
        if not self.types:
            return {}
        if any(isinstance(branch, list) for branch in self._columns.values()):
            columns, counts = self._read_numbered(start, stop)
        else:
            columns, counts = flat_columns(self._path, self._columns, start, stop)
        columns = {name: np.nan_to_num(c, nan=-1) if name in _TYPES else c
                   for name, c in columns.items()}  # fmt: skip
        return {place: collection(columns, counts, types) for place, types in self.types.items()}

    def _read_numbered(self, start: int, stop: int) -> tuple[dict[str, NDArray], NDArray[np.int64]]:
        columns = {}
        for name, branches in self._columns.items():
            values = [read(self._path, b, start, stop, library="np") for b in branches]
            columns[name] = np.stack(values, axis=1).reshape(-1)
        n_jets = len(self._columns["pt"])
        return columns, np.full(stop - start, n_jets, dtype=np.int64)


def _vectors(branches: dict[str, Any]) -> dict[str, Any]:
    """Branches by column where the jets' pt is a vector."""
    if not any(name in branches for name in _NAMES["pt"]):
        return {}
    found: dict[str, Any] = {}
    for column, names in (_NAMES | _TRUE_NAMES).items():
        if known := [name for name in names if name in branches]:
            found[column] = branches[known[0]]
    return found


def _numbered(branches: dict[str, Any]) -> dict[str, Any]:
    """Lists of branches by column where they are scalars: jetPt0, jetPt1, ..."""
    n_jets = next(i for i in count() if f"jetPt{i}" not in branches)
    found: dict[str, Any] = {}
    for column, names in (_NAMES | _TRUE_NAMES).items():
        for name in names:
            numbered = [branches.get(f"{name}{i}") for i in range(n_jets)]
            if numbered and all(branch is not None for branch in numbered):
                found.setdefault(column, numbered)
    return found
