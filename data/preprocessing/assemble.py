"""A reader's batch to rows of the event store: clusters, pair, slots, truth, groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.batch import Collection, EventBatch, Hits
from data.config import Selection
from data.reconstruction import Clusters, find_photons
from data.reconstruction.matching import (
    nearest_in_crystals,
    nearest_in_eta_phi,
    pad,
    without_sharing,
)
from data.selection import MIN_MASS, Pairs, Photons, pair_mass, select, take
from data.store import (
    CLUSTER_FIELDS,
    EVENT_FIELDS,
    PHOTON_FIELDS,
    TRUTH_EVENT_FIELDS,
    TRUTH_PHOTON_FIELDS,
)

Tables = dict[str, dict[str, NDArray]]


class Rows(NamedTuple):
    """What the store writer appends for a batch: tables, hits per channel, further objects."""

    tables: Tables
    hits: dict[str, Hits]
    collections: dict[str, Collection]


IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Context:
    """What the rows of one file have in common.

    source is the file's index in the store; label the class of events that bring none;
    is_simulation whether they are simulated.
    """

    selection: Selection
    label: int
    source: int
    is_simulation: bool


def assemble(batch: EventBatch, context: Context, first_entry: int, warnings: Counter[str]) -> Rows:
    """Tables, hits and objects of the events that the selection keeps.

    Parameters
    ----------
    batch
        N consecutive events.
    first_entry
        Entry number of the batch's first event in its file.
    warnings
        Counts of what had to be left out.
    """
    n_events = len(batch)
    vertex_z = np.zeros(n_events) if batch.vertex_z is None else np.nan_to_num(batch.vertex_z)
    barrel = batch.hits.get("EB") or Hits.empty(n_events)
    clusters = find_photons(barrel, batch.hits.get("HBHE"), vertex_z)
    photons, cluster, distance = _photons(batch, clusters)
    pairs = select(photons, n_events, context.selection, cluster >= 0, warnings)
    pairs = _as_the_file_selected(pairs, batch, context.selection)
    slot = without_sharing(
        take(cluster, pairs.row, -1).astype(np.int64), take(distance, pairs.row, np.inf)
    )
    if context.selection == "pair":
        pairs = Pairs(pairs.row, np.asarray((slot >= 0).all(axis=1)))
    tables: Tables = {
        "event": _event_table(batch, context, first_entry, photons, pairs),
        "photons": _photon_table(photons, pairs.row),
        "clusters": _cluster_table(clusters, slot),
        "vertex": {"z": vertex_z},
    }
    if batch.truth is not None:
        tables |= _truth_tables(batch.truth, tables["clusters"], n_events)
    keep = np.full(n_events, True) if context.selection == "none" else pairs.passes
    kept = {
        group: {name: column[keep] for name, column in columns.items()}
        for group, columns in tables.items()
    }
    return Rows(
        kept,
        {channel: hits.select(keep) for channel, hits in batch.hits.items()},
        {name: objects.select(keep) for name, objects in batch.collections.items()},
    )


def _photons(batch: EventBatch, clusters: Clusters) -> tuple[Photons, IntArray, NDArray]:
    """The photons, and for each its standard cluster (-1 for none) and the distance to it."""
    if batch.photons is None:
        photons = Photons.from_clusters(clusters)
        rows = np.arange(len(clusters.event))
        return photons, rows, np.zeros(len(rows))
    photons = Photons.from_source(batch.photons)
    rows, distance = nearest_in_eta_phi(
        photons.event, photons.eta, photons.phi,
        pad(clusters.event, len(batch)), clusters.eta, clusters.phi,
    )  # fmt: skip
    return photons, rows, distance


def _as_the_file_selected(pairs: Pairs, batch: EventBatch, selection: Selection) -> Pairs:
    """Take the word of an ntuple that has no photons, but the mass of those it was selected by.

    The ntuple's m0 was computed from CMS's photons, which are better than anything its hits can
    give back, so its m0 decides whether an event passed the 2012 selection.
    """
    if batch.photons is not None or batch.m0 is None or selection not in ("none", "diphoton2012"):
        return pairs
    return Pairs(pairs.row, np.asarray(batch.m0) >= MIN_MASS)


def _event_table(
    batch: EventBatch, context: Context, first_entry: int, photons: Photons, pairs: Pairs
) -> dict[str, NDArray]:
    n_events = len(batch)
    unknown = np.full(n_events, -1)
    columns = {
        "run": batch.run,
        "lumi": batch.lumi,
        "event": batch.event,
        "label": _label(batch, context),
        "event_weight": (batch.truth or {}).get("weight", np.ones(n_events)),
        "m_gg": pair_mass(photons, pairs.row),
        "m0_file": np.full(n_events, np.nan) if batch.m0 is None else batch.m0,
        "n_vertices": unknown if batch.n_vertices is None else batch.n_vertices,
        "group": event_groups(batch, context, first_entry),
        "source": np.full(n_events, context.source),
        "selected": pairs.passes,
    }
    return {name: columns[name].astype(dtype) for name, dtype in EVENT_FIELDS.items()}


def _label(batch: EventBatch, context: Context) -> NDArray:
    """The simulation's own class of each event, else the one given, else the source's."""
    if batch.truth is not None:
        return np.asarray(batch.truth["process"])
    if batch.label is not None and context.label < 0:
        return batch.label
    return np.full(len(batch), context.label)


def event_groups(batch: EventBatch, context: Context, first_entry: int) -> IntArray:
    """(N,) numbers shared by exactly the events that must not be split between samples.

    Simulated events with truth: those of one parton event of one process, across files.
    Collisions: every run and event number is its own group, so that a collision found in two
    files stays together. Imported jets: those of one run and event number. Other simulated events:
    every entry of every file.
    """
    if batch.truth is not None:
        return simulated_groups(batch.truth["process"], batch.truth["group"])
    number = batch.event.astype(np.int64) & ((1 << 40) - 1)
    if batch.is_numbered:
        return (1 << 59) | ((batch.run.astype(np.int64) & 0x7FFFF) << 40) | number
    if context.is_simulation:
        entry = first_entry + np.arange(len(batch), dtype=np.int64)
        return (1 << 61) | (np.int64(context.source & 0xFFFFF) << 40) | entry
    run = batch.run.astype(np.int64) & 0xFFFFF
    return (1 << 60) | (run << 40) | number


def simulated_groups(process: ArrayLike, group: ArrayLike) -> IntArray:
    """Numbers of parton events (N,) that are distinct between processes too."""
    kind = np.asarray(process, dtype=np.int64) + 1
    number = np.asarray(group, dtype=np.int64) & ((1 << 48) - 1)
    return (1 << 62) | ((kind & 0xFF) << 48) | number


def _photon_table(photons: Photons, row: IntArray) -> dict[str, NDArray]:
    return {
        name: take(getattr(photons, name), row, -1 if name == "seed" else np.nan).astype(dtype)
        for name, dtype in PHOTON_FIELDS.items()
    }


def _cluster_table(clusters: Clusters, slot: IntArray) -> dict[str, NDArray]:
    return {
        name: take(getattr(clusters, name), slot, -1 if name == "seed" else np.nan).astype(dtype)
        for name, dtype in CLUSTER_FIELDS.items()
    }


def _truth_tables(
    truth: dict[str, ak.Array], clusters: dict[str, NDArray], n_events: int
) -> Tables:
    photons = truth["photons"]
    event = np.repeat(np.arange(n_events), ak.to_numpy(ak.num(photons, axis=1)))
    columns = {n: ak.to_numpy(ak.flatten(photons[n], axis=1)) for n in TRUTH_PHOTON_FIELDS}
    row, distance = nearest_in_crystals(
        clusters["u"].astype(np.float64), clusters["v"].astype(np.float64),
        pad(event, n_events), columns["u"], columns["v"],
    )  # fmt: skip
    row = without_sharing(row, distance)
    return {
        "truth": {n: np.asarray(truth[n]).astype(d) for n, d in TRUTH_EVENT_FIELDS.items()},
        "truth/photons": {
            n: take(columns[n], row).astype(d) for n, d in TRUTH_PHOTON_FIELDS.items()
        },
    }
