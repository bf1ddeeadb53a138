"""Images of single jets: windows of the stitched geometry round the jet's seed tower.

As the analyser of arXiv:1902.08276 does: the seed is the most energetic HBHE tower among the 7 x 7
round the jet's axis, and the window is the 125 x 125 cells round the seed's central crystal, in the
tracks, the ECAL and the towers upsampled to crystals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from common.errors import ConfigError
from data.batch import Hits
from data.detector.geometry import ECAL_SHAPE, HBHE_SHAPE, N_HBHE, hbhe_cell
from data.detector.image_table import STACKS
from data.detector.images import Upsampling, image, make_pixels
from data.detector.pixels import FloatArray, IntArray, Pixels, scatter

JET_SIZE = 125  # cells a side: 25 towers
JET_LAYERS = STACKS["X_ECAL_stacked"]
SEARCH = 7  # towers a side, round the axis


def jet_seeds(
    hbhe_hits: Hits, event: ArrayLike, eta: ArrayLike, phi: ArrayLike
) -> tuple[IntArray, IntArray]:
    """The most energetic HBHE tower near each jet's axis.

    Parameters
    ----------
    hbhe_hits
        Towers of N events.
    event
        (M,) index of each jet's event in `hbhe_hits`.
    eta, phi
        (M,) direction of the jet's axis, as seen from the origin.

    Returns
    -------
    row, column
        (M,) of the 56 x 72 towers each (the ntuple's jetSeed_ieta, jetSeed_iphi). The tower under
        the axis if no tower of the window has energy; -1 for axes beyond |eta| = 3.
    """
    event = np.asarray(event, dtype=np.int64)
    axis = hbhe_cell(eta, phi)
    steps = np.arange(SEARCH) - SEARCH // 2
    rows = (axis // 72)[:, None, None] + steps[:, None]
    columns = ((axis % 72)[:, None, None] + steps) % 72
    inside = (rows >= 0) & (rows < HBHE_SHAPE[0]) & (axis >= 0)[:, None, None]
    energy = np.where(inside, _tower_energy(hbhe_hits, event, rows * 72 + columns), -1.0)
    energy = energy.reshape(len(axis), SEARCH**2)
    best, centre = np.argmax(energy, axis=1), SEARCH**2 // 2
    highest = np.take_along_axis(energy, best[:, None], axis=1)[:, 0]
    best = np.where(highest > energy[:, centre], best, centre)
    row = axis // 72 + steps[best // SEARCH]
    column = (axis % 72 + steps[best % SEARCH]) % 72
    return np.where(axis >= 0, row, -1), np.where(axis >= 0, column, -1)


def _tower_energy(hits: Hits, event: IntArray, wanted: IntArray) -> NDArray[np.float64]:
    """Energy of the wanted (M, ...) towers of each jet's event, 0 where there is none."""
    key, inverse = np.unique(hits.event * N_HBHE + hits.cell.astype(np.int64), return_inverse=True)
    if len(key) == 0:
        return np.zeros(wanted.shape)
    total = np.bincount(inverse, weights=hits.energy)
    target = event.reshape(-1, *[1] * (wanted.ndim - 1)) * N_HBHE + wanted
    position = np.searchsorted(key, target).clip(max=len(key) - 1)
    return np.where(key[position] == target, total[position], 0.0)


def contained(seed_row: ArrayLike) -> NDArray[np.bool_]:
    """Whether a jet's window lies wholly inside the detector, rows 12 to 43 (|ieta| <= 16).

    The authors' analyser drops the other jets.
    """
    row = np.asarray(seed_row, dtype=np.int64)
    half = JET_SIZE // 2
    return (row >= 0) & (row * 5 + 2 - half >= 0) & (row * 5 + 2 + half < ECAL_SHAPE[0])


def jet_crops(
    hits: Mapping[str, Hits],
    event: ArrayLike,
    seed_row: ArrayLike,
    seed_column: ArrayLike,
    layers: Sequence[str] = JET_LAYERS,
    size: int = JET_SIZE,
    upsampling: Upsampling = "conserving",
) -> FloatArray:
    """Windows of stitched images round the central crystal, 5 x seed + 2, of each jet's seed.

    Made from the sparse hits: no dense image of the event is filled on the way.

    Parameters
    ----------
    hits
        Hits by channel, of N events.
    event
        (M,) index of each jet's event in `hits`.
    seed_row, seed_column
        (M,) seed tower, see `jet_seeds`; a jet with row -1 gets an empty window.
    layers
        Names of 280 x 360 images.
    size
        Cells a side, odd.
    upsampling
        See `data.detector.images.make_image`.

    Returns
    -------
    (M, size, size, len(layers)) float32, indexed [eta row, phi column]; phi wraps round, rows
    beyond the detector hold 0.

    Raises
    ------
    ConfigError
        For an even size, a layer of another shape, and as `make_image`.
    """
    if size % 2 == 0 or not 0 < size < ECAL_SHAPE[1]:
        raise ConfigError(f"a window of {size} cells: the size must be odd and below 360")
    for name in layers:
        if image(name).shape != ECAL_SHAPE:
            raise ConfigError(f"{name} is no 280 x 360 image: a jet's window needs such layers")
    windows = jet_pixels(hits, event, seed_row, seed_column, layers, size, upsampling)
    return scatter(windows, len(np.asarray(event)), (size, size))


def jet_pixels(
    hits: Mapping[str, Hits],
    event: ArrayLike,
    seed_row: ArrayLike,
    seed_column: ArrayLike,
    layers: Sequence[str] = JET_LAYERS,
    size: int = JET_SIZE,
    upsampling: Upsampling = "conserving",
) -> list[Pixels]:
    """The filled pixels of each layer of the windows that `jet_crops` makes dense.

    Returns
    -------
    One `Pixels` a layer: `event` is the jet, `cell` is row * size + column, -1 outside.
    """
    event, row, column = (np.asarray(a, dtype=np.int64) for a in (event, seed_row, seed_column))
    return [
        _windows(make_pixels(name, hits, upsampling), event, row, column, size) for name in layers
    ]


def _windows(pixels: Pixels, event: IntArray, row: IntArray, column: IntArray, size: int) -> Pixels:
    """The pixels of each jet's event, at their cells of the jet's window."""
    order = np.argsort(pixels.event, kind="stable")
    first, last = (np.searchsorted(pixels.event[order], event, side=s) for s in ("left", "right"))
    count = np.where(row >= 0, last - first, 0)
    jet = np.repeat(np.arange(len(event)), count)
    # Consecutive pixels from `first` for each jet: a running number less the jets before.
    source = order[np.arange(count.sum()) + np.repeat(first - (np.cumsum(count) - count), count)]
    cell = pixels.cell[source]
    down = cell // 360 - (row[jet] * 5 + 2) + size // 2
    right = (cell % 360 - (column[jet] * 5 + 2) + size // 2) % 360
    inside = (cell >= 0) & (down >= 0) & (down < size) & (right < size)
    return Pixels(jet, np.where(inside, down * size + right, -1), pixels.value[source])
