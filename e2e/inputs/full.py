"""Images of the whole detector, kept sparse: scaled by the pair's mass, then cut, or left raw.

Crops may be scaled by their own photon; a whole image knows no photon, so that only the mass of
the pair can make it blind. Pile-up has a scale of its own: how many of its soft hits lie above a
cut relative to the mass tells the mass, so that the cuts are higher than those of crops.
Geometries and channels are those of `data.detector.image_table`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError, InputError
from data.batch import Hits
from data.detector.images import IMAGES, STACKS, lacking, make_pixels
from data.store import EventStore
from e2e.config import InputConfig
from e2e.inputs.kinematics import Pairs
from e2e.inputs.sparse import SparseImages

# Name: planes of channels. One plane is an image (C, h, w); two are (2, C, h, w).
FULL_IMAGES: dict[str, tuple[tuple[str, ...], ...]] = {
    "EB": (("EB_energy",),),
    "EB3": (STACKS["X_EB"],),
    "EE": (("EEm_energy",), ("EEp_energy",)),
    "EE2": (("EEm_energy", "HBHE_energy_EEm"), ("EEp_energy", "HBHE_energy_EEp")),
    "ECAL": (("ECAL_energy",),),
    "ECAL3": (STACKS["X_ECAL_stacked"],),
    "HCAL": (("HBHE_energy",),),
    "HCAL2": (("HBHE_EMenergy", "HBHE_energy"),),
    "HCAL3": (("HBHE_tracksPt", "HBHE_EMenergy", "HBHE_energy"),),
}


RAW = "_raw"  # after a name: energies in GeV as they are


def planes_of(name: str) -> tuple[tuple[str, ...], ...]:
    """The planes of an image, and the channels of each."""
    return FULL_IMAGES[name.removesuffix(RAW)]


def check_names(store: EventStore, names: list[str]) -> None:
    """Whether the images are known and the store has their channels.

    Raises
    ------
    ConfigError
        For a name that is not in `FULL_IMAGES`.
    InputError
        If the store lacks a channel of an image.
    """
    for name in names:
        if name.removesuffix(RAW) not in FULL_IMAGES:
            raise ConfigError(f"inputs.full: no image {name!r}; there are {', '.join(FULL_IMAGES)}")
        for channel in (c for plane in planes_of(name) for c in plane):
            absent = lacking(channel, dict.fromkeys(store.channels))
            if absent:
                remedy = f"leave {name} out of inputs.full"
                raise InputError(store.path, f"image {name}: {channel} needs {absent}", remedy)


def read_full(
    store: EventStore, pairs: Pairs, config: InputConfig, start: int, stop: int
) -> dict[str, SparseImages]:
    """The images `config.full` of events start:stop, whose pairs are given."""
    if not config.full:
        return {}
    planes = [plane for name in config.full for plane in planes_of(name)]
    needed = {channel for plane in planes for name in plane for channel in IMAGES[name].channels}
    hits = {channel: store.hits(channel, start, stop) for channel in sorted(needed)}
    found: dict[str, SparseImages] = {}
    for raw in (False, True):
        names = [name for name in config.full if name.endswith(RAW) == raw]
        kept = blind_events(hits, pairs, config, raw) if names else {}
        found |= {name: _image(planes_of(name), kept, len(pairs)) for name in names}
    return found


def event_scale(pairs: Pairs, config: InputConfig) -> NDArray[np.float64]:
    """(N,) factor that makes each event's energies mass-blind, NaN without a pair."""
    return np.where(pairs.complete, config.reference_mass / pairs.mass, np.nan)


def blind_events(
    hits: Mapping[str, Hits], pairs: Pairs, config: InputConfig, raw: bool = False
) -> dict[str, Hits]:
    """Every hit scaled, then cut, in the order that `WindowHits.scaled` explains; raw: as it is."""
    scale = np.ones(len(pairs)) if raw else event_scale(pairs, config)
    return {
        channel: scaled_hits(rows, channel, scale, 0.0 if raw else config.full_cuts[channel])
        for channel, rows in hits.items()
    }


def scaled_hits(hits: Hits, channel: str, scale: NDArray[np.floating], cut: float) -> Hits:
    """Hits of cells (one per cell and event), times the event's factor, from `cut` upwards.

    Of a crystal's repeated hits the last counts; depths of a tower, and tracks at a cell, are
    summed before the cut.
    """
    key = hits.event << 32 | hits.cell.astype(np.int64)
    used = hits.energy > 0
    key, energy = key[used], hits.energy[used].astype(np.float64)
    if channel in ("EB", "EE"):
        cells, backwards = np.unique(key[::-1], return_index=True)
        total: NDArray[np.float64] = energy[::-1][backwards]
    else:
        cells, inverse = np.unique(key, return_inverse=True)
        total = np.bincount(inverse, energy, len(cells)).astype(np.float64)
    event = cells >> 32
    scaled = total * scale[event]
    keep = (scaled >= cut) & (scaled > 0)  # False for NaN
    return Hits.from_events(
        event[keep], len(hits), (cells & 0xFFFFFFFF)[keep], scaled[keep].astype(np.float32)
    )


def _image(
    planes: tuple[tuple[str, ...], ...], hits: Mapping[str, Hits], n_events: int
) -> SparseImages:
    height, width = IMAGES[planes[0][0]].shape
    events, pixels, values = [], [], []
    for index, name in enumerate(name for plane in planes for name in plane):
        event, cell, value = make_pixels(name, hits)
        inside = cell >= 0
        events.append(event[inside])
        pixels.append(index * height * width + cell[inside])
        values.append(value[inside])
    shape = (len(planes[0]), height, width)
    return SparseImages.from_entries(
        np.concatenate(events), np.concatenate(pixels), np.concatenate(values), n_events,
        shape if len(planes) == 1 else (len(planes), *shape),
    )  # fmt: skip
