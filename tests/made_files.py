"""Small input files of every format, made from one set of made-up events."""

from __future__ import annotations

import json
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from data.detector.detid import eb_detid, ee_detid, hbhe_detid
from data.detector.geometry import EE_VALID, detector_eta, ecal_cell

AOD = "{}__RECO.obj."
ZLIB, ZSTD = uproot.ZLIB(1), uproot.ZSTD(1)
DENSE = {
    "EB_energy": 61200, "EEm_energy": 10000, "EEp_energy": 10000, "HBHE_energy": 4032,
    "ECAL_tracksPt": 100800,
}  # fmt: skip


@dataclass
class Events:
    """N events: per channel jagged cells and energies, tracks, and a photon pair each."""

    cells: dict[str, list[NDArray]]
    energies: dict[str, list[NDArray]]
    tracks: list[NDArray]  # (n, 3) pt, eta, phi
    photons: NDArray  # (N, 2, 3) pt, eta, phi
    vertex_z: NDArray  # (N,) cm
    ids: NDArray  # (N, 3) run, lumi, event

    def __len__(self) -> int:
        return len(self.ids)


def make_events(n_events: int = 6, seed: int = 0, run: int = 200000) -> Events:
    """Random hits, and a pair of 5x5 showers at the photons of every event."""
    rng = np.random.default_rng(seed)
    cells: dict[str, list[NDArray]] = {"EB": [], "EE": [], "HBHE": []}
    energies: dict[str, list[NDArray]] = {"EB": [], "EE": [], "HBHE": []}
    vertex_z = rng.normal(0, 4, n_events)
    photons = np.empty((n_events, 2, 3))
    tracks = []
    valid = np.flatnonzero(np.stack([EE_VALID, EE_VALID]).ravel())
    for i in range(n_events):
        pt = np.array([70.0, 55.0]) + rng.uniform(-5, 5, 2)
        eta, phi = rng.uniform(-1, 1, 2), rng.uniform(-3, 3) + np.array([0.0, 2.9])
        photons[i] = np.stack([pt, eta, (phi + np.pi) % (2 * np.pi) - np.pi], axis=1)
        shower = _showers(photons[i], vertex_z[i])
        noise = {int(c): float(e) for c, e in zip(
            rng.choice(61200, 60, replace=False), rng.uniform(0.1, 1.0, 60), strict=True
        )}  # fmt: skip
        image = noise | shower
        cells["EB"].append(np.array(sorted(image)))
        energies["EB"].append(np.array([image[c] for c in sorted(image)], dtype=np.float32))
        cells["EE"].append(np.sort(rng.choice(valid, 30, replace=False)))
        energies["EE"].append(rng.uniform(0.1, 5, 30).astype(np.float32))
        # Towers of |ieta| <= 16, which are one cell wide.
        towers = rng.choice(32 * 72, 12, replace=False) + 12 * 72
        cells["HBHE"].append(np.sort(towers))
        energies["HBHE"].append(rng.uniform(0.5, 9, 12).astype(np.float32))
        tracks.append(
            np.stack([rng.uniform(0.5, 9, 8), rng.uniform(-2.4, 2.4, 8),
                      rng.uniform(-3.1, 3.1, 8)], axis=1).astype(np.float32)
        )  # fmt: skip
    ids = np.stack(
        [np.full(n_events, run), np.full(n_events, 7), 1000 + np.arange(n_events)], axis=1
    )
    return Events(cells, energies, tracks, photons, vertex_z, ids)


def _showers(pair: NDArray, vertex_z: float) -> dict[int, float]:
    from data.detector.geometry import eb_uv

    image: dict[int, float] = {}
    profile = np.outer(*[np.array([0.01, 0.08, 0.82, 0.08, 0.01])] * 2)
    for pt, eta, phi in pair:
        u, v = eb_uv(detector_eta(eta, vertex_z), phi)
        for du in range(-2, 3):
            for dv in range(-2, 3):
                cell = (int(u) + du) * 360 + (int(v) + dv) % 360
                energy = pt * np.cosh(eta) * 0.965 * profile[du + 2, dv + 2]
                image[cell] = image.get(cell, 0.0) + float(energy)
    return image


def dense_images(events: Events) -> dict[str, NDArray]:
    """The ntuple's images of the events, (N, cells)."""
    images = {n: np.zeros((len(events), size), np.float32) for n, size in DENSE.items()}
    for i in range(len(events)):
        images["EB_energy"][i, events.cells["EB"][i]] = events.energies["EB"][i]
        images["HBHE_energy"][i, events.cells["HBHE"][i]] = events.energies["HBHE"][i]
        plus = events.cells["EE"][i] >= 10000
        endcap, energy = events.cells["EE"][i] % 10000, events.energies["EE"][i]
        images["EEm_energy"][i, endcap[~plus]] = energy[~plus]
        images["EEp_energy"][i, endcap[plus]] = energy[plus]
        pt, eta, phi = events.tracks[i].T
        np.add.at(images["ECAL_tracksPt"][i], ecal_cell(eta, phi), pt)
    return images


def write_rhtree(
    path: Path,
    events: Events,
    encoding: str = "fixed",
    truth: bool = False,
    step: int = 4,
    overwrite: dict[str, NDArray] | None = None,
    compression: Any = ZSTD,
) -> Path:
    """Write `fevt/RHTree` as fixed arrays, counter + jagged dense arrays, or sparse lists."""
    columns: dict[str, Any] = {
        "eventId": events.ids[:, 2].astype(np.uint64),
        "runId": events.ids[:, 0].astype(np.uint32),
        "lumiId": events.ids[:, 1].astype(np.uint32),
    }
    for name, image in {**dense_images(events), **(overwrite or {})}.items():
        if encoding == "fixed":
            columns[name] = image
        elif encoding == "jagged":
            columns[name] = ak.from_regular(ak.Array(image))
        else:
            row, cell = np.nonzero(image)
            counts = np.bincount(row, minlength=len(events))
            columns[name.removesuffix("_energy")] = ak.zip(
                {"idx": ak.unflatten(cell.astype(np.int32), counts),
                 "e": ak.unflatten(image[row, cell], counts)}
            )  # fmt: skip
    if not truth:
        columns["m0"] = np.where(np.arange(len(events)) % 2 == 0, 125.0, 0.0).astype(np.float32)
    else:
        columns |= {"vertex_z": events.vertex_z.astype(np.float32), "pho": _photons(events)}
    with uproot.recreate(path, compression=compression) as file:
        _write_tree(file, "fevt/RHTree", columns, len(events), step)
        if truth:
            _write_tree(file, "fevt/Truth", _truth(events), len(events), step)
            file["fevt/provenance"] = json.dumps({"origin": "simulation"})
    return path


def _photons(events: Events) -> ak.Array:
    pt, eta, phi = np.moveaxis(events.photons, 2, 0).astype(np.float32)
    columns = {
        "energy": pt * np.cosh(eta), "pt": pt, "eta": eta, "phi": phi,
        "r9": np.full_like(pt, 0.95), "sigmaIetaIeta": np.full_like(pt, 0.009),
        "hOverE": np.full_like(pt, 0.01), "hasPixelSeed": np.zeros(pt.shape, bool),
        "seed": np.zeros(pt.shape, np.int32),
    }  # fmt: skip
    return ak.zip({name: ak.from_regular(ak.Array(column)) for name, column in columns.items()})


def _truth(events: Events) -> dict[str, Any]:
    from data.detector.geometry import eb_uv

    n = len(events)
    pt, eta, phi = np.moveaxis(events.photons, 2, 0)
    u, v = eb_uv(detector_eta(eta, events.vertex_z[:, None]), phi)
    columns = {
        "energy": pt * np.cosh(eta), "pt": pt, "eta": eta, "phi": phi, "u": u, "v": v,
    }  # fmt: skip
    jagged = {k: ak.from_regular(ak.Array(c.astype(np.float32))) for k, c in columns.items()}
    jagged["converted"] = ak.from_regular(ak.Array(np.zeros(pt.shape, bool)))
    return {
        "process": np.full(n, 1, np.int32), "group": np.arange(n, dtype=np.int64) // 2,
        "n_prompt": np.full(n, 2, np.int32), "vertex_z": events.vertex_z.astype(np.float32),
        "n_pileup": np.full(n, 20, np.int32), "gen_mass": np.full(n, 125.0, np.float32),
        "gen": ak.zip(jagged),
    }  # fmt: skip


def _write_tree(file: Any, name: str, columns: dict[str, Any], n_events: int, step: int) -> None:
    def kind(column: Any) -> Any:
        if isinstance(column, ak.Array):
            return column.type
        return column.dtype if column.ndim == 1 else (column.dtype, column.shape[1:])

    tree = file.mktree(
        name, {k: kind(c) for k, c in columns.items()}, counter_name=lambda n: f"n{n}",
        field_name=lambda outer, inner: f"{outer}_{inner}",
    )  # fmt: skip
    for start in range(0, n_events, step):
        tree.extend({k: c[start : start + step] for k, c in columns.items()})


def event_auxiliary(
    run: int, lumi: int, event: int, size: int = 12, version: int = 11, hash_length: int = 16
) -> bytes:
    """The bytes of an EventAuxiliary whose EventID has 8, 12 or 16 bytes."""
    numbers = {
        8: struct.pack(">II", run, event & 0xFFFFFFFF),
        12: struct.pack(">III", run, lumi, event & 0xFFFFFFFF),
        16: struct.pack(">IIQ", run, lumi, event),
    }[size]
    text = bytes([hash_length]) + b"h" * hash_length
    inner = _header(len(text), version) + text
    return _header(len(inner), version) + inner + _header(size, version) + numbers + b"rest"


def _header(length: int, version: int) -> bytes:
    checksum = b"\x01\x02\x03\x04" if version == 0 else b""
    count = 0x40000000 | (2 + len(checksum) + length)
    return struct.pack(">IH", count, version) + checksum


def write_aod(
    path: Path,
    events: Events,
    process: str = "RECO",
    skip: tuple[str, ...] = (),
    overwrite: dict[str, Any] | None = None,
    compression: Any = ZLIB,
    step: int | None = None,
) -> Path:
    """Write an `Events` tree with the 2012 AOD's leaves under flat dotted names.

    `step` is the number of events of a basket; without it one basket holds all.
    """
    columns: dict[str, Any] = {
        "EventAuxiliary": ak.Array(
            [list(event_auxiliary(*(int(x) for x in ids))) for ids in events.ids]
        )
    }
    labels = {
        "EB": "EcalRecHitsSorted_reducedEcalRecHitsEB_",
        "EE": "EcalRecHitsSorted_reducedEcalRecHitsEE_",
        "HBHE": "HBHERecHitsSorted_reducedHcalRecHits_hbhereco",
    }
    for channel, label in labels.items():
        if channel not in skip:
            stem = f"{label}_{process}.obj.obj."
            ids = [_detids(channel, cells) for cells in events.cells[channel]]
            order = [np.argsort(event) for event in ids]  # as CMS's sorted collections
            energies = events.energies[channel]
            columns[f"{stem}id_.id_"] = ak.Array([i[o] for i, o in zip(ids, order, strict=True)])
            columns[f"{stem}energy_"] = ak.Array(
                [e[o] for e, o in zip(energies, order, strict=True)]
            )
    if "TRK" not in skip:
        stem = f"recoTracks_generalTracks__{process}.obj."
        momenta = [_momentum(track) for track in events.tracks]
        for i, axis in enumerate("XYZ"):
            columns[f"{stem}momentum_.fCoordinates.f{axis}"] = ak.Array([m[i] for m in momenta])
        columns[f"{stem}vertex_.fCoordinates.fZ"] = ak.Array(
            [np.full(len(t), z) for t, z in zip(events.tracks, events.vertex_z, strict=True)]
        )
        charges = [np.where(np.arange(len(t)) % 2, 1, -1) for t in events.tracks]
        columns[f"{stem}charge_"] = ak.Array(charges)
        quality = [np.full(len(t), 7, np.uint8) for t in events.tracks]
        columns[f"{stem}quality_"] = ak.Array(quality)
    if "photons" not in skip:
        stem = f"recoPhotons_photons__{process}.obj."
        for i, name in enumerate(("pt_", "eta_", "phi_")):
            columns[stem + name] = ak.from_regular(ak.Array(events.photons[:, :, i]))
        z = np.repeat(events.vertex_z[:, None], 2, axis=1)
        columns[f"{stem}vertex_.fCoordinates.fZ"] = ak.from_regular(ak.Array(z))
    columns = {name: _numbers(name, c) for name, c in (columns | (overwrite or {})).items()}
    with uproot.recreate(path, compression=compression) as file:
        _write_tree(file, "Events", columns, len(events), step or len(events))
    return path


def _numbers(name: str, column: ak.Array) -> ak.Array:
    kind = {
        "EventAuxiliary": np.uint8, "id_": np.uint32, "quality_": np.uint8, "charge_": np.int32,
    }  # fmt: skip
    ending = next((k for k in kind if name.endswith(k)), None)
    return ak.values_astype(column, kind[ending] if ending else np.float32)


def _detids(channel: str, cells: NDArray) -> NDArray:
    if channel == "EB":
        return eb_detid(cells)
    if channel == "EE":
        return ee_detid(cells)
    row, column = cells // 72, cells % 72
    return hbhe_detid(np.where(row >= 28, row - 27, row - 28), (column - 2) % 72 + 1, 1)


def _momentum(track: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    pt, eta, phi = track.astype(np.float64).T
    return pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)


def ig_event(events: Events, i: int, signed: bool = False) -> dict[str, Any]:
    """One event as the dictionary that an event display stores."""
    types: dict[str, Any] = {
        "Event_V2": [["run", "int"], ["event", "int"], ["ls", "int"]],
        "Tracks_V3": [["pos", "v3d"], ["pt", "double"], ["phi", "double"], ["eta", "double"],
                      ["charge", "int"]],
        "Photons_V1": [["energy", "double"], ["et", "double"], ["eta", "double"],
                       ["phi", "double"], ["pos", "v3d"], ["hadronicOverEm", "double"],
                       ["sigmaIetaIeta", "double"], ["r9", "double"]],
    }  # fmt: skip
    run, lumi, event = (int(x) for x in events.ids[i])
    z = events.vertex_z[i] / 100
    collections: dict[str, Any] = {
        "Event_V2": [[run, event, lumi]],
        "Tracks_V3": [
            [[0, 0, z], float(t[0]), float(t[2]), float(t[1]), 1 if k % 2 else -1]
            for k, t in enumerate(events.tracks[i])
        ],
        "Photons_V1": [
            [float(pt * np.cosh(eta)), float(pt), float(eta), float(phi), [0, 0, z], 0.01, 0.009,
             0.95]
            for pt, eta, phi in events.photons[i]
        ],
    }  # fmt: skip
    for name, channel in (("EBRecHits", "EB"), ("EERecHits", "EE"), ("HBRecHits", "HBHE")):
        fields = [["energy", "double"], ["time", "double"], ["detid", "int"]]
        types[f"{name}_V2"] = fields
        ids = _detids(channel, events.cells[channel][i])
        if signed:
            ids = ids.astype(np.uint32).astype(np.int32)
        collections[f"{name}_V2"] = [
            [float(e), 1.5, int(d)] for e, d in zip(events.energies[channel][i], ids, strict=True)
        ]
    return {"Types": types, "Collections": collections, "Associations": {}}


def write_ig(path: Path, texts: list[str]) -> Path:
    """Write an event display of the given event texts."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Header", '"5_3_0"')
        for i, text in enumerate(texts):
            archive.writestr(f"Events/Run_1/Event_{i}", text)
    return path
