"""Crops and context images: mass-blind pictures of both photons, kept sparse.

An event's crops are (2, 3, S, S): for each photon, tracks, ECAL and HCAL in crystals, rows along
eta and columns along phi, centred on the crystal corner nearest to the photon so that mirroring
an image mirrors the photon. The context is (2, 3, B, B): the same channels over a wider region
centred on the seed crystal, in bins of a few crystals a side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    store: EventStore, pairs: Pairs, config: InputConfig, start: int, stop: int
) -> dict[str, WindowHits]:
    """Unscaled hits round the photons of events start:stop, whose pairs are given.

    Channels that the store lacks are absent. Tracks are stored where their direction at the
    vertex points to; unless `config.tracks` is `vertex` each photon sees them moved by its own
    displacement, so that a track along the photon lies on it wherever the vertex was.
    """
    half = half_window(config)
    moved = pairs.displacement if config.tracks == "face" else None
    return {
        channel: window_hits(
            channel,
            store.hits(channel, start, stop),
            pairs.seed,
            half,
            moved if channel == "TRK" else None,
        )
        for channel in IMAGE_CHANNELS
        if channel in store.channels
    }


def half_window(config: InputConfig) -> int:
    """Half width in crystals of the region that holds context and crops."""
    return max((config.context_bins * config.context_bin) // 2, config.crop_size // 2 + 2)


def photon_scale(pairs: Pairs, config: InputConfig) -> NDArray[np.float64]:
    """(2 N,) factor that makes each photon's hits mass-blind (`none`: 1); NaN where it is unknown.

    A photon of half the reference mass in pt keeps its energies, as does a pair of the reference
    mass.
    """
    if config.scale == "none":
        return np.where(pairs.seed >= 0, 1.0, np.nan).ravel()
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
    shape = (2, len(IMAGE_CHANNELS), size, size)
    channels = [blind.get(channel) for channel in IMAGE_CHANNELS]
    return _assemble(channels, _crop_place(pairs, size), len(pairs), shape)


def crystal_crops(hits: WindowHits, pairs: Pairs, config: InputConfig) -> SparseImages:
    """(2, 1, S, S) of one quantity of crystals, as it is, at the place of the crops."""
    size = config.crop_size
    return _assemble([hits], _crop_place(pairs, size), len(pairs), (2, 1, size, size))


def crop_corners(pairs: Pairs, config: InputConfig) -> NDArray[np.int32]:
    """(N, 2, 2) row in [-S/2, 170) and column in [0, 360) of each crop's first crystal."""
    row, column = _corner_offsets(pairs, config.crop_size)
    seed = pairs.seed.ravel()
    corner = [seed // COLUMNS + row, (seed % COLUMNS + column) % COLUMNS]
    return np.stack(corner, axis=1).reshape(-1, 2, 2).astype(np.int32)


def context(blind: dict[str, WindowHits], pairs: Pairs, config: InputConfig) -> SparseImages:
    """(2, 3, B, B) context images of N events."""
    bins, width = config.context_bins, config.context_bin
    half = bins * width // 2
    shape = (2, len(IMAGE_CHANNELS), bins, bins)

    def place(hits: WindowHits) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        inside = (np.abs(hits.du) <= half) & (np.abs(hits.dv) <= half)
        return (hits.du + half) // width, (hits.dv + half) // width, inside

    channels = [blind.get(channel) for channel in IMAGE_CHANNELS]
    return _assemble(channels, place, len(pairs), shape)


def _crop_place(pairs: Pairs, size: int) -> Place:
    first_row, first_column = _corner_offsets(pairs, size)

    def place(hits: WindowHits) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        row = hits.du - first_row[hits.photon]
        column = hits.dv - first_column[hits.photon]
        return row, column, (row >= 0) & (row < size) & (column >= 0) & (column < size)

    return place


def _corner_offsets(pairs: Pairs, size: int) -> tuple[NDArray, NDArray]:
    """(2 N,) rows and columns from the seed to a crop's first crystal."""
    row = np.nan_to_num(np.rint(pairs.u)).astype(np.int64) - pairs.seed // COLUMNS
    column = np.nan_to_num(np.rint(pairs.v)).astype(np.int64) - pairs.seed % COLUMNS
    column = (column + COLUMNS // 2) % COLUMNS - COLUMNS // 2
    return row.ravel() - size // 2, column.ravel() - size // 2


def _assemble(
    channels: Sequence[WindowHits | None], place: Place, n_events: int, shape: tuple[int, ...]
) -> SparseImages:
    """Put each channel's hits where `place` says; a channel that is None stays empty."""
    events, pixels, values = [], [], []
    for index, hits in enumerate(channels):
        if hits is None:
            continue
        row, column, inside = place(hits)
        image = (hits.photon % 2) * shape[1] + index
        pixel = (image * shape[2] + row) * shape[3] + column
        events.append((hits.photon // 2)[inside])
        pixels.append(pixel[inside])
        values.append(hits.energy[inside])
    return SparseImages.from_entries(
        np.concatenate(events), np.concatenate(pixels), np.concatenate(values), n_events, shape
    )
