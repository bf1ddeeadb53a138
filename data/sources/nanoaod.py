"""NanoAOD: reconstructed objects and generator particles, without hits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import CHANNELS, Collection, EventBatch
from data.sources import plausible
from data.sources.base import DEFAULT, ReadOptions, Source, ranges
from data.sources.jagged import collection, flat_columns
from data.sources.plausible import Place
from data.sources.root_file import n_entries, read

IDENTIFIERS = {"run": "run", "lumi": "luminosityBlock", "event": "event"}
_EVENTS_AT_A_TIME = 10_000
_PHOTON = {
    "pt": "pt", "eta": "eta", "phi": "phi", "r9": "r9", "sigma_ieta_ieta": "sieie",
    "h_over_e": "hoe", "pixel_seed": "pixelSeed",
}  # fmt: skip
_P4 = {"pt": ("pt", "f4"), "eta": ("eta", "f4"), "phi": ("phi", "f4"), "mass": ("mass", "f4")}
_CHARGE = {"charge": ("charge", "i1")}
_IMPACT = {"dxy": ("dxy", "f4"), "dz": ("dz", "f4")}
_SHAPE = {"r9": ("r9", "f4"), "sigma_ieta_ieta": ("sieie", "f4"), "h_over_e": ("hoe", "f4")}


class Table(NamedTuple):
    """One collection of NanoAOD.

    Attributes
    ----------
    names
        What it is called in the file, best first.
    columns
        Column in the store to the branch's last part and the column's type.
    is_single
        One value per event instead of any number.
    """

    names: tuple[str, ...]
    columns: dict[str, tuple[str, str]]
    is_single: bool = False


TABLES: dict[str, Table] = {
    "objects/Photon": Table(
        ("Photon",),
        {name: _P4[name] for name in ("pt", "eta", "phi")}
        | _SHAPE
        | {
            "pixel_seed": ("pixelSeed", "i2"),
            "electron_veto": ("electronVeto", "i2"),
            "cut_based": ("cutBased", "i2"),
            "relative_isolation": ("pfRelIso03_all", "f4"),
        },
    ),
    "objects/Electron": Table(
        ("Electron",),
        _P4 | _CHARGE | _SHAPE | _IMPACT
        | {"cut_based": ("cutBased", "i2"), "relative_isolation": ("pfRelIso03_all", "f4")},
    ),
    "objects/Muon": Table(
        ("Muon",),
        _P4 | _CHARGE | _IMPACT
        | {
            "loose_id": ("looseId", "i2"),
            "medium_id": ("mediumId", "i2"),
            "tight_id": ("tightId", "i2"),
            "relative_isolation": ("pfRelIso04_all", "f4"),
        },
    ),
    "objects/Tau": Table(("Tau",), _P4 | _CHARGE | {"decay_mode": ("decayMode", "i2")}),
    "objects/Jet": Table(
        ("Jet",),
        _P4
        | {
            "area": ("area", "f4"),
            "raw_factor": ("rawFactor", "f4"),
            "jet_id": ("jetId", "i2"),
            "pileup_id": ("puId", "i2"),
            "n_constituents": ("nConstituents", "i2"),
            "btag_csv": ("btagCSVV2", "f4"),
            "btag_deep_csv": ("btagDeepB", "f4"),
            "btag_deep_flavour": ("btagDeepFlavB", "f4"),
            "quark_gluon_likelihood": ("qgl", "f4"),
        },
    ),
    "objects/FatJet": Table(
        ("FatJet",),
        _P4
        | {
            "soft_drop_mass": ("msoftdrop", "f4"),
            "tau1": ("tau1", "f4"), "tau2": ("tau2", "f4"), "tau3": ("tau3", "f4"),
            "btag_deep_csv": ("btagDeepB", "f4"),
        },
    ),
    "objects/MET": Table(
        ("MET", "PFMET", "PuppiMET"),
        {
            "pt": ("pt", "f4"), "phi": ("phi", "f4"), "sum_et": ("sumEt", "f4"),
            "significance": ("significance", "f4"),
        },
        is_single=True,
    ),
    "truth/particles": Table(
        ("GenPart",),
        _P4
        | {
            "pdg_id": ("pdgId", "i4"), "status": ("status", "i4"),
            "mother": ("genPartIdxMother", "i4"), "status_flags": ("statusFlags", "i4"),
        },
    ),
    # Row by row the truth of `objects/Jet`.
    "truth/jets": Table(
        ("Jet",),
        {"parton_flavour": ("partonFlavour", "i4"), "hadron_flavour": ("hadronFlavour", "i4")},
    ),
    "truth/gen_jets": Table(
        ("GenJet",),
        _P4
        | {"parton_flavour": ("partonFlavour", "i4"), "hadron_flavour": ("hadronFlavour", "i4")},
    ),
    "truth/gen_met": Table(("GenMET",), {"pt": ("pt", "f4"), "phi": ("phi", "f4")}, is_single=True),
}  # fmt: skip


class NanoAodSource(Source):
    """A NanoAOD file: objects by event, no hits and no tracks."""

    format = "nanoaod"

    def __init__(self, path: str | Path, tree: Any, options: ReadOptions = DEFAULT) -> None:
        super().__init__(path, options)
        self._tree = tree
        self.n_events = n_entries(self.path, tree)
        self._branches = {branch.name: branch for branch in tree.branches}
        self._tables = {place: self._find(table) for place, table in TABLES.items()}
        self._tables = {place: found for place, found in self._tables.items() if found}
        self.collections = {
            place: {column: TABLES[place].columns[column][1] for column in found}
            for place, found in self._tables.items()
        }
        has_photons = all(f"Photon_{name}" in self._branches for name in ("pt", "eta", "phi"))
        self.missing = (*CHANNELS, *(() if has_photons else ("photons",)))
        self.channels = {}
        is_generated = "genWeight" in self._branches or "truth/particles" in self._tables
        self.origin = "simulation" if is_generated else "collision"

    def batches(self, start: int, stop: int, chunk: int) -> Iterator[EventBatch]:
        # Events are small and baskets hold thousands: few large reads inflate each basket once.
        for first, last in ranges(start, stop, max(chunk, _EVENTS_AT_A_TIME)):
            yield self._batch(first, last)

    def close(self) -> None:
        self._tree.file.close()

    def _find(self, table: Table) -> dict[str, Any]:
        """The branches of a table by column, of the first of its names that the file has."""
        for name in table.names:
            found = {
                column: self._branches[f"{name}_{leaf}"]
                for column, (leaf, _) in table.columns.items()
                if f"{name}_{leaf}" in self._branches
            }
            if found:
                return found
        return {}

    def _batch(self, start: int, stop: int) -> EventBatch:
        ids = {key: self._scalar(name, start, stop) for key, name in IDENTIFIERS.items()}
        place = Place(self.path, "run, luminosityBlock and event", start, self.strict)
        plausible.identifiers(place, ids["run"], ids["lumi"], ids["event"])
        vertex_z = self._optional("PV_z", start, stop)
        n_vertices = self._optional("PV_npvs", start, stop)
        return EventBatch(
            run=ids["run"].astype(np.uint32),
            lumi=ids["lumi"].astype(np.uint32),
            event=ids["event"].astype(np.uint64),
            hits={},
            photons=self._photons(start, stop),
            vertex_z=vertex_z,
            n_vertices=None if n_vertices is None else n_vertices.astype(np.int32),
            missing=self.missing,
            collections={
                place: self._collection(place, start, stop) for place in self._tables
            },
        )  # fmt: skip

    def _photons(self, start: int, stop: int) -> ak.Array | None:
        """The photons; CMS computed their momenta from the event's first vertex."""
        if "photons" in self.missing:
            return None
        leaves = {
            field: self._branches[f"Photon_{leaf}"]
            for field, leaf in _PHOTON.items()
            if f"Photon_{leaf}" in self._branches
        }
        columns, counts = flat_columns(self.path, leaves, start, stop)
        place = Place(self.path, "Photon_*", start, self.strict)
        plausible.columns(place, columns, plausible.PHOTON, counts)
        columns["energy"] = columns["pt"] * np.cosh(columns["eta"])
        return ak.zip({name: ak.unflatten(column, counts) for name, column in columns.items()})

    def _collection(self, place: str, start: int, stop: int) -> Collection:
        types, leaves = self.collections[place], self._tables[place]
        if TABLES[place].is_single:
            counts = np.ones(stop - start, dtype=np.int64)
            columns = {
                name: self._scalar(branch.name, start, stop) for name, branch in leaves.items()
            }
        else:
            columns, counts = flat_columns(self.path, leaves, start, stop)
        return collection(columns, counts, types)

    def _optional(self, name: str, start: int, stop: int) -> NDArray | None:
        return self._scalar(name, start, stop) if name in self._branches else None

    def _scalar(self, name: str, start: int, stop: int) -> NDArray:
        values = read(self.path, self._branches[name], start, stop, library="np")
        if values.ndim != 1 or values.dtype.kind not in "iufb":
            raise InputError(self.path, f"branch {name}: expected one number per event")
        return values
