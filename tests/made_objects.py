"""Files with jets, leptons, missing energy and generator particles, made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

N_EVENTS = 5
COUNTS = np.array([2, 0, 3, 1, 1])  # of every collection


def jagged(dtype: str, low: float, high: float, seed: int) -> ak.Array:
    """Random numbers, as many in every event as `COUNTS`."""
    values = np.random.default_rng(seed).uniform(low, high, COUNTS.sum()).astype(dtype)
    return ak.unflatten(values, COUNTS)


def write_nanoaod(
    path: Path, is_simulation: bool = True, overwrite: dict[str, Any] | None = None
) -> Path:
    """Write a tree `Events` with the branches of NanoAOD that are read, and some that are not."""
    columns: dict[str, Any] = {
        "run": np.full(N_EVENTS, 1 if is_simulation else 260627, np.uint32),
        "luminosityBlock": np.full(N_EVENTS, 7, np.uint32),
        "event": np.arange(N_EVENTS, dtype=np.uint64) + 100,
        "PV_z": np.linspace(-5, 5, N_EVENTS).astype(np.float32),
        "PV_npvs": np.arange(N_EVENTS, dtype=np.int32),
        "MET_pt": np.linspace(10, 50, N_EVENTS).astype(np.float32),
        "MET_phi": np.zeros(N_EVENTS, np.float32),
        "HLT_Photon30": np.ones(N_EVENTS, bool),
    }
    names = ["Photon", "Muon", "Jet", *(["GenPart"] if is_simulation else [])]
    for seed, name in enumerate(names):
        columns |= {
            f"{name}_pt": jagged("f4", 5, 90, 10 * seed),
            f"{name}_eta": jagged("f4", -2, 2, 10 * seed + 1),
            f"{name}_phi": jagged("f4", -3, 3, 10 * seed + 2),
            f"{name}_mass": jagged("f4", 0, 9, 10 * seed + 3),
        }
    columns |= {
        "Photon_r9": jagged("f4", 0.5, 1, 51),
        "Photon_pixelSeed": jagged("i4", 0, 2, 52) > 0,
        "Muon_charge": jagged("i4", 0, 2, 53) * 2 - 1,
        "Jet_nConstituents": jagged("u1", 1, 60, 54),
    }
    if is_simulation:
        columns |= {
            "genWeight": np.ones(N_EVENTS, np.float32),
            "Jet_partonFlavour": jagged("i4", -5, 6, 61),
            "GenPart_pdgId": jagged("i4", -20, 20, 62),
            "GenPart_status": jagged("i4", 1, 62, 63),
            "GenPart_genPartIdxMother": jagged("i4", -1, 1, 64),
        }
    return _write(path, columns | (overwrite or {}))


def edm_objects(prefix: str, polar: bool, seed: int = 0, **more: ak.Array) -> dict[str, ak.Array]:
    """Leaves of an EDM product: `pt_` ... of 2012, or the polar vector of later releases."""
    head = "m_state.p4Polar_.fCoordinates." if polar else ""
    names = ("fPt", "fEta", "fPhi", "fM") if polar else ("pt_", "eta_", "phi_", "mass_")
    ranges = ((5, 90), (-2, 2), (-3, 3), (0, 9))
    columns = {
        f"{prefix}obj.{head}{name}": jagged("f4", *limits, seed + i)
        for i, (name, limits) in enumerate(zip(names, ranges, strict=True))
    }
    return columns | {f"{prefix}obj.{name}": column for name, column in more.items()}


def _write(path: Path, columns: dict[str, Any]) -> Path:
    types = {k: c.type if isinstance(c, ak.Array) else c.dtype for k, c in columns.items()}
    with uproot.recreate(path) as file:
        file.mktree("Events", types).extend(columns)
    return path
