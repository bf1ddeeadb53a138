"""What every reader offers, and the treatment of hits that all readers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from data.access.remote import RemoteFile
from data.batch import CHANNELS, EventBatch, Hits
from data.detector.detid import eb_cells, ee_cells, hbhe_image_cells, hbhe_towers
from data.detector.geometry import N_HBHE, ecal_cell
from data.sources import plausible
from data.sources.plausible import Place

IntArray = NDArray[np.int64]
MAX_TRACK_ETA = 3.0  # as the paper's ntuple


@dataclass(frozen=True)
class ReadOptions:
    """What to read of a file, beyond hits, photons and vertices.

    Attributes
    ----------
    objects
        Further objects wanted of EDM files, by the last part of their place in the store (`Jet`,
        `Electron`, `Muon`, `MET`, `particles`), or `all`. Formats that hold nothing else bring
        theirs unasked.
    hcal_upsampling
        How imported dense images spread a tower over its 25 crystals: `conserving` (divided by
        25) or `repeated`.
    strict
        Refuse a file with values that no such file holds (`data.sources.plausible`); otherwise
        skip and count them.
    """

    objects: tuple[str, ...] = ()
    hcal_upsampling: Literal["conserving", "repeated"] = "conserving"
    strict: bool = True

    def wants(self, place: str) -> bool:
        """Whether the objects of a place in the store, such as `objects/Jet`, are wanted."""
        return "all" in self.objects or place.rpartition("/")[2] in self.objects


DEFAULT = ReadOptions()


class Source(ABC):
    """An input file of any format.

    Attributes
    ----------
    path
        The file as errors name it: its path, or the address it was fetched or is read from.
        Readers open their file in the constructor, by the path given there.
    format
        `aod`, `miniaod`, `rhtree` or `ig`.
    n_events
        Number of events in the file.
    origin
        `collision` or `simulation`.
    missing
        What the file lacks, of EB, EE, HBHE, TRK and photons.
    channels
        Hit channels it provides, with their columns in the store.
    collections
        Further objects it provides, by their place in the store (`objects/Jet`,
        `truth/particles`), each with the types of its columns.
    has_truth
        Whether its batches carry `truth`.
    strict
        Whether impossible values are refused, or skipped and counted.
    remote
        The remote file that is read in parts, with its counts of bytes and requests.
    warnings
        What was dropped or had to be assumed so far, counted.
    """

    format: str
    n_events: int
    origin: str
    missing: tuple[str, ...] = ()
    channels: dict[str, list[str]]
    collections: dict[str, dict[str, str]]
    has_truth: bool = False

    def __init__(self, path: str | Path, options: ReadOptions = DEFAULT) -> None:
        self.path = str(path)
        self.strict = options.strict
        self.collections = {}
        self.remote: RemoteFile | None = None
        self.holds = ExitStack()  # what must last as long as the source, such as a fetched copy
        self.warnings: Counter[str] = Counter()

    @abstractmethod
    def batches(self, start: int, stop: int, chunk: int) -> Iterator[EventBatch]:
        """Yield the events start:stop in batches of about `chunk` events, in the file's order.

        Raises
        ------
        InputError
            If the file is damaged; the message names branch or member, and entries.
        """

    @property
    def basket_edges(self) -> list[int]:
        """Entries at which the file's blocks begin and end; reading by them repeats no work."""
        return []

    def close(self) -> None:  # noqa: B027  (optional to override)
        """Release the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
        self.holds.close()


def channel_columns(
    missing: tuple[str, ...], timed: tuple[str, ...], with_directions: bool = False
) -> dict[str, list[str]]:
    """Columns of the channels that are not missing.

    `timed` ones have a time; `with_directions` tells that tracks have direction, z and charge.
    """
    return {
        channel: [
            "cell",
            "energy",
            *(["time"] if channel in timed else []),
            *(["eta", "phi", "z", "charge"] if channel == "TRK" and with_directions else []),
        ]
        for channel in CHANNELS
        if channel not in missing
    }


def ranges(start: int, stop: int, chunk: int) -> Iterator[tuple[int, int]]:
    """Split start:stop into consecutive ranges of at most `chunk`."""
    for first in range(start, stop, chunk):
        yield first, min(first + chunk, stop)


def aligned_ranges(
    edges: Sequence[int], start: int, stop: int, chunk: int
) -> Iterator[tuple[int, int]]:
    """Split start:stop at basket edges into ranges of at most `chunk`; larger baskets are cut."""
    first = start
    inner = [edge for edge in edges if start < edge < stop]
    for here, after in pairwise([*inner, stop]):
        if after - first > chunk:
            yield from ranges(first, here, chunk)
            first = here
    yield from ranges(first, stop, chunk)


def ecal_hits(
    channel: str,
    event: IntArray,
    n_events: int,
    detid: NDArray[np.integer],
    energy: NDArray[np.floating],
    time: NDArray[np.floating] | None,
    warnings: Counter[str],
    place: Place,
) -> Hits:
    """EB or EE rechits as the ntuple fills them: energies > 0 only, the last duplicate wins.

    Raises
    ------
    InputError
        For hits that cannot be, unless the place is not strict.
    """
    cell, valid = (eb_cells if channel == "EB" else ee_cells)(detid)
    keep = plausible.hits(place, channel, event, detid, valid, energy, time, warnings)
    keep &= _positive(channel, energy, warnings)
    rows = np.flatnonzero(keep)
    key = event[rows] * 100_000 + cell[rows]
    # Stable: of equal keys the last one is that of the last hit.
    order = np.argsort(key, kind="stable")
    key = key[order]
    is_last = np.append(key[1:] != key[:-1], True)
    if (replaced := len(key) - int(is_last.sum())) > 0:
        warnings[f"{channel}: hits replaced by a later hit of the same crystal"] += replaced
        order = order[is_last[: len(key)]]
    rows = rows[order]
    columns = {} if time is None else {"time": time[rows]}
    return Hits.from_events(event[rows], n_events, cell[rows], energy[rows], **columns)


def hbhe_hits(
    event: IntArray,
    n_events: int,
    detid: NDArray[np.integer],
    energy: NDArray[np.floating],
    warnings: Counter[str],
    place: Place,
) -> Hits:
    """HBHE rechits summed over depths into the cells of the 56 x 72 image; see `ecal_hits`."""
    valid = hbhe_towers(detid).valid
    keep = plausible.hits(place, "HBHE", event, detid, valid, energy, None, warnings)
    keep &= _positive("HBHE", energy, warnings)
    event, energy = event[keep], energy[keep]
    cell, share, hit = hbhe_image_cells(detid[keep], energy)
    key, inverse = np.unique(event[hit] * N_HBHE + cell, return_inverse=True)
    total = np.bincount(inverse, weights=share, minlength=len(key)).astype(np.float64)
    return Hits.from_events(key // N_HBHE, n_events, key % N_HBHE, total)


def track_hits(
    event: IntArray,
    n_events: int,
    pt: NDArray[np.floating],
    eta: NDArray[np.floating],
    phi: NDArray[np.floating],
    z: NDArray[np.floating],
    charge: NDArray[np.integer],
    warnings: Counter[str],
    place: Place,
) -> Hits:
    """Tracks at the ECAL cell that their direction at the origin points to, not propagated.

    Directions and z are kept to a part in 8192 (0.02 of a crystal's width at the barrel's end):
    the rest of their bits does not compress and means nothing.

    Raises
    ------
    InputError
        For tracks that cannot be, unless the place is not strict.
    """
    possible = plausible.tracks(place, event, pt, z, charge, warnings)
    finite = np.isfinite(pt) & np.isfinite(eta) & np.isfinite(phi) & (pt > 0)
    if not finite.all():
        warnings["TRK: tracks without a finite positive pt"] += int((~finite).sum())
    keep = finite & possible & (np.abs(np.where(finite, eta, 0)) < MAX_TRACK_ETA)
    cell = ecal_cell(eta[keep], phi[keep])
    directions = {"eta": eta, "phi": phi, "z": z}
    rounded = {name: rounded_to_bits(column[keep]) for name, column in directions.items()}
    return Hits.from_events(event[keep], n_events, cell, pt[keep], charge=charge[keep], **rounded)


def rounded_to_bits(values: NDArray[np.floating], bits: int = 12) -> NDArray[np.float32]:
    """Floats with all but the leading `bits` of the mantissa's 23 rounded away.

    Round half to even on the bit pattern (Zender, Geosci. Model Dev. 9, 3199, 2016), so that what
    is stored compresses; not-a-number and infinities are kept.
    """
    pattern = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    drop = np.uint32(23 - bits)
    half = (np.uint32(1) << (drop - np.uint32(1))) - np.uint32(1)
    odd = (pattern >> drop) & np.uint32(1)
    rounded = (pattern + half + odd) & ~np.uint32((1 << int(drop)) - 1)
    finite = np.isfinite(pattern.view(np.float32))
    return np.where(finite, rounded, pattern).astype(np.uint32).view(np.float32)


def _positive(
    channel: str, energy: NDArray[np.floating], warnings: Counter[str]
) -> NDArray[np.bool_]:
    if (dropped := int((energy <= 0).sum())) > 0:
        warnings[f"{channel}: hits with E <= 0, skipped as in the ntuple"] += dropped
    return np.asarray(energy > 0)
