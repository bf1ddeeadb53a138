"""Dense arrays that others published, as sparse hits: what HDF5 and Parquet files share.

Jets' images become the channel JET: no event can be made of a crop, because it does not say where
it was cut out unless the file has the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import Collection, Hits
from data.detector.geometry import N_HBHE
from data.sources import plausible
from data.sources.base import ReadOptions
from data.sources.plausible import Place
from data.sources.rhtree_images import positive
from data.sources.rhtree_jets import JETS, TRUE_JETS
from data.store.schema import LABELS

IntArray = NDArray[np.int64]
Upsampling = Literal["conserving", "repeated"]
JET_SHAPE = (125, 125, 3)  # layers: tracks, ECAL, HCAL
N_JET_CELLS = 125 * 125
HCAL_LAYER = 2
CRYSTALS = 25  # of a tower
_CONSTANT = 1e-4  # what 25 equal numbers may differ by after rounding, relative to the largest

IDENTIFIERS: dict[str, tuple[str, ...]] = {
    "run": ("runId", "jetRunId"),
    "lumi": ("lumiId", "jetLumiId"),
    "event": ("eventId", "jetEventId"),
}
JET_COLUMNS: dict[str, tuple[str, ...]] = {
    "pt": ("pt", "jetPt", "jet_pT"),
    "eta": ("eta", "jetEta", "jet_eta"),
    "phi": ("phi", "jetPhi", "jet_phi"),
    "mass": ("m0", "jetM", "mass"),
    "seed_row": ("ieta", "jetSeed_ieta"),
    "seed_column": ("iphi", "jetSeed_iphi"),
}
TRUE_COLUMNS: dict[str, tuple[str, ...]] = {
    "label": ("y", "y_jets", "jet_truthLabel"),
    "pdg_id": ("pdgId",),
}
ALL_COLUMNS: Mapping[str, tuple[str, ...]] = JET_COLUMNS | TRUE_COLUMNS
_TYPES = {"seed_row": "i2", "seed_column": "i2", "label": "i4", "pdg_id": "i4"}


class Numbers(NamedTuple):
    """(N,) run, luminosity section and event numbers."""

    run: NDArray[np.uint32]
    lumi: NDArray[np.uint32]
    event: NDArray[np.uint64]


def named(aliases: Mapping[str, tuple[str, ...]], present: Container[str]) -> dict[str, str]:
    """Per wanted quantity the first of its names that is present."""
    found = {}
    for quantity, names in aliases.items():
        for name in names:
            if name in present:
                found[quantity] = name
                break
    return found


def upsampling(path: str, written: object, options: ReadOptions) -> Upsampling:
    """How the file says that towers were upsampled, else how the user says.

    Raises
    ------
    InputError
        If the file says something else.
    """
    if written in (None, ""):
        return options.hcal_upsampling
    if written == "conserving" or written == "repeated":
        return "conserving" if written == "conserving" else "repeated"
    raise InputError(path, f"hcal_upsampling is {written!r}; expected conserving or repeated")


def jet_types(present: Container[str]) -> dict[str, dict[str, str]]:
    """Columns of the jets and of their truth, by place in the store."""
    places: dict[str, Mapping[str, tuple[str, ...]]]
    places = {JETS: JET_COLUMNS, TRUE_JETS: TRUE_COLUMNS}
    types = {
        place: {column: _TYPES.get(column, "f4") for column in named(aliases, present)}
        for place, aliases in places.items()
    }
    return {place: columns for place, columns in types.items() if columns}


def identifiers(
    columns: dict[str, NDArray], n_events: int, place: Place, warnings: Counter[str]
) -> Numbers:
    """Run, lumi and event numbers of consecutive entries, of what a file has of them.

    Without run or event number entries are run 1, numbered by row. Numbers written as 32-bit
    floats, as some converters do, are rounded from 2**24 on, which is counted.

    Raises
    ------
    InputError
        For numbers that no event has, if the place is strict.
    """
    given = {name: columns[name] for name in IDENTIFIERS if name in columns}
    if "run" not in given or "event" not in given:
        warnings["events without run or event number: run 1, numbered by row"] += n_events
        given = {"run": np.ones(n_events), "event": place.first + np.arange(n_events)}
    given.setdefault("lumi", np.zeros(n_events))
    plausible.identifiers(place, given["run"], given["lumi"], given["event"])
    if given["event"].dtype == np.float32:
        rounded = int((given["event"] >= 1 << 24).sum())
        if rounded:
            warnings["events whose number is rounded: written as a 32-bit float"] += rounded
    with np.errstate(invalid="ignore"):  # impossible numbers, where they are not refused
        return Numbers(
            given["run"].astype(np.uint32),
            given["lumi"].astype(np.uint32),
            given["event"].astype(np.uint64),
        )


def jet_collections(
    columns: dict[str, NDArray],
    types: dict[str, dict[str, str]],
    n_events: int,
    warnings: Counter[str],
) -> dict[str, Collection]:
    """One jet for each of `n_events` rows, from (n_events,) columns by name."""
    offsets = np.arange(n_events + 1, dtype=np.int64)
    result = {}
    for place, kinds in types.items():
        rows = {}
        for name, kind in kinds.items():
            values = columns[name]
            rows[name] = (values if kind == "f4" else whole(name, values, warnings)).astype(kind)
        result[place] = Collection(offsets, rows)
    return result


def whole(name: str, values: NDArray, warnings: Counter[str]) -> IntArray:
    """Integers, however they are stored; -1, counted, for what is none."""
    values = np.asarray(values, dtype=np.float64)
    good = np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 1 << 30)
    if not good.all():
        warnings[f"{name}: values that are not whole numbers, taken as unknown"] += int(
            (~good).sum()
        )
    return np.where(good, values, -1).astype(np.int64)


def event_labels(values: NDArray, warnings: Counter[str]) -> NDArray[np.int8]:
    """Classes of events as the store numbers them; -1, counted, for any other number."""
    label = whole("y", values, warnings)
    known = np.isin(label, list(LABELS))
    if not known.all():
        warnings["y: values that are no class of the store, taken as unknown"] += int(
            (~known).sum()
        )
    return np.where(known, label, -1).astype(np.int8)


def jet_hits(
    event: IntArray,
    layer: IntArray,
    pixel: IntArray,
    value: NDArray[np.floating],
    n_events: int,
    convention: Upsampling,
    warnings: Counter[str],
    place: Place,
) -> Hits:
    """Crops as hits of the channel JET: cell = layer * 15625 + row * 125 + column.

    The HCAL layer is stored energy-conserving (a tower's energy / 25 in each of its cells).
    """
    value = value.astype(np.float32)
    event, cell, value = positive("JET", event, layer * N_JET_CELLS + pixel, value, warnings, place)
    if convention == "repeated":
        value = np.where(cell // N_JET_CELLS == HCAL_LAYER, value / CRYSTALS, value)
    return Hits.from_events(event, n_events, cell, value)


def tower_hits(
    event: IntArray,
    pixel: IntArray,
    value: NDArray[np.floating],
    first_row: int,
    n_events: int,
    convention: Upsampling,
    warnings: Counter[str],
    place: Place,
) -> Hits:
    """Towers of an HCAL image upsampled to 5 x 5 crystals.

    Parameters
    ----------
    event, pixel, value
        (M,) event from 0, row * 360 + column, and value of the image's cells that are not zero.
    first_row
        Row of the 56 x 72 towers that the image begins with: 11 for the barrel, 0 for all.
    n_events
        Number of events.
    convention
        `conserving`: a tower is the sum of its 25 cells; `repeated`: their mean.
    warnings
        Counts towers whose 25 cells are not equal, which no upsampling gives; they are summed or
        averaged all the same.
    place
        Where the values were read, for errors.
    """
    value = value.astype(np.float32)
    event, pixel, value = positive("HBHE", event, pixel, value, warnings, place)
    tower = (first_row + pixel // 360 // 5) * 72 + pixel % 360 // 5
    key, inverse, counts = np.unique(
        event * N_HBHE + tower, return_inverse=True, return_counts=True
    )
    total = np.bincount(inverse, weights=value, minlength=len(key)).astype(np.float64)
    highest, lowest = np.zeros(len(key)), np.full(len(key), np.inf)
    np.maximum.at(highest, inverse, value)
    np.minimum.at(lowest, inverse, value)
    uneven = (counts != CRYSTALS) | (highest - lowest > _CONSTANT * highest)
    if uneven.any():
        warnings["HBHE: towers whose 25 crystals are not equal"] += int(uneven.sum())
    energy = total if convention == "conserving" else total / CRYSTALS
    return Hits.from_events(key // N_HBHE, n_events, key % N_HBHE, energy)
