"""Run, lumi section and event number from the bytes of CMS's `EventAuxiliary`.

The object is not split into branches and its streamer is not understood by general ROOT readers,
but its head has one layout from CMSSW 1.6 to 14.0 (big endian): a header, a header and a short
string (the process history's hash), a header and the EventID. A header is a byte count of four
bytes with bit 30 set, and a class version of two bytes; version 0 is followed by a checksum of
four bytes. The EventID's payload tells its own layout by its length.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
_COUNT_FLAG = 0x40000000
_EVENT_ID_SIZES = (8, 12, 16)


class EventIds(NamedTuple):
    """Identifiers of N events; lumi is 0 where `has_lumi` is false (before CMSSW 3)."""

    run: NDArray[np.uint32]
    lumi: NDArray[np.uint32]
    event: NDArray[np.uint64]
    has_lumi: NDArray[np.bool_]


class LayoutError(ValueError):
    """The bytes are not an EventAuxiliary; `entry` is the first one at fault."""

    def __init__(self, entry: int, reason: str) -> None:
        self.entry = entry
        self.reason = reason
        super().__init__(f"entry {entry}: {reason}")


class _Cursor:
    """A reading position in each of N byte strings, moved together."""

    def __init__(self, data: NDArray[np.uint8], starts: IntArray, stops: IntArray) -> None:
        self.data, self.at, self.stops = data, starts.astype(np.int64), stops

    def require(self, good: NDArray[np.bool_], reason: str) -> None:
        if not good.all():
            raise LayoutError(int(np.argmin(good)), reason)

    def unsigned(self, size: int) -> IntArray:
        """Read a big-endian number of `size` bytes in every string."""
        self.require(self.at + size <= self.stops, "the bytes end too early")
        value = np.zeros(len(self.at), dtype=np.uint64)
        for i in range(size):
            value = (value << np.uint64(8)) | self.data[self.at + i].astype(np.uint64)
        self.at = self.at + size
        # Numbers of eight bytes stay below 2**63 in CMS; a negative one is refused by the caller.
        return value.astype(np.int64)

    def header(self, what: str) -> IntArray:
        """Read a header; return the length of the payload that follows it."""
        count = self.unsigned(4)
        self.require(count & _COUNT_FLAG != 0, f"no byte count where {what} should begin")
        length = (count & (_COUNT_FLAG - 1)) - 2
        without_version = self.unsigned(2) == 0
        self.require(
            ~without_version | (self.at + 4 <= self.stops), f"the header of {what} ends too early"
        )
        self.at = self.at + np.where(without_version, 4, 0)
        length = length - np.where(without_version, 4, 0)
        self.require((length >= 0) & (self.at <= self.stops), f"impossible length of {what}")
        return length

    def skip_short_string(self) -> None:
        length = self.unsigned(1)
        self.require(length < 255, "a hash longer than 254 bytes")
        self.at = self.at + length
        self.require(self.at <= self.stops, "the hash is longer than the object")


def decode(data: NDArray[np.uint8], offsets: NDArray[np.integer]) -> EventIds:
    """Decode N serialised `EventAuxiliary` objects.

    Parameters
    ----------
    data
        The bytes of all objects, one after the other.
    offsets
        (N+1,) where each begins and the last one ends.

    Raises
    ------
    LayoutError
        If an object does not have the layout above.
    """
    edges: IntArray = offsets.astype(np.int64)
    cursor = _Cursor(np.asarray(data, dtype=np.uint8), edges[:-1], edges[1:])
    cursor.header("EventAuxiliary")
    cursor.header("the process history's hash")
    cursor.skip_short_string()
    size = cursor.header("EventID")
    cursor.require(np.isin(size, _EVENT_ID_SIZES), "an EventID that is not of 8, 12 or 16 bytes")
    has_lumi = size > 8
    run = cursor.unsigned(4)
    lumi = np.zeros(len(size), dtype=np.int64)
    event = np.zeros(len(size), dtype=np.int64)
    for wanted in _EVENT_ID_SIZES:
        rows = np.flatnonzero(size == wanted)
        if len(rows) == 0:
            continue
        part = _Cursor(cursor.data, cursor.at[rows], cursor.stops[rows])
        if wanted > 8:
            lumi[rows] = part.unsigned(4)
        event[rows] = part.unsigned(8 if wanted == 16 else 4)
    cursor.require(event >= 0, "an event number beyond 2**63")
    return EventIds(
        run.astype(np.uint32), lumi.astype(np.uint32), event.astype(np.uint64), has_lumi
    )
