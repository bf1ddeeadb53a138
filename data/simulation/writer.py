"""Writer of simulated events: trees fevt/RHTree and fevt/Truth, and their provenance.

The images are dense, as in the original ntuple, because empty cells cost next to nothing once
compressed.  They are filled from sparse hits straight into big-endian arrays, which ROOT's
format wants, so that no dense array is ever converted.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from data.batch import Hits
from data.detector.geometry import N_EB, N_ECAL, N_HBHE
from data.kinematics import diphoton_mass
from data.simulation.detector import SimulatedEvents, select_events
from data.simulation.generator import REHADRONISATIONS
from data.sources.base import rounded_to_bits

EVENTS_PER_BASKET = 25  # dense images of 25 events stay in cache: writes and reads twice as fast
ZSTD_FAST = uproot.ZSTD(1)
GAMMA_JET, DIJET = 2, 4  # labels
CRYSTAL_BITS = 10  # of the mantissa: true energies and shares of crystals to a part in 2000
PHOTON_PT = 15.0  # GeV, of the two photons that m0 is made of

_PHOTON_BRANCHES = {
    "pho_energy": "energy",
    "pho_pt": "pt",
    "pho_eta": "eta",
    "pho_phi": "phi",
    "pho_u": "u",
    "pho_v": "v",
    "pho_r9": "r9",
    "pho_sigmaIetaIeta": "sigma_ieta_ieta",
    "pho_hOverE": "h_over_e",
}
_JET_BRANCHES = {  # as the paper's jet analysers name them
    "Pt": "pt",
    "Eta": "eta",
    "Phi": "phi",
    "M": "mass",
    "Seed_ieta": "seed_row",
    "Seed_iphi": "seed_column",
}
_TRUE_JET_BRANCHES = {
    "IsQuark": "is_quark",
    "PdgIds": "pdg_id",
    "PartonPt": "parton_pt",
    "GenPt": "generated_pt",
}
_TRUE_BRANCHES = ("energy", "pt", "eta", "phi", "u", "v")
_HBHE_CELLS_EB = slice(11 * 72, 45 * 72)


def leading_pair(events: SimulatedEvents) -> tuple[NDArray[np.bool_], dict[str, NDArray]]:
    """Events with two standard photons above 15 GeV, and the two leading photons of each.

    Returns
    -------
    has_pair : (N,)
    columns : energy, pt, eta, phi of those events, (n, 2) each
    """
    p = events.photons
    hard = p.pt > PHOTON_PT
    has_pair = np.bincount(p.event[hard], minlength=len(events)) >= 2
    first = np.searchsorted(p.event, np.flatnonzero(has_pair))
    rows = first[:, None] + np.arange(2)
    return has_pair, {name: getattr(p, name)[rows] for name in ("energy", "pt", "eta", "phi")}


def pair_columns(events: SimulatedEvents) -> dict[str, NDArray]:
    """m0, diPhoE, diPhoPt and FC_inputs of the leading pair; zeros where there is none."""
    has_pair, pair = leading_pair(events)
    pt, eta, phi = pair["pt"], pair["eta"], pair["phi"]
    cos_dphi = np.cos(phi[:, 0] - phi[:, 1])
    mass = diphoton_mass(pt, eta, phi)
    total_pt = np.sqrt((pt**2).sum(axis=1) + 2 * pt[:, 0] * pt[:, 1] * cos_dphi)
    inputs = np.column_stack([pt[:, 0] / mass, eta[:, 0], pt[:, 1] / mass, eta[:, 1], cos_dphi])
    columns = {"m0": mass, "diPhoE": pair["energy"].sum(axis=1), "diPhoPt": total_pt}
    out = {}
    for name, values in {**columns, "FC_inputs": inputs}.items():
        full = np.zeros((len(events), *values.shape[1:]), np.float32)
        full[has_pair] = values
        out[name] = full
    return out


def _dense(hits: Hits, n_cells: int, values: NDArray[np.float32]) -> NDArray:
    image = np.zeros((len(hits), n_cells), ">f4")
    image[hits.event, hits.cell] = values
    return image


def _images(hits: dict[str, Hits]) -> dict[str, NDArray]:
    ee = _dense(hits["EE"], 20000, hits["EE"].energy)
    hbhe = _dense(hits["HBHE"], N_HBHE, hits["HBHE"].energy)
    eb = hits["EB"]
    time = np.zeros(len(eb.energy), np.float32) if eb.time is None else eb.time
    barrel_towers = hbhe[:, _HBHE_CELLS_EB]
    return {
        "EB_energy": _dense(eb, N_EB, eb.energy),
        "EB_time": _dense(eb, N_EB, time),
        "EEm_energy": ee[:, :10000],
        "EEp_energy": ee[:, 10000:],
        "HBHE_energy": hbhe,
        "HBHE_energy_EB": barrel_towers,
        "ECAL_tracksPt": _dense(hits["TRK"], N_ECAL, hits["TRK"].energy),
    }


def _jagged(event: NDArray[np.int64], n_events: int, columns: dict[str, NDArray]) -> ak.Array:
    counts = np.bincount(event, minlength=n_events)
    return ak.unflatten(ak.Array(columns), counts)


def _photons(events: SimulatedEvents) -> ak.Array:
    p = events.photons
    columns = {b[4:]: getattr(p, f).astype(np.float32) for b, f in _PHOTON_BRANCHES.items()}
    columns["seed"] = p.seed.astype(np.int32)
    columns["hasPixelSeed"] = events.pixel_seed
    return _jagged(p.event, len(events), columns)


def _jets(events: SimulatedEvents, branches: dict[str, str]) -> ak.Array:
    columns = {b: getattr(events.jets, name) for b, name in branches.items()}
    narrow = {b: c.astype(np.int16 if c.dtype.kind == "i" else np.float32)
              for b, c in columns.items()}  # fmt: skip
    return _jagged(events.jets.event, len(events), narrow)


def _truth(events: SimulatedEvents, label: int) -> dict[str, Any]:
    t, n = events.truth, len(events)
    columns = {name: getattr(t, name).astype(np.float32) for name in _TRUE_BRANCHES}
    columns["converted"] = t.converted
    return {
        "process": np.full(n, label, np.int32),
        "group": events.group.astype(np.int64),
        "n_prompt": events.n_prompt.astype(np.int32),
        "weight": _weights(events.n_prompt, label),
        "vertex_z": events.true_z.astype(np.float32),
        "n_pileup": events.n_pileup.astype(np.int32),
        "gen_mass": true_mass(events),
        "gen": _jagged(t.event, n, columns),
        "crystal": _crystals(events),
        **({"jet": _jets(events, _TRUE_JET_BRANCHES)} if label == DIJET else {}),
    }


def _crystals(events: SimulatedEvents) -> ak.Array:
    c = events.crystals
    columns = {
        "cell": c.cell.astype(np.uint32),
        "energy": rounded_to_bits(c.energy, CRYSTAL_BITS),
        "share": rounded_to_bits(c.share, CRYSTAL_BITS),
    }
    return _jagged(c.event, len(events), columns)


def _weights(n_prompt: NDArray[np.int32], label: int) -> NDArray[np.float32]:
    """Photon + jet events with two prompt photons were hadronised once, the others ten times."""
    once = (label == GAMMA_JET) & (n_prompt >= 2)
    return np.where(once, REHADRONISATIONS, 1).astype(np.float32)


def true_mass(events: SimulatedEvents) -> NDArray[np.float32]:
    """(N,) mass of the two hardest true photons or electrons, 0 where there are fewer."""
    t, n = events.truth, len(events)
    order = np.lexsort((-t.pt, t.event))
    count = np.bincount(t.event, minlength=n)
    rows = order[(np.cumsum(count) - count)[count >= 2][:, None] + np.arange(2)]
    mass = np.zeros(n, np.float32)
    mass[count >= 2] = diphoton_mass(t.pt[rows], t.eta[rows], t.phi[rows])
    return mass


def _counter(branch: str) -> str:
    return {"pho": "nPho", "gen": "nGen", "crystal": "nCrystal", "jet": "nJet"}[branch]


def _field(collection: str, field: str) -> str:
    """Name of a branch: jets have the analysers' (jetPt), others pho_pt, gen_pt."""
    return collection + field if collection == "jet" else f"{collection}_{field}"


def _types(columns: dict[str, Any]) -> dict[str, Any]:
    return {
        name: c.type.content
        if isinstance(c, ak.Array)
        else np.dtype((c.dtype.newbyteorder("="), c.shape[1:]))
        for name, c in columns.items()
    }


class RHTreeWriter:
    """Context manager that writes simulated events into a ROOT file.

    Parameters
    ----------
    path : file to write
    label : class of the events, see :data:`data.simulation.hard_events.LABELS`
    codec : compression, as uproot names it
    """

    def __init__(self, path: Path, label: int, codec: Any = ZSTD_FAST) -> None:
        self._file = uproot.recreate(path, compression=codec)
        self._label = label
        self._trees: dict[str, Any] = {}
        self.written = 0

    def __enter__(self) -> RHTreeWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, events: SimulatedEvents, lumi: int, number: NDArray[np.int64]) -> None:
        """Append events with their luminosity section and their numbers (N,)."""
        entry = np.arange(len(events))
        # of no events at least the trees are made: a file may hold none
        for first in range(0, max(len(events), 1), EVENTS_PER_BASKET):
            rows = (entry >= first) & (entry < first + EVENTS_PER_BASKET)
            self._write_basket(select_events([(events, rows)]), lumi, number[rows])

    def _write_basket(self, events: SimulatedEvents, lumi: int, number: NDArray[np.int64]) -> None:
        n = len(events)
        self._extend(
            "fevt/RHTree",
            n,
            {
                "eventId": number.astype(np.uint64),
                "runId": np.full(n, 1 + self._label, np.uint32),
                "lumiId": np.full(n, lumi, np.uint32),
                **pair_columns(events),
                **_images(events.hits),
                "pho": _photons(events),
                **({"jet": _jets(events, _JET_BRANCHES)} if self._label == DIJET else {}),
                "vertex_z": events.vertex_z.astype(np.float32),
                "nVtx": events.n_vertices.astype(np.int32),
            },
        )
        self._extend("fevt/Truth", n, _truth(events, self._label))
        self.written += n

    def write_provenance(self, provenance: dict[str, Any]) -> None:
        """Write the JSON string ``fevt/provenance``."""
        self._file["fevt/provenance"] = json.dumps(provenance, sort_keys=True)

    def _extend(self, name: str, n_events: int, columns: dict[str, Any]) -> None:
        if name not in self._trees:
            self._trees[name] = self._file.mktree(
                name, _types(columns), counter_name=_counter, field_name=_field
            )
        if n_events:
            self._trees[name].extend(columns)


def read_provenance(path: Path) -> dict[str, Any] | None:
    """The provenance of a file written here, or None if it has none or cannot be read."""
    try:
        with uproot.open(path) as file:
            return json.loads(str(file["fevt/provenance"]))
    except (OSError, KeyError, ValueError):
        return None
