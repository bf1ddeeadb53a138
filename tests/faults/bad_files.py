"""Files that are whole and wrong: other content, missing parts, values that cannot be."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import uproot

from data.detector.detid import eb_detid
from tests.made_files import event_auxiliary, ig_event, make_events, write_aod, write_ig
from tests.made_files import write_rhtree as write

EB = "EcalRecHitsSorted_reducedEcalRecHitsEB__RECO.obj.obj."
TRACKS = "recoTracks_generalTracks__RECO.obj."
PHOTONS = "recoPhotons_photons__RECO.obj."
IDS = eb_detid(np.array([40_000, 40_001, 40_002])).tolist()


def bad_files(folder: Path) -> dict[str, Path]:
    """Name of each fault, and a file that has it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = _unreadable(folder) | _wrong_layout(folder)
    for number, (name, columns) in enumerate(_impossible_edm().items()):
        path = folder / f"edm{number}.root"
        files[name] = write_aod(path, make_events(2, seed=50 + number), overwrite=columns)
    for number, (name, columns) in enumerate(_impossible_ntuple().items()):
        path = folder / f"ntuple{number}.root"
        files[name] = write(path, make_events(2, seed=90 + number), overwrite=columns)
    return files | _event_displays(folder)


def empty_tree(path: Path) -> Path:
    """An AOD file without events: nothing is wrong with it."""
    with uproot.open(write_aod(path, make_events(1, seed=7))) as file:
        types = {b.name: b.array().type.content for b in file["Events"].branches
                 if b.name[0] != "n"}  # fmt: skip
    with uproot.recreate(path) as file:
        file.mktree("Events", types, counter_name=lambda name: f"n{name}")
    return path


def events_twice(path: Path) -> Path:
    """A file in which two of six events are two others' collisions."""
    events = make_events(6, seed=8)
    events.ids[4:] = events.ids[:2]
    return write_aod(path, events)


def _unreadable(folder: Path) -> dict[str, Path]:
    contents = {
        "an empty file (0 bytes)": b"",
        "a text file": b"run,lumi,event\n1,2,3\n",
        "a ROOT header and nothing else": b"root" + bytes(200),
        "a zip header and nothing else": b"PK\x03\x04" + bytes(200),
    }
    files = {name: folder / f"content{number}" for number, name in enumerate(contents)}
    for name, path in files.items():
        path.write_bytes(contents[name])
    whole = write_aod(folder / "whole.root", make_events(3, seed=40)).read_bytes()
    files["half of an AOD file"] = folder / "half.root"
    files["half of an AOD file"].write_bytes(whole[: len(whole) // 2])
    files["an HDF5 file"] = folder / "other.h5"
    with h5py.File(files["an HDF5 file"], "w") as file:
        file["x"] = 1
    files["a file that is not there"] = folder / "absent.root"
    return files


def _wrong_layout(folder: Path) -> dict[str, Path]:
    auxiliary = ak.values_astype(ak.Array([list(event_auxiliary(1, 2, 3))]), np.uint8)
    trees: dict[str, tuple[str, dict[str, Any]]] = {
        "another tree": ("Delphes", {"x": np.ones(3)}),
        "a tree Events that is no CMS tree": ("Events", {"x": np.ones(3)}),
        "unsplit EDM (one object per branch)": (
            "Events", {"EventAuxiliary": auxiliary, EB.split(".")[0]: np.ones(1, np.float32)}
        ),
        "RHTree without EB_energy": ("fevt/RHTree", {
            n: np.ones(2, np.uint32) for n in ("eventId", "runId", "lumiId")
        }),
    }  # fmt: skip
    files = {}
    for number, (name, (tree, columns)) in enumerate(trees.items()):
        files[name] = folder / f"tree{number}.root"
        with uproot.recreate(files[name]) as file:
            types = {n: c.type if isinstance(c, ak.Array) else c.dtype for n, c in columns.items()}
            file.mktree(tree, types).extend(columns)
    events = make_events(2, seed=41)
    skip = ("EB", "EE")
    files["AOD without ECAL rechits"] = write_aod(folder / "noecal.root", events, skip=skip)
    shorter = ak.Array([e[:-1] for e in events.energies["EB"]])
    files["columns of unequal length"] = write_aod(
        folder / "unequal.root", events, overwrite={f"{EB}energy_": shorter}
    )
    size = {"EB_energy": np.ones((2, 61199), np.float32)}
    files["an image of the wrong size"] = write(
        folder / "size.root", make_events(2, seed=42), overwrite=size
    )
    return files


def _impossible_edm() -> dict[str, dict[str, Any]]:
    def barrel(ids: list[int], energies: list[float], **more: list[float]) -> dict[str, Any]:
        columns = {"id_.id_": ids, "energy_": energies} | {f"{k}_": v for k, v in more.items()}
        return {EB + name: ak.Array([values, values]) for name, values in columns.items()}

    whole, broken = list(event_auxiliary(1, 2, 3)), list(event_auxiliary(1, 2, 3)[:20])
    infinite = {f"{TRACKS}momentum_.fCoordinates.fX": ak.Array([[np.inf] * 8] * 2)}
    return {
        "a DetId that names no crystal": barrel([*IDS, 0x3201FFFF], [1.0] * 4),
        "DetIds out of order": barrel(IDS[::-1], [1.0] * 3),
        "an energy that is not a number": barrel(IDS, [1.0, np.nan, 1.0]),
        "an infinite energy": barrel(IDS, [1.0, np.inf, 1.0]),
        "an energy of 1e9 GeV": barrel(IDS, [1.0, 1e9, 1.0]),
        "an energy of -1e9 GeV": barrel(IDS, [1.0, -1e9, 1.0]),
        "an energy of 1e-30 GeV": barrel(IDS, [1.0, 1e-30, 1.0]),
        "a time of 1 ms": barrel(IDS, [1.0] * 3, time=[0.0, 1e6, 0.0]),
        "an infinite track momentum": infinite,
        "a track of charge 3": {f"{TRACKS}charge_": ak.Array([[1] * 7 + [3]] * 2)},
        "a photon with pt not a number": {f"{PHOTONS}pt_": ak.Array([[50.0, np.nan]] * 2)},
        "run 0": {"EventAuxiliary": ak.Array([list(event_auxiliary(0, 2, 3))] * 2)},
        "EventAuxiliary cut short": {"EventAuxiliary": ak.Array([whole, broken])},
    }


def _impossible_ntuple() -> dict[str, dict[str, Any]]:
    def image(name: str, size: int, cell: int, value: float) -> dict[str, Any]:
        cells = np.zeros((2, size), np.float32)
        cells[1, cell] = value
        return {name: cells}

    return {
        "ntuple: a negative energy": image("EB_energy", 61200, 7, -1.0),
        "ntuple: an energy that is not a number": image("HBHE_energy", 4032, 7, np.nan),
        "ntuple: 2**-140 in a zero": image("EB_energy", 61200, 7, 2.0**-140),
        "ntuple: an endcap value where no crystal is": image("EEp_energy", 10000, 0, 1.0),
    }


def _event_displays(folder: Path) -> dict[str, Path]:
    event = ig_event(make_events(1, seed=60), 0)
    hits = event["Collections"]["EBRecHits_V2"]
    known, hits[3][2] = hits[3][2], 12345
    files = {"event display: a DetId that names no crystal": json.dumps(event)}
    hits[3][2], hits[3][0] = known, 1e9
    files["event display: an energy of 1e9 GeV"] = json.dumps(event)
    files["event display: brackets without end"] = "[" * 100_000
    paths = {
        name: write_ig(folder / f"display{number}.ig", [text])
        for number, (name, text) in enumerate(files.items())
    }
    bomb = folder / "bomb.ig"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Events/Run_1/Event_1", bytes(64 << 20))
    return paths | {"event display: a zip bomb (64 MB from 64 kB)": bomb}
