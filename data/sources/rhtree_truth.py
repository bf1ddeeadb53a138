"""The tree `fevt/Truth` of simulated ntuples: true photons and their part of every crystal."""

from __future__ import annotations

from typing import Any

import awkward as ak
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import Collection
from data.detector.geometry import N_EB
from data.sources import plausible
from data.sources.jagged import collection, flat_columns
from data.sources.plausible import Limit, Place
from data.sources.root_file import n_entries, open_tree, read

TREE = "fevt/Truth"
CRYSTALS = "truth/crystals"
_CRYSTAL_TYPES = {"cell": "u4", "energy": "f4", "share": "f4"}
_CRYSTAL_LIMITS = {
    "cell": Limit(0, N_EB - 1), "energy": Limit(0.0, 30_000.0), "share": Limit(0.0, 1.0),
}  # fmt: skip
_PER_EVENT = ("process", "group", "n_prompt", "vertex_z", "n_pileup", "gen_mass")
_PHOTONS = ("energy", "pt", "eta", "phi", "u", "v", "converted")


class RHTreeTruth:
    """The truth of one file.

    Attributes
    ----------
    types
        Columns of its collections by place; files of other simulations need not have crystals.
    """

    def __init__(self, path: str, file: Any, n_events: int, strict: bool) -> None:
        self._path, self._strict = path, strict
        self._tree = open_tree(path, file, TREE)
        if (found := n_entries(path, self._tree)) != n_events:
            raise InputError(
                path,
                f"{TREE} has {found} entries, the events' tree has {n_events}",
                "simulate the file again",
            )
        wanted = (*_PER_EVENT, *(f"gen_{name}" for name in _PHOTONS))
        if absent := [name for name in wanted if name not in self._tree]:
            raise InputError(path, f"{TREE} has no branch {', '.join(absent)}")
        has_crystals = all(f"crystal_{name}" in self._tree for name in _CRYSTAL_TYPES)
        self.types = {CRYSTALS: _CRYSTAL_TYPES} if has_crystals else {}

    def read(self, start: int, stop: int) -> dict[str, Any]:
        """Columns (N,) of the entries start:stop, and `photons`, jagged."""
        truth: dict[str, Any] = {name: self._scalar(name, start, stop) for name in _PER_EVENT}
        # Files of other simulations need not have weights.
        if "weight" in self._tree:
            truth["weight"] = self._scalar("weight", start, stop)
        columns = {n: read(self._path, self._tree[f"gen_{n}"], start, stop) for n in _PHOTONS}
        try:
            truth["photons"] = ak.zip(columns)
        except ValueError as error:
            raise InputError(
                self._path,
                f"branches gen_*, entries from {start}: unequal lengths ({error})",
            ) from error
        return truth

    def read_collections(self, start: int, stop: int) -> dict[str, Collection]:
        """Prompt photons' crystals of the entries start:stop.

        Raises
        ------
        InputError
            If they cannot be, or cannot be read.
        """
        if not self.types:
            return {}
        branches = {name: self._tree[f"crystal_{name}"] for name in _CRYSTAL_TYPES}
        columns, counts = flat_columns(self._path, branches, start, stop)
        place = Place(self._path, "branches crystal_*", start, self._strict)
        plausible.counts(place, "EB", counts)
        plausible.columns(place, columns, _CRYSTAL_LIMITS, counts)
        return {CRYSTALS: collection(columns, counts, _CRYSTAL_TYPES)}

    def _scalar(self, name: str, start: int, stop: int) -> NDArray[Any]:
        values: NDArray[Any] = read(self._path, self._tree[name], start, stop, library="np")
        if values.ndim != 1 or values.dtype.kind not in "iufb":
            raise InputError(self._path, f"branch {name}: expected one number per event")
        return values
