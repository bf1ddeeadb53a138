"""Jets, missing energy, leptons and generator particles of EDM files, where wanted.

They are read by the same leaf names as photons: `.obj.pt_` until 2012, the polar vector of
`m_state` from about CMSSW 7 on. Momenta are those that the file stores: `reco` jets and MET are
uncorrected, `pat` ones carry the corrections of the MiniAOD production.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.batch import Collection
from data.sources.base import ReadOptions
from data.sources.edm_products import Label, Product, Products

# Reads leaves of a product, start:stop: flat columns, and how many rows every event has.
ReadColumns = Callable[
    [Product, dict[str, Any], int, int], tuple[dict[str, NDArray], NDArray[np.int64]]
]
PARTICLES = "truth/particles"
MIN_STABLE_PT = 10.0  # GeV
_P4 = ".m_state.p4Polar_.fCoordinates."
_P4_LEAVES = {
    "pt": (".obj.pt_", f"{_P4}fPt"),
    "eta": (".obj.eta_", f"{_P4}fEta"),
    "phi": (".obj.phi_", f"{_P4}fPhi"),
    "mass": (".obj.mass_", f"{_P4}fM"),
}
_MET = {name: _P4_LEAVES[name] for name in ("pt", "phi")} | {"sum_et": (".obj.sumet",)}
_CHARGE = {"charge": (".obj.qx3_", ".m_state.qx3_")}  # three times the charge
_GENERATOR = {
    "pdg_id": (".obj.pdgId_", ".m_state.pdgId_"),
    "status": (".obj.status_", ".m_state.status_"),
}


class Objects(NamedTuple):
    """One kind of object: products that hold it, best first, and its leaves by column.

    A product without one of the `needed` columns is not used.
    """

    labels: tuple[Label, ...]
    leaves: Mapping[str, tuple[str, ...]]
    needed: tuple[str, ...] = ("pt", "eta", "phi")


OBJECTS: dict[str, Objects] = {
    "objects/Jet": Objects(
        (
            Label("recoPFJets", "ak5PFJets", ""),
            Label("recoPFJets", "ak4PFJetsCHS", ""),
            Label("recoPFJets", "ak4PFJets", ""),
            Label("patJets", "slimmedJets", ""),
            Label("recoCaloJets", "ak5CaloJets", ""),
        ),
        _P4_LEAVES,
    ),
    "objects/MET": Objects(
        (
            Label("recoPFMETs", "pfMet", ""),
            Label("patMETs", "slimmedMETs", ""),
            Label("recoCaloMETs", "met", ""),
        ),
        _MET,
        ("pt", "phi"),
    ),
    "objects/Electron": Objects(
        (
            Label("recoGsfElectrons", "gsfElectrons", ""),
            Label("recoGsfElectrons", "gedGsfElectrons", ""),
            Label("patElectrons", "slimmedElectrons", ""),
        ),
        _P4_LEAVES | _CHARGE,
    ),
    "objects/Muon": Objects(
        (Label("recoMuons", "muons", ""), Label("patMuons", "slimmedMuons", "")),
        _P4_LEAVES | _CHARGE,
    ),
    PARTICLES: Objects(
        (
            Label("recoGenParticles", "genParticles", ""),
            Label("recoGenParticles", "prunedGenParticles", ""),
        ),
        _P4_LEAVES | _GENERATOR,
        ("pt", "eta", "phi", "pdg_id", "status"),
    ),
}
TYPES = {"charge": "i1", "pdg_id": "i4", "status": "i4"}  # other columns are f4


class EdmObjects:
    """The wanted objects of one file.

    Attributes
    ----------
    types
        Columns with their types, by place in the store.
    unreadable
        Places whose product is there without the leaves needed (unsplit), and the product's name.
    """

    def __init__(self, products: Products, options: ReadOptions) -> None:
        self._found: dict[str, tuple[Product, dict[str, Any]]] = {}
        self.types: dict[str, dict[str, str]] = {}
        self.unreadable: dict[str, str] = {}
        for place, objects in OBJECTS.items():
            product = products.find(objects.labels) if options.wants(place) else None
            if product is None:
                continue
            leaves = {name: product.optional(*ends) for name, ends in objects.leaves.items()}
            leaves = {name: leaf for name, leaf in leaves.items() if leaf is not None}
            if any(name not in leaves for name in objects.needed):
                self.unreadable[place] = str(product.label)
                continue
            self._found[place] = (product, leaves)
            self.types[place] = {name: TYPES.get(name, "f4") for name in leaves}

    def read(
        self, read_columns: ReadColumns, start: int, stop: int, warnings: Counter[str]
    ) -> dict[str, Collection]:
        """The objects of the events start:stop, by place in the store."""
        for place, label in self.unreadable.items():
            problem = f"{place}: events without them, {label} is not split into readable leaves"
            warnings[problem] += stop - start
        result = {}
        for place, (product, leaves) in self._found.items():
            columns, counts = read_columns(product, leaves, start, stop)
            if "charge" in columns:
                columns["charge"] = np.rint(columns["charge"] / 3)
            offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            typed = {name: columns[name].astype(dtype) for name, dtype in self.types[place].items()}
            rows = Collection(offsets, typed)
            result[place] = hard_process(rows) if place == PARTICLES else rows
        return result


def hard_process(particles: Collection) -> Collection:
    """The particles worth keeping of an event's full record of a thousand or more.

    Those of the hard process (status 3 of Pythia 6, 21 to 29 of Pythia 8), and stable photons,
    charged leptons and neutrinos with pt > 10 GeV.
    """
    status = particles.columns["status"]
    kind = np.abs(particles.columns["pdg_id"])
    hard = (status == 3) | ((status >= 21) & (status <= 29))
    light = (kind == 22) | ((kind >= 11) & (kind <= 16))
    keep = hard | ((status == 1) & light & (particles.columns["pt"] > MIN_STABLE_PT))
    counts = np.concatenate([[0], np.cumsum(keep)])[particles.offsets]
    return Collection(
        counts.astype(np.int64), {name: column[keep] for name, column in particles.columns.items()}
    )
