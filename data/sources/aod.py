"""CMS AOD, AODSIM, RECO and MiniAOD (EDM layout) through uproot, without CMSSW."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import EventBatch, Hits
from data.sources import edm_products as edm
from data.sources import plausible
from data.sources.aod_objects import EdmObjects
from data.sources.base import (
    DEFAULT,
    ReadOptions,
    Source,
    aligned_ranges,
    channel_columns,
    ecal_hits,
    hbhe_hits,
    track_hits,
)
from data.sources.event_auxiliary import EventIds, LayoutError, decode
from data.sources.plausible import Place
from data.sources.root_file import basket_edges, flat, n_entries, prefetch, read

HIGH_PURITY = 1 << 2  # bit of reco::Track's quality_
_P4 = ".m_state.p4Polar_.fCoordinates."
_KINEMATICS = {
    "pt": (".obj.pt_", f"{_P4}fPt"),
    "eta": (".obj.eta_", f"{_P4}fEta"),
    "phi": (".obj.phi_", f"{_P4}fPhi"),
}
_PHOTON_OPTIONAL = {
    "sigma_ieta_ieta": ".obj.showerShapeBlock_.sigmaIetaIeta",
    "hadronic_1": ".obj.showerShapeBlock_.hcalDepth1OverEcal",
    "hadronic_2": ".obj.showerShapeBlock_.hcalDepth2OverEcal",
    "e3x3": ".obj.showerShapeBlock_.e3x3",
    "pixel_seed": ".obj.pixelSeed_",
    "vertex_z": ".vertex_.fCoordinates.fZ",
}


class AodSource(Source):
    """An EDM file: rechits, tracks, photons and vertices by the names CMS gave them.

    Raises
    ------
    InputError
        If the file is unsplit, or has no ECAL rechits.
    """

    def __init__(self, path: str | Path, tree: Any, options: ReadOptions = DEFAULT) -> None:
        super().__init__(path, options)
        self._tree = tree
        self.n_events = n_entries(self.path, tree)
        products = edm.Products(self.path, tree)
        self._hits = {
            channel: products.find(labels)
            for channel, labels in (("EB", edm.EB), ("EE", edm.EE), ("HBHE", edm.HBHE))
        }
        self._tracks = products.find(edm.TRACKS)
        self._photons = products.find(edm.PHOTONS)
        self._vertices = products.find(edm.VERTICES)
        if self._hits["EB"] is None and self._hits["EE"] is None:
            raise InputError(
                path,
                f"an EDM file of {len(products)} products without ECAL rechits; expected one of "
                + ", ".join(f"{label}_*" for label in edm.EB),
                "use AOD, AODSIM, RECO or MiniAOD of 2015/2016",
            )
        found = {**self._hits, "TRK": self._tracks, "photons": self._photons}
        self.missing = tuple(name for name, product in found.items() if product is None)
        self.channels = channel_columns(self.missing, ("EB", "EE"), with_directions=True)
        self._objects = EdmObjects(products, options)
        self.collections = self._objects.types
        self.format = "miniaod" if "patPhotons" in products.types else "aod"
        is_generated = any(name in products.types for name in edm.GENERATED)
        self.origin = "simulation" if is_generated else "collision"
        self._check_split()

    def batches(self, start: int, stop: int, chunk: int) -> Iterator[EventBatch]:
        for first, last in aligned_ranges(self.basket_edges, start, stop, chunk):
            yield self._batch(first, last)

    @property
    def basket_edges(self) -> list[int]:
        product = self._hits["EB"] or self._hits["EE"]
        assert product is not None  # the constructor refuses files without either
        return basket_edges(self.path, product.leaf(".energy_"))

    def close(self) -> None:
        self._tree.file.close()

    def _check_split(self) -> None:
        for product in self._hits.values():
            if product is not None:
                product.leaf(".energy_")

    def _batch(self, start: int, stop: int) -> EventBatch:
        ids = self._identifiers(start, stop)
        hits = {
            channel: self._read_hits(channel, product, start, stop)
            for channel, product in self._hits.items()
            if product is not None
        }
        if self._tracks is not None:
            hits["TRK"] = self._read_tracks(self._tracks, start, stop)
        photons = self._read_photons(start, stop)
        n_vertices, first_z = self._read_vertices(start, stop)
        return EventBatch(
            run=ids.run,
            lumi=ids.lumi,
            event=ids.event,
            hits=hits,
            photons=photons,
            vertex_z=_vertex_z(photons, first_z),
            n_vertices=n_vertices,
            missing=self.missing,
            collections=self._objects.read(self._columns, start, stop, self.warnings),
        )

    def _identifiers(self, start: int, stop: int) -> EventIds:
        try:
            branch = self._tree["EventAuxiliary"]
        except KeyError:
            raise InputError(self.path, "no branch EventAuxiliary: not an EDM file") from None
        raw = uproot.AsJagged(uproot.AsDtype("u1"))
        data, counts = flat(read(self.path, branch, start, stop, raw))
        try:
            ids = decode(data, np.concatenate([[0], np.cumsum(counts)]))
        except LayoutError as error:
            raise InputError(
                self.path,
                f"EventAuxiliary of entry {start + error.entry}: {error.reason}",
                "the file is damaged, or of a CMSSW release this reader does not know",
            ) from error
        if not ids.has_lumi.all():
            self.warnings["events without lumi section in their EventID"] += int(
                (~ids.has_lumi).sum()
            )
        plausible.identifiers(self._place("EventAuxiliary", start), ids.run, ids.lumi, ids.event)
        return ids

    def _place(self, what: object, start: int) -> Place:
        return Place(self.path, str(what), start, self.strict)

    def _columns(
        self,
        product: edm.Product,
        leaves: dict[str, Any],
        start: int,
        stop: int,
        kind: str = "objects",
    ) -> tuple[dict[str, NDArray], NDArray[np.int64]]:
        """Flat columns of a collection, checked to be of equal length in every event.

        `kind` says how many there may be in an event (`plausible.MOST`).
        """
        columns: dict[str, NDArray] = {}
        counts: NDArray[np.int64] | None = None
        prefetch(list(leaves.values()), start, stop)
        for name, branch in leaves.items():
            columns[name], found = flat(read(self.path, branch, start, stop))
            if counts is None:
                counts = found
                plausible.counts(self._place(branch.name, start), kind, counts)
            elif not np.array_equal(counts, found):
                entry = start + int(np.argmin(counts == found))
                raise InputError(
                    self.path,
                    f"branch {branch.name}, entry {entry}: {found[entry - start]} values where its "
                    f"collection {product.label} has {counts[entry - start]}",
                    "the file is damaged: fetch it again",
                )
        assert counts is not None
        return columns, counts

    def _read_hits(self, channel: str, product: edm.Product, start: int, stop: int) -> Hits:
        leaves = {"detid": product.leaf(".id_.id_", ".id_"), "energy": product.leaf(".energy_")}
        if channel != "HBHE" and (time := product.optional(".time_")) is not None:
            leaves["time"] = time
        columns, counts = self._columns(product, leaves, start, stop, channel)
        n_events = stop - start
        if (empty := int((counts == 0).sum())) > 0:
            self.warnings[f"{channel}: events whose rechit collection is empty"] += empty
        event = np.repeat(np.arange(n_events), counts)
        detid, energy = columns["detid"], columns["energy"]
        place = self._place(product.label, start)
        if channel == "HBHE":
            return hbhe_hits(event, n_events, detid, energy, self.warnings, place)
        time = columns.get("time")
        return ecal_hits(channel, event, n_events, detid, energy, time, self.warnings, place)

    def _read_tracks(self, product: edm.Product, start: int, stop: int) -> Hits:
        leaves = {a: product.leaf(f".momentum_.fCoordinates.f{a}") for a in "XYZ"}
        leaves |= {
            "z": product.leaf(".vertex_.fCoordinates.fZ"),
            "charge": product.leaf(".charge_"),
        }
        if (quality := product.optional(".quality_")) is not None:
            leaves["quality"] = quality
        columns, counts = self._columns(product, leaves, start, stop, "TRK")
        event = np.repeat(np.arange(stop - start), counts)
        if quality is None:
            self.warnings["TRK: tracks without a quality, all taken"] += len(event)
            keep = np.ones(len(event), dtype=bool)
        else:
            keep = columns["quality"] & HIGH_PURITY != 0
        x, y, z = (columns[a][keep] for a in "XYZ")
        pt = np.hypot(x, y)
        with np.errstate(divide="ignore", invalid="ignore"):
            eta = np.arcsinh(z / pt)
        phi = np.arctan2(y, x)
        origin_z, charge = columns["z"][keep], columns["charge"][keep]
        return track_hits(
            event[keep], stop - start, pt, eta, phi, origin_z, charge, self.warnings,
            self._place(product.label, start),
        )  # fmt: skip

    def _read_photons(self, start: int, stop: int) -> ak.Array | None:
        product = self._photons
        if product is None:
            return None
        leaves = {name: product.leaf(*endings) for name, endings in _KINEMATICS.items()}
        optional = {name: product.optional(end) for name, end in _PHOTON_OPTIONAL.items()}
        leaves |= {name: branch for name, branch in optional.items() if branch is not None}
        columns, counts = self._columns(product, leaves, start, stop, "photons")
        limits = plausible.PHOTON | {"vertex_z": plausible.VERTEX_Z}
        plausible.columns(self._place(product.label, start), columns, limits, counts)
        photons = {name: columns[name] for name in ("pt", "eta", "phi")}
        photons["energy"] = columns["pt"] * np.cosh(columns["eta"])
        for name in ("sigma_ieta_ieta", "pixel_seed", "vertex_z"):
            if name in columns:
                photons[name] = columns[name]
        if "hadronic_1" in columns and "hadronic_2" in columns:
            photons["h_over_e"] = columns["hadronic_1"] + columns["hadronic_2"]
        if "e3x3" in columns:
            # CMS divides by the supercluster's raw energy, which is behind a reference here.
            photons["r9"] = columns["e3x3"] / photons["energy"]
        return ak.zip({name: ak.unflatten(column, counts) for name, column in photons.items()})

    def _read_vertices(
        self, start: int, stop: int
    ) -> tuple[NDArray[np.int32] | None, NDArray[np.float64] | None]:
        """Number of vertices, and z in cm of the first, NaN where there is none."""
        if self._vertices is None:
            return None, None
        leaf = self._vertices.optional(".position_.fCoordinates.fZ")
        if leaf is None:
            return None, None
        z, counts = flat(read(self.path, leaf, start, stop))
        place = self._place(leaf.name, start)
        plausible.counts(place, "vertices", counts)
        plausible.columns(place, {"z": z}, {"z": plausible.VERTEX_Z}, counts)
        first = np.full(stop - start, np.nan)
        first[counts > 0] = z[(np.cumsum(counts) - counts)[counts > 0]]
        return counts.astype(np.int32), first


def _vertex_z(
    photons: ak.Array | None, first_z: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """z of the vertex the photons point to, else of the first vertex, else NaN."""
    if photons is None or "vertex_z" not in photons.fields:
        return first_z
    first_photon = ak.to_numpy(ak.fill_none(ak.firsts(photons.vertex_z), np.nan))
    return (
        first_photon
        if first_z is None
        else np.where(np.isfinite(first_photon), first_photon, first_z)
    )
