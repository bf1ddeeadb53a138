"""The jets of an event store: one row each, with images, shapes, and whose siblings they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.progress import progress
from data.detector.images import image
from data.detector.jets import JET_LAYERS, contained
from data.export.jets import seeds_of
from data.store import EventStore
from e2e.inputs.events import EventInputs
from e2e.inputs.sparse import SparseImages, concatenate
from e2e.jets.config import JetCutsConfig
from e2e.jets.images import LAYERS, cut_windows, only
from e2e.jets.shapes import jet_shapes

ALL = "jets"  # the image with all layers
_EVENTS_AT_A_TIME = 128


@dataclass
class JetSample:
    """N jets of a store.

    Attributes
    ----------
    inputs
        Images `jets` (3, 125, 125) and `tracks`, `ECAL`, `HCAL` (1, 125, 125); tables `shapes`
        (see `e2e.jets.shapes`) and `pt_eta`. All rows are usable.
    pt, eta
        (N,) GeV; eta as seen from the origin.
    row
        (N,) of the store's `objects/Jet`.
    group
        (N,) jets of one event, and of siblings of its parton event, share a group.
    """

    inputs: EventInputs
    pt: NDArray[np.float64]
    eta: NDArray[np.float64]
    row: NDArray[np.int64]
    group: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)


def read_jets(store: EventStore, cuts: JetCutsConfig) -> JetSample:
    """Cut the windows of all jets that pass the cuts, those wholly inside the detector.

    Raises
    ------
    InputError
        If the store has no jets, lacks a channel, or no jet passes.
    """
    _check(store)
    groups = store.event("group").astype(np.int64)
    images, columns, first_row = [], [], 0
    starts = range(0, len(store), _EVENTS_AT_A_TIME)
    for start in progress(iter(starts), len(starts), "jets", "chunk"):
        stop = min(start + _EVENTS_AT_A_TIME, len(store))
        jets = store.objects("Jet", start, stop)
        event = np.repeat(np.arange(stop - start), np.diff(jets.offsets))
        hits = {c: store.hits(c, start, stop) for c in _channels()}
        seed_row, seed_column = seeds_of(jets, event, hits["HBHE"])
        pt, eta = jets.columns[_momentum(jets.columns)], jets.columns["eta"]
        keep = contained(seed_row) & (np.abs(eta) <= cuts.max_eta)
        keep &= (pt >= cuts.min_pt) & (pt <= cuts.max_pt)
        images.append(cut_windows(hits, event[keep], seed_row[keep], seed_column[keep]))
        row = first_row + np.flatnonzero(keep)
        columns.append((pt[keep], eta[keep], row, groups[start:stop][event[keep]]))
        first_row += len(event)
    found = concatenate(images)
    pt, eta, row, group = (np.concatenate(column) for column in zip(*columns, strict=True))
    if len(row) == 0:
        raise InputError(store.path, "no jet passes the cuts", "see cuts.min_pt and its neighbours")
    pt, eta = pt.astype(np.float64), eta.astype(np.float64)
    return JetSample(_inputs(found, pt, eta), pt, eta, row, group)


def _inputs(images: SparseImages, pt: NDArray[np.float64], eta: NDArray[np.float64]) -> EventInputs:
    pt_eta = np.stack([pt, np.abs(eta)], axis=1).astype(np.float32)
    return EventInputs(
        {ALL: images, **{name: only(images, name) for name in LAYERS}},
        {"shapes": np.hstack([pt_eta, jet_shapes(images, pt)]), "pt_eta": pt_eta},
        np.ones(len(pt), dtype=bool),
    )


def _channels() -> list[str]:
    return sorted({channel for layer in JET_LAYERS for channel in image(layer).channels})


def _momentum(columns: dict[str, NDArray]) -> str:
    # Event displays have the transverse energy instead.
    return "pt" if "pt" in columns else "et"


def _check(store: EventStore) -> None:
    columns = store.collections.get("objects/Jet", {})
    if not {"eta", "phi"} <= set(columns) or not {"pt", "et"} & set(columns):
        raise InputError(store.path, "no jets with pt and direction", "preprocess with objects=Jet")
    if absent := [channel for channel in _channels() if channel not in store.channels]:
        raise InputError(
            store.path, f"no {', '.join(absent)} hits", "jets' images need them: use other files"
        )
