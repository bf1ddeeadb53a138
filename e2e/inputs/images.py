"""Crops and context images: mass-blind pictures of both photons, kept sparse.

An event's crops are (2, 3, S, S): for each photon, tracks, ECAL and HCAL in crystals, rows along
eta and columns along phi, centred on the crystal corner nearest to the photon so that mirroring
an image mirrors the photon. The context is (2, 3, B, B): the same channels over a wider region
centred on the seed crystal, in bins of a few crystals a side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.store import EventStore
from e2e.config import InputConfig
from e2e.inputs.kinematics import Pairs
from e2e.inputs.sparse import SparseImages
from e2e.inputs.windows import COLUMNS, IMAGE_CHANNELS, WindowHits, window_hits

# Row, column and "inside" of each hit in an image.
Place = Callable[[WindowHits], tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]]


def read_windows(
    store: EventStore, seed: NDArray[np.integer], start: int, stop: int, half: int
) -> dict[str, WindowHits]:
    """Unscaled hits round the photons (seeds (N, 2)) of events start:stop.

    Channels that the store lacks are absent.
    """
    return {
        channel: window_hits(channel, store.hits(channel, start, stop), seed, half)
        for channel in IMAGE_CHANNELS
        if channel in store.channels
    }


def half_window(config: InputConfig) -> int:
    """Half width in crystals of the region that holds context and crops."""
    return max((config.context_bins * config.context_bin) // 2, config.crop_size // 2 + 2)


def photon_scale(pairs: Pairs, config: InputConfig) -> NDArray[np.float64]:
    """(2 N,) factor that makes each photon's hits mass-blind; NaN where it is unknown.

    A photon of half the reference mass in pt keeps its energies, as does a pair of the reference
    mass.
    """
    if config.scale == "mass":
        scale = np.where(pairs.complete, config.reference_mass / pairs.mass, np.nan)
        return np.repeat(scale, 2)
    return (config.reference_mass / 2 / pairs.pt).ravel()


def blind_hits(
    windows: dict[str, WindowHits], pairs: Pairs, config: InputConfig
) -> dict[str, WindowHits]:
    """Scale every hit, then cut: all that networks and the boosted tree ever see.

    Towers are cut as towers, and only then spread over their crystals.
    """
    scale, half = photon_scale(pairs, config), half_window(config)
    return {
        channel: hits.scaled(scale, config.cuts[channel]).spread(half)
        for channel, hits in windows.items()
    }


def crops(blind: dict[str, WindowHits], pairs: Pairs, config: InputConfig) -> SparseImages:
    """(2, 3, S, S) crops of N events."""
    size = config.crop_size
    first_row, first_column = _corner_offsets(pairs, size)
    shape = (2, len(IMAGE_CHANNELS), size, size)

    def place(hits: WindowHits) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        row = hits.du - first_row[hits.photon]
        column = hits.dv - first_column[hits.photon]
        return row, column, (row >= 0) & (row < size) & (column >= 0) & (column < size)

    return _assemble(blind, place, len(pairs), shape)


def context(blind: dict[str, WindowHits], pairs: Pairs, config: InputConfig) -> SparseImages:
    """(2, 3, B, B) context images of N events."""
    bins, width = config.context_bins, config.context_bin
    half = bins * width // 2
    shape = (2, len(IMAGE_CHANNELS), bins, bins)

    def place(hits: WindowHits) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        inside = (np.abs(hits.du) <= half) & (np.abs(hits.dv) <= half)
        return (hits.du + half) // width, (hits.dv + half) // width, inside

    return _assemble(blind, place, len(pairs), shape)


def _corner_offsets(pairs: Pairs, size: int) -> tuple[NDArray, NDArray]:
    """(2 N,) rows and columns from the seed to a crop's first crystal."""
    row = np.nan_to_num(np.rint(pairs.u)).astype(np.int64) - pairs.seed // COLUMNS
    column = np.nan_to_num(np.rint(pairs.v)).astype(np.int64) - pairs.seed % COLUMNS
    column = (column + COLUMNS // 2) % COLUMNS - COLUMNS // 2
    return row.ravel() - size // 2, column.ravel() - size // 2


def _assemble(
    blind: dict[str, WindowHits], place: Place, n_events: int, shape: tuple[int, ...]
) -> SparseImages:
    """Put each channel's hits where `place` says."""
    events, pixels, values = [], [], []
    for index, channel in enumerate(IMAGE_CHANNELS):
        if channel not in blind:
            continue
        hits = blind[channel]
        row, column, inside = place(hits)
        image = (hits.photon % 2) * shape[1] + index
        pixel = (image * shape[2] + row) * shape[3] + column
        events.append((hits.photon // 2)[inside])
        pixels.append(pixel[inside])
        values.append(hits.energy[inside])
    return SparseImages.from_entries(
        np.concatenate(events), np.concatenate(pixels), np.concatenate(values), n_events, shape
    )
