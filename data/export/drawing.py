"""A store's events as dense images and stacks of them, a few events at a time, for any output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.progress import progress
from data.detector.images import STACKS, Upsampling, image, lacking, make_image, stack
from data.sources.base import ranges
from data.store import EventStore


def parts(name: str) -> tuple[str, ...]:
    """The images of a stack; an image is its own."""
    return STACKS.get(name, (name,))


def shape_of(name: str) -> tuple[int, ...]:
    """Shape of one event's image or stack."""
    shape = image(parts(name)[0]).shape
    return (*shape, len(STACKS[name])) if name in STACKS else shape


def check(store: EventStore, names: Sequence[str]) -> None:
    """Raise an InputError unless the store has the hits and columns that the images need."""
    columns = {channel: store.hits(channel, 0, 0).columns for channel in store.channels}
    for name in names:
        for part in parts(name):
            if missing := lacking(part, columns):
                here = ", ".join(store.channels) or "none"
                raise InputError(store.path, f"{part} needs {missing}", f"channels here: {here}")


def draw(
    store: EventStore, name: str, upsampling: Upsampling, events_at_a_time: int
) -> Iterator[NDArray[np.float32]]:
    """The images or stacks of consecutive events, (n, rows, columns[, layers])."""
    channels = {channel for part in parts(name) for channel in image(part).channels}
    pieces = list(ranges(0, len(store), events_at_a_time))
    for start, stop in progress(pieces, desc=name, unit="parts"):
        hits = {channel: store.hits(channel, start, stop) for channel in channels}
        if name in STACKS:
            yield stack(STACKS[name], hits, upsampling)
        else:
            yield make_image(name, hits, upsampling)


def diphoton_mass(store: EventStore) -> NDArray[np.float32]:
    """(N,) GeV: the source's own mass where it has one, else that of the store's pair, else 0."""
    of_file, of_pair = store.event("m0_file"), np.nan_to_num(store.event("m_gg"))
    return np.where(np.isfinite(of_file), of_file, of_pair).astype(np.float32)
