"""Sparse pixels: rows of (event, cell of an image, value) that sum up to a dense image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


class Pixels(NamedTuple):
    """Rows that an image is the sum of; a negative cell lies outside of the image.

    Attributes
    ----------
    event, cell
        (M,) int64.
    value
        (M,) float.
    """

    event: IntArray
    cell: IntArray
    value: NDArray[np.floating]


Filler = Callable[[Mapping[str, Hits]], Pixels]


def scatter(layers: Sequence[Pixels], n_events: int, shape: tuple[int, int]) -> FloatArray:
    """Sum values into (n_events, *shape, len(layers)); rows with a negative cell are left out.

    Only the cells that are filled are touched: images are a hundred times emptier than full.
    """
    size = shape[0] * shape[1]
    images = np.zeros((n_events * size, len(layers)), dtype=np.float32)
    for i, (event, cell, value) in enumerate(layers):
        inside = cell >= 0
        key, inverse = np.unique(event[inside] * size + cell[inside], return_inverse=True)
        images[key, i] = np.bincount(inverse, weights=value[inside], minlength=len(key))
    return images.reshape(n_events, *shape, len(layers))


def joined(*fillers: Filler) -> Filler:
    """The rows of all fillers."""

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        parts = [filler(hits) for filler in fillers]
        event, cell, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Pixels(event, cell, value)

    return fill


def moved(filler: Filler, place: Callable[[IntArray], IntArray]) -> Filler:
    """The rows of a filler at other cells."""

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        pixels = filler(hits)
        return pixels._replace(cell=place(pixels.cell))

    return fill


def upsampled(filler: Filler, columns: int, factor: int) -> Filler:
    """Each cell of an image with `columns` columns as `factor` x `factor` cells of equal value."""
    step = np.arange(factor)
    wide = columns * factor

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        event, cell, value = filler(hits)
        row = (cell // columns * factor)[:, None, None] + step[:, None]
        column = (cell % columns * factor)[:, None, None] + step
        spread = np.where(cell[:, None, None] >= 0, row * wide + column, -1)
        count = factor * factor
        return Pixels(np.repeat(event, count), spread.ravel(), np.repeat(value, count))

    return fill
