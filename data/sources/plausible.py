"""What no CMS file holds: values out of range, DetIds out of order, more hits than channels.

ROOT's ZSTD and uncompressed blocks carry no checksum, so a flipped bit in one reads back as other
numbers. Most such numbers are impossible ones; these checks refuse them. Limits leave room for
everything that a detector, its noise and badly measured tracks give. They cost a few minima and
maxima per batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.detector.geometry import EE_VALID

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
REMEDY = "the file is damaged: fetch it again and compare its checksum"
SKIPPABLE = f"{REMEDY}; strict=false skips and counts such values"


class Limit(NamedTuple):
    """Range that a quantity of real files never leaves."""

    low: float
    high: float


# An ECAL channel saturates at 2 TeV (EB) or 3 TeV (EE) before its transparency correction, so a
# saturated one may exceed the beam's energy. Noise is small: -7 GeV is the least of 400,000 hits.
HIT_ENERGY = Limit(-1_000.0, 30_000.0)
# Energies are sums of weighted ADC counts: exactly 0, or far above this. A flipped bit in a zero
# gives 2**-149 to 2**-126.
LEAST_ENERGY = 1e-20
HIT_TIME = Limit(-1_000.0, 1_000.0)  # ns; ten samples of 25 ns give at most 132 (measured)
# Straight fakes have any momentum: what is above the beam's energy is counted, not refused.
TRACK_PT = Limit(0.0, 1e7)
BEAM_ENERGY = 7_000.0
TRACK_Z = Limit(-1e5, 1e5)  # cm
CHARGE = Limit(-1, 1)
VERTEX_Z = Limit(-1e4, 1e4)  # cm
DIPHOTON_MASS = Limit(-1_000.0, 30_000.0)  # -1 and -999 stand for none in some ntuples
PHOTON = {
    "pt": Limit(0.0, 30_000.0),
    "energy": Limit(0.0, 3e5),
    "eta": Limit(-6.0, 6.0),  # seen from a vertex; the calorimeter ends at 3
    "phi": Limit(-6.3, 6.3),  # either convention
}
RUN, LUMI, EVENT = Limit(1, 10**7), Limit(0, 10**9), Limit(0, 1 << 48)  # run 1: simulation
# Channels of each detector (HBHE with the depths of 2018), and no more objects than these.
MOST = {
    "EB": 61_200, "EE": 14_648, "HBHE": 16_128, "TRK": 50_000, "photons": 5_000, "vertices": 5_000,
    "objects": 200_000,
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where values were read, for messages.

    Attributes
    ----------
    path, what
        File, and its branch, product or collection.
    first
        Entry of the batch's first event.
    strict
        Refuse impossible values; otherwise skip and count them.
    is_edm
        DetIds are sorted and all numbers finite, as CMSSW writes them.
    members
        Names of the batch's events where they have one.
    """

    path: str | Path
    what: str
    first: int
    strict: bool = True
    is_edm: bool = True
    members: Sequence[str] | None = None

    def error(self, event: int, problem: str, remedy: str = REMEDY) -> InputError:
        """An InputError about an event of the batch."""
        where = f"entry {self.first + event}" if self.members is None else self.members[event]
        return InputError(self.path, f"{self.what}, {where}: {problem}", remedy)


def inside(values: NDArray, limit: Limit) -> bool:
    """Whether all values are in the range; not-a-number is not."""
    return len(values) == 0 or bool(values.min() >= limit.low and values.max() <= limit.high)


def hits(
    place: Place,
    channel: str,
    event: IntArray,
    detid: NDArray[np.integer],
    valid: BoolArray,
    energy: NDArray[np.floating],
    time: NDArray[np.floating] | None,
    warnings: Counter[str],
) -> BoolArray:
    """(M,) which rechits can be used; `valid` tells whose DetId names a cell.

    Raises
    ------
    InputError
        For an impossible hit, if the place is strict.
    """
    usable = valid
    if not valid.all():
        found = [f"DetId {int(d) & 0xFFFFFFFF:#010x} names no cell of {channel}" for d in
                 detid[~valid][:1]]  # fmt: skip
        refuse(place, event, ~valid, found[0], f"{channel}: hits whose DetId names no cell",
                warnings)  # fmt: skip
    if place.is_edm:
        _check_order(place, channel, event, detid, warnings)
    usable = usable & energies(place, channel, event, energy, warnings)
    if time is not None:
        usable = usable & times(place, channel, event, time, warnings)
    return usable


def energies(
    place: Place, channel: str, event: IntArray, energy: NDArray, warnings: Counter[str]
) -> BoolArray:
    """(M,) which hits have a possible energy; see `hits`."""
    size = np.abs(energy)
    if inside(energy, HIT_ENERGY) and not ((size < LEAST_ENERGY) & (size > 0)).any():
        return np.ones(len(energy), dtype=bool)
    finite = np.isfinite(energy)
    if not finite.all():
        text = f"{channel}: hits with an energy that is not finite"
        if place.is_edm:
            problem = f"energy {energy[~finite][0]} where a number is expected"
            refuse(place, event, ~finite, problem, text, warnings)
        else:
            warnings[text] += int((~finite).sum())
    bad = (energy < HIT_ENERGY.low) | (energy > HIT_ENERGY.high)
    bad = finite & (bad | ((size < LEAST_ENERGY) & (size > 0)))
    if bad.any():
        problem = (
            f"energy {energy[bad][0]:g} GeV; expected {HIT_ENERGY.low:g} to {HIT_ENERGY.high:g}, "
            f"and 0 or at least {LEAST_ENERGY:g}"
        )
        text = f"{channel}: hits with an impossible energy"
        refuse(place, event, bad, problem, text, warnings)
    return finite & ~bad


def times(
    place: Place, channel: str, event: IntArray, time: NDArray, warnings: Counter[str]
) -> BoolArray:
    """(M,) which hits have a possible time; see `hits`."""
    if inside(time, HIT_TIME):
        return np.ones(len(time), dtype=bool)
    bad = ~((time >= HIT_TIME.low) & (time <= HIT_TIME.high))
    if not place.is_edm:
        bad &= np.isfinite(time)
    if bad.any():
        problem = f"time {time[bad][0]:g} ns; expected {HIT_TIME.low:g} to {HIT_TIME.high:g}"
        text = f"{channel}: hits with an impossible time"
        refuse(place, event, bad, problem, text, warnings)
    return ~bad


def tracks(
    place: Place,
    event: IntArray,
    pt: NDArray[np.floating],
    z: NDArray[np.floating],
    charge: NDArray[np.integer],
    warnings: Counter[str],
) -> BoolArray:
    """(M,) which tracks can be used; see `hits`."""
    if not (inside(pt, TRACK_PT) and inside(z, TRACK_Z) and inside(charge, CHARGE)):
        usable = np.ones(len(pt), dtype=bool)
        columns = {"pt": (pt, TRACK_PT), "z": (z, TRACK_Z), "charge": (charge, CHARGE)}
        for name, (values, limit) in columns.items():
            bad = ~((values >= limit.low) & (values <= limit.high))
            if not place.is_edm and name != "charge":
                bad &= np.isfinite(values)
            if bad.any():
                problem = (
                    f"track {name} {values[bad][0]:g}; expected {limit.low:g} to {limit.high:g}"
                )
                refuse(place, event, bad, problem, f"TRK: tracks with an impossible {name}",
                        warnings)  # fmt: skip
            usable &= ~bad
    else:
        usable = np.ones(len(pt), dtype=bool)
    if len(pt) and pt.max() > BEAM_ENERGY:
        warnings["TRK: tracks with a pt above 7 TeV"] += int((pt > BEAM_ENERGY).sum())
    return usable


def columns(
    place: Place,
    values: dict[str, NDArray],
    limits: dict[str, Limit],
    counts: IntArray | None = None,
    unknown_allowed: bool = False,
) -> None:
    """Refuse values out of range; rows belong to events by `counts`, or one to each.

    `unknown_allowed` lets not-a-number pass.

    Raises
    ------
    InputError
        If the place is strict.
    """
    for name, limit in limits.items():
        column = values.get(name)
        if column is None or not place.strict or inside(column, limit):
            continue
        bad = ~((column >= limit.low) & (column <= limit.high))
        if unknown_allowed:
            bad &= ~np.isnan(column)
        if not bad.any():
            continue
        row = int(np.argmax(bad))
        event = row if counts is None else int(np.searchsorted(np.cumsum(counts), row, "right"))
        raise place.error(
            event, f"{name} {column[row]:g}; expected {limit.low:g} to {limit.high:g}",
            f"{REMEDY}; strict=false takes such values as they are",
        )  # fmt: skip


def counts(place: Place, kind: str, found: IntArray) -> None:
    """Refuse more objects in an event than there can be.

    Raises
    ------
    InputError
        If there are; with or without `strict`, for nothing good comes of reading them.
    """
    if len(found) and found.max() > MOST[kind]:
        event = int(np.argmax(found))
        raise place.error(event, f"{found[event]} of {kind}; at most {MOST[kind]} are possible")


def identifiers(place: Place, run: NDArray, lumi: NDArray, event: NDArray) -> None:
    """Refuse impossible run, lumi section and event numbers."""
    columns(place, {"run": run, "lumi": lumi, "event": event},
            {"run": RUN, "lumi": LUMI, "event": EVENT})  # fmt: skip


def _check_order(
    place: Place, channel: str, event: IntArray, detid: NDArray, warnings: Counter[str]
) -> None:
    """An edm::SortedCollection is sorted by DetId; 2010's files have duplicates."""
    falls = np.flatnonzero(detid[1:] < detid[:-1])
    falls = falls[event[falls] == event[falls + 1]]
    if len(falls) == 0:
        return
    row = int(falls[0])
    problem = (
        f"DetId {int(detid[row + 1]):#010x} after {int(detid[row]):#010x}; CMS writes {channel} "
        "hits in rising order"
    )
    if place.strict:
        raise place.error(int(event[row]), problem, SKIPPABLE)
    warnings[f"{channel}: events whose DetIds are not in order"] += len(np.unique(event[falls]))


def refuse(
    place: Place, event: IntArray, bad: BoolArray, problem: str, text: str, warnings: Counter[str]
) -> None:
    """Raise about the first bad value, or count all."""
    if place.strict:
        raise place.error(int(event[np.argmax(bad)]), problem, SKIPPABLE)
    warnings[text] += int(bad.sum())


def endcap(place: Place, event: IntArray, cell: IntArray, warnings: Counter[str]) -> BoolArray:
    """(M,) which cells of a 100 x 100 image are crystals of an endcap; see `hits`."""
    known = EE_VALID.reshape(-1)[cell]
    if not known.all():
        problem = f"a value in cell {cell[~known][0]}, where the endcap has no crystal"
        refuse(place, event, ~known, problem, "EE: cells that are no crystal", warnings)
    return known
