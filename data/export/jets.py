"""The images of a store's jets, as they were imported or cut out of its events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import Collection, Hits
from data.detector.images import Upsampling, image
from data.detector.jets import JET_LAYERS, JET_SIZE, contained, jet_crops, jet_seeds
from data.export.drawing import check
from data.sources.base import ranges
from data.sources.dense import CRYSTALS, HCAL_LAYER, JET_SHAPE, N_JET_CELLS
from data.store import EventStore

JETS = "X_jets"
_EVENTS_AT_A_TIME = 32
_JET_COLUMNS = {  # as the converters named them
    "pt": "pt", "eta": "eta", "phi": "phi", "mass": "m0", "seed_row": "ieta",
    "seed_column": "iphi",
}  # fmt: skip
_TRUE_COLUMNS = {"label": "y", "pdg_id": "pdgId"}
IDENTIFIERS = {"runId": "run", "lumiId": "lumi", "eventId": "event"}


class Jets(NamedTuple):
    """Some jets: their images (M, 125, 125, 3), and columns (M,) by the converters' names."""

    images: NDArray[np.float32]
    columns: dict[str, NDArray]


def iterate_jets(
    store: EventStore, convention: Upsampling, min_jet_pt: float = 0.0
) -> Iterator[Jets]:
    """Images and columns of a store's jets, those of a few events at a time.

    Imported crops are given back as they are. Otherwise windows are cut round the seeds of
    `objects/Jet`, which are found in the towers where the source has none; jets whose window leaves
    the detector are left out, as the papers' analyser does.

    Raises
    ------
    InputError
        If the store has neither.
    """
    is_imported = "JET" in store.channels
    if not is_imported:
        _check_jets(store)
    ids = {name: store.event(key) for name, key in IDENTIFIERS.items()}
    for start, stop in ranges(0, len(store), _EVENTS_AT_A_TIME):
        event, jets = (_imported if is_imported else _cut_out)(store, start, stop, convention)
        jets.columns.update({name: column[start:stop][event] for name, column in ids.items()})
        if "pt" in jets.columns and min_jet_pt > 0:
            keep = jets.columns["pt"] >= min_jet_pt
            jets = Jets(jets.images[keep], {n: c[keep] for n, c in jets.columns.items()})
        yield jets


def _check_jets(store: EventStore) -> None:
    columns = store.collections.get("objects/Jet", {})
    if not ({"seed_row", "seed_column"} <= set(columns) or {"eta", "phi"} <= set(columns)):
        raise InputError(
            store.path,
            "no jets: neither imported images (hits/JET) nor objects/Jet with seed or direction",
            "preprocess with objects=Jet",
        )
    check(store, JET_LAYERS)


def _imported(
    store: EventStore, start: int, stop: int, convention: Upsampling
) -> tuple[NDArray, Jets]:
    hits = store.hits("JET", start, stop)
    cell = hits.cell.astype(np.int64)
    images = np.zeros((stop - start, *JET_SHAPE), dtype=np.float32)
    layer, pixel = np.divmod(cell, N_JET_CELLS)
    is_repeated = (layer == HCAL_LAYER) & (convention == "repeated")
    value = np.where(is_repeated, hits.energy * CRYSTALS, hits.energy)
    images.reshape(stop - start, N_JET_CELLS, 3)[hits.event, pixel, layer] = value
    return np.arange(stop - start), Jets(images, _columns(store, start, stop, slice(None)))


def _cut_out(
    store: EventStore, start: int, stop: int, convention: Upsampling
) -> tuple[NDArray, Jets]:
    jets = store.objects("Jet", start, stop)
    event = np.repeat(np.arange(stop - start), np.diff(jets.offsets))
    wanted = {c for part in JET_LAYERS for c in image(part).channels}
    hits = {channel: store.hits(channel, start, stop) for channel in wanted}
    row, column = seeds_of(jets, event, hits["HBHE"])
    keep = contained(row)
    images = jet_crops(
        hits, event[keep], row[keep], column[keep], size=JET_SIZE, upsampling=convention
    )
    found = {"ieta": row[keep].astype(np.int16), "iphi": column[keep].astype(np.int16)}
    return event[keep], Jets(images, _columns(store, start, stop, keep) | found)


def seeds_of(jets: Collection, event: NDArray, towers: Hits) -> tuple[NDArray, NDArray]:
    """Row and column of each jet's seed tower: the source's, else the highest near its axis."""
    if "seed_row" in jets.columns and "seed_column" in jets.columns:
        return jets.columns["seed_row"], jets.columns["seed_column"]
    return jet_seeds(towers, event, jets.columns["eta"], jets.columns["phi"])


def _columns(store: EventStore, start: int, stop: int, keep: NDArray | slice) -> dict[str, NDArray]:
    """Columns of the kept jets by the converters' names."""
    columns: dict[str, NDArray] = {}
    for place, names in (("objects/Jet", _JET_COLUMNS), ("truth/jets", _TRUE_COLUMNS)):
        known = store.collections.get(place, {})
        if known:
            rows = store.rows(place, start, stop).columns
            columns |= {names[n]: rows[n][keep] for n in names if n in known}
    return columns
