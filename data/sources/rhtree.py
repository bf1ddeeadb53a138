"""The paper's ntuple `fevt/RHTree`, and the simulated one with photons and truth beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import parse_json
from data.batch import EventBatch, Hits
from data.detector.geometry import EE_TO_ECAL, N_EB, N_ECAL, N_HBHE
from data.sources import plausible
from data.sources.base import DEFAULT, ReadOptions, Source, aligned_ranges, channel_columns
from data.sources.plausible import Place
from data.sources.rhtree_images import ImageBranch, positive
from data.sources.rhtree_jets import TRUE_JETS, RHTreeJets
from data.sources.rhtree_truth import TREE as TRUTH_TREE
from data.sources.rhtree_truth import RHTreeTruth
from data.sources.root_file import n_entries, open_tree, prefetch, read

TREE, PROVENANCE = "fevt/RHTree", "fevt/provenance"
N_EE_SIDE, N_HBHE_EB = 10000, 34 * 72
_FIRST_HBHE_EB = 11 * 72  # HBHE_energy_EB is rows 11-44 of the HBHE image
_FIRST_EB_ROW = 55 * 360  # of the stitched ECAL image
_IDENTIFIERS = {"run": "runId", "lumi": "lumiId", "event": "eventId"}
_PHOTON_BRANCHES = {
    "energy": "pho_energy",
    "pt": "pho_pt",
    "eta": "pho_eta",
    "phi": "pho_phi",
    "u": "pho_u",
    "v": "pho_v",
    "seed": "pho_seed",
    "r9": "pho_r9",
    "sigma_ieta_ieta": "pho_sigmaIetaIeta",
    "h_over_e": "pho_hOverE",
    "pixel_seed": "pho_hasPixelSeed",
}


class RHTreeSource(Source):
    """Dense images per event, read into sparse hits."""

    format = "rhtree"

    def __init__(self, path: str | Path, file: Any, options: ReadOptions = DEFAULT) -> None:
        super().__init__(path, options)
        self._file = file
        self._tree = open_tree(self.path, file, TREE)
        self.n_events = n_entries(self.path, self._tree)
        self._branches = {branch.name: branch for branch in self._tree.branches}
        self._images = self._find_images()
        for name in _IDENTIFIERS.values():
            if name not in self._branches:
                raise InputError(path, f"{TREE} has no branch {name}", "is it the paper's ntuple?")
        if not self._images["EB"]:
            raise InputError(path, f"{TREE} has no EB_energy in any encoding", "see docs/inputs.md")
        has_photons = all(n in self._branches for n in ("pho_pt", "pho_eta", "pho_phi"))
        missing = [channel for channel, images in self._images.items() if not images]
        self.missing = (*missing, *(() if has_photons else ("photons",)))
        timed = ("EB",) if self._eb_time.dense is not None else ()
        self.channels = channel_columns(self.missing, timed)
        self._has_photons = has_photons
        self._jets = RHTreeJets(self.path, self._branches, file)
        self._truth = (
            RHTreeTruth(self.path, file, self.n_events, self.strict) if TRUTH_TREE in file else None
        )
        self.collections = self._jets.types | (self._truth.types if self._truth else {})
        self.has_truth = self._truth is not None
        self.provenance = self._read_provenance()
        self.origin = self._origin()

    def batches(self, start: int, stop: int, chunk: int) -> Iterator[EventBatch]:
        for first, last in aligned_ranges(self.basket_edges, start, stop, chunk):
            yield self._batch(first, last)

    def close(self) -> None:
        self._file.close()

    def _find_images(self) -> dict[str, list[tuple[ImageBranch, NDArray[np.int64] | int]]]:
        """Per channel its images, each with the shift or table to the channel's cells."""

        def image(name: str, n_cells: int) -> ImageBranch:
            return ImageBranch(self.path, self._tree, name, n_cells)

        alternatives: dict[str, list[list[tuple[ImageBranch, NDArray[np.int64] | int]]]] = {
            "EB": [[(image("EB_energy", N_EB), 0)]],
            "EE": [[(image("EEm_energy", N_EE_SIDE), 0), (image("EEp_energy", N_EE_SIDE), 10000)]],
            "HBHE": [
                [(image("HBHE_energy", N_HBHE), 0)],
                [(image("HBHE_energy_EB", N_HBHE_EB), _FIRST_HBHE_EB)],
            ],
            "TRK": [
                [(image("ECAL_tracksPt", N_ECAL), 0)],
                [
                    (image("TracksPt_EB", N_EB), _FIRST_EB_ROW),
                    (image("TracksPt_EEm", N_EE_SIDE), EE_TO_ECAL[:10000]),
                    (image("TracksPt_EEp", N_EE_SIDE), EE_TO_ECAL[10000:]),
                ],
            ],
        }
        found = {}
        for channel, choices in alternatives.items():
            present = [[item for item in choice if item[0].exists] for choice in choices]
            found[channel] = next((choice for choice in present if choice), [])
        self._eb_time = image("EB_time", N_EB)
        return found

    @property
    def basket_edges(self) -> list[int]:
        return self._images["EB"][0][0].basket_edges

    def _batch(self, start: int, stop: int) -> EventBatch:
        n_events = stop - start
        prefetch([b for i in self._images.values() for j, _ in i for b in j.branches], start, stop)
        ids = {k: self._scalar(self._tree, name, start, stop) for k, name in _IDENTIFIERS.items()}
        hits = {
            channel: self._read_channel(channel, start, stop)
            for channel in self._images
            if self._images[channel]
        }
        plausible.identifiers(self._place(TREE, start), ids["run"], ids["lumi"], ids["event"])
        m0 = self._optional("m0", start, stop)
        vertex_z = self._optional("vertex_z", start, stop)
        self._check_scalars(start, m0, vertex_z)
        return EventBatch(
            run=ids["run"].astype(np.uint32),
            lumi=ids["lumi"].astype(np.uint32),
            event=ids["event"].astype(np.uint64),
            hits=hits,
            photons=self._read_photons(start, stop),
            vertex_z=vertex_z,
            n_vertices=self._optional("nVtx", start, stop),
            m0=None if m0 is None else np.nan_to_num(m0.astype(np.float32)).reshape(n_events),
            truth=self._truth.read(start, stop) if self._truth else None,
            missing=self.missing,
            collections=self._jets.read(start, stop)
            | (self._truth.read_collections(start, stop) if self._truth else {}),
        )

    def _place(self, what: str, start: int) -> Place:
        return Place(self.path, f"branch {what}", start, self.strict)

    def _check_scalars(self, start: int, m0: NDArray | None, vertex_z: NDArray | None) -> None:
        """Not-a-number stands for none in either."""
        place = self._place("m0", start)
        columns = {
            name: column for name, column in (("m0", m0), ("z", vertex_z)) if column is not None
        }
        limits = {"m0": plausible.DIPHOTON_MASS, "z": plausible.VERTEX_Z}
        plausible.columns(place, columns, limits, unknown_allowed=True)

    def _read_channel(self, channel: str, start: int, stop: int) -> Hits:
        parts = []
        for image, to_cell in self._images[channel]:
            place = self._place(image.name, start)
            event, cell, value = positive(channel, *image.read(start, stop), self.warnings, place)
            if channel == "EE":
                good = plausible.endcap(place, event, cell, self.warnings)
                event, cell, value = event[good], cell[good], value[good]
            if isinstance(to_cell, int):
                parts.append((event, cell + to_cell, value))
            else:
                known = to_cell[cell] >= 0
                parts.append((event[known], to_cell[cell[known]], value[known]))
        event, cell, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        time = None
        if channel == "EB" and self._eb_time.dense is not None:
            time = self._eb_time.at(start, stop, event, cell)
            place = self._place(self._eb_time.name, start)
            good = plausible.times(place, channel, event, time, self.warnings)
            event, cell, value, time = event[good], cell[good], value[good], time[good]
        return Hits.from_events(event, stop - start, cell, value, time=time)

    def _read_photons(self, start: int, stop: int) -> ak.Array | None:
        if not self._has_photons:
            return None
        columns = {
            field: read(self.path, self._branches[name], start, stop)
            for field, name in _PHOTON_BRANCHES.items()
            if name in self._branches
        }
        photons = self._zip(columns, "pho_*", start)
        counts = ak.to_numpy(ak.num(photons)).astype(np.int64)
        place = self._place("pho_*", start)
        plausible.counts(place, "photons", counts)
        flat = {n: ak.to_numpy(ak.flatten(photons[n])) for n in plausible.PHOTON if n in columns}
        plausible.columns(place, flat, plausible.PHOTON, counts)
        return photons

    def _read_provenance(self) -> dict[str, Any]:
        if PROVENANCE not in self._file:
            return {}
        content = open_tree(self.path, self._file, PROVENANCE)
        if hasattr(content, "num_entries"):  # a tree of one entry holding the text
            content = read(self.path, content.branches[0], 0, 1)[0]
        try:
            provenance = parse_json(str(content))
        except ValueError as error:
            raise InputError(self.path, f"{PROVENANCE} is not JSON: {error}") from error
        if not isinstance(provenance, dict):
            raise InputError(self.path, f"{PROVENANCE} is not an object of JSON")
        return provenance

    def _origin(self) -> str:
        if "origin" in self.provenance:
            return str(self.provenance["origin"])
        # CMS numbers simulated runs 1.
        runs = self._scalar(self._tree, "runId", 0, min(1, self.n_events))
        is_generated = self.has_truth or TRUE_JETS in self.collections
        return "simulation" if is_generated or (runs == 1).any() else "collision"

    def _optional(self, name: str, start: int, stop: int) -> NDArray | None:
        return self._scalar(self._tree, name, start, stop) if name in self._branches else None

    def _scalar(self, tree: Any, name: str, start: int, stop: int) -> NDArray:
        values = read(self.path, tree[name], start, stop, library="np")
        if values.ndim != 1 or values.dtype.kind not in "iufb":
            raise InputError(self.path, f"branch {name}: expected one number per event")
        return values

    def _zip(self, columns: dict[str, ak.Array], what: str, start: int) -> ak.Array:
        try:
            return ak.zip(columns)
        except ValueError as error:
            raise InputError(
                self.path, f"branches {what}, entries from {start}: unequal lengths ({error})"
            ) from error
