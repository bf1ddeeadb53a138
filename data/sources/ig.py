"""CMS event displays (`.ig`): a zip with one almost-JSON text per event."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import EventBatch, Hits
from data.sources import plausible
from data.sources.base import (
    DEFAULT,
    ReadOptions,
    Source,
    channel_columns,
    ecal_hits,
    hbhe_hits,
    ranges,
    track_hits,
)
from data.sources.ig_objects import IgObjects
from data.sources.ig_text import MAX_CHARACTERS, IgFormatError, parse_event
from data.sources.plausible import Place

CENTIMETRES = 100.0  # the format's lengths are in metres
_RECHITS = {"EB": ("EBRecHits",), "EE": ("EERecHits",), "HBHE": ("HBRecHits", "HERecHits")}
_WANTED = {**_RECHITS, "TRK": ("Tracks",), "photons": ("Photons",)}
_PHOTON_FIELDS = {
    "energy": "energy",
    "pt": "et",
    "eta": "eta",
    "phi": "phi",
    "r9": "r9",
    "sigma_ieta_ieta": "sigmaIetaIeta",
    "h_over_e": "hadronicOverEm",
}
# NotImplementedError and ValueError: flags, methods and offsets of a damaged directory.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError)
_MOST_CHARACTERS = 4 * MAX_CHARACTERS  # parsed at a time; numbers take 10 times their text
FloatArray = NDArray[np.float64]


class IgSource(Source):
    """An event display; collections are found by name without version, fields through `Types`."""

    format = "ig"

    def __init__(self, path: str | Path, options: ReadOptions = DEFAULT) -> None:
        super().__init__(path, options)
        try:
            self._zip = zipfile.ZipFile(path)
        except _ZIP_ERRORS as error:
            raise InputError(path, f"not a readable zip file: {error}", "fetch it again") from error
        self._members = [m for m in self._zip.infolist() if _is_event(m.filename)]
        self._check_names()
        if not self._members:
            raise InputError(
                path, "a zip file without members Events/Run_*/Event_*: not an event display",
                "see docs/inputs.md for the formats",
            )  # fmt: skip
        self.n_events = len(self._members)
        first = _Event(self, self._members[0])
        self.origin = "simulation" if first.identifiers()[0] == 1 else "collision"
        self.missing = self._missing_everywhere()
        self.channels = channel_columns(self.missing, ("EB", "EE"), with_directions=True)
        self._objects = IgObjects(options)
        self.collections = self._objects.types

    def _check_names(self) -> None:
        """The names of what is no event: a damaged one could be an event's, which is not read."""
        for member in self._zip.infolist():
            if not _is_event(member.filename):
                try:
                    self._zip.open(member).close()  # compares the directory with the member's head
                except _ZIP_ERRORS as error:
                    raise self.error(member, f"cannot be opened: {error}") from error

    def batches(self, start: int, stop: int, chunk: int) -> Iterator[EventBatch]:
        for first, last in ranges(start, stop, chunk):
            events: list[_Event] = []
            n_characters = 0
            for member in self._members[first:last]:
                if events and n_characters + member.file_size > _MOST_CHARACTERS:
                    yield self._batch(events)
                    events, n_characters = [], 0
                events.append(_Event(self, member))
                n_characters += member.file_size
            yield self._batch(events)

    def close(self) -> None:
        self._zip.close()

    def text(self, member: zipfile.ZipInfo) -> str:
        """The text of one member, read within bounds."""
        if member.file_size > MAX_CHARACTERS:
            raise self.error(member, f"{member.file_size} bytes; at most {MAX_CHARACTERS} accepted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self.error(member, "neither stored nor deflated")  # others inflate unbounded
        try:
            # A size is given so that no more is inflated than the member claims to have.
            with self._zip.open(member) as handle:
                return handle.read(member.file_size + 1).decode("utf-8", errors="replace")
        except _ZIP_ERRORS as error:
            raise self.error(member, f"cannot be read: {error}") from error

    def error(self, member: zipfile.ZipInfo, problem: str) -> InputError:
        """An InputError that names the member."""
        return InputError(
            self.path, f"member {member.filename}: {problem}",
            "fetch the file again and compare its checksum, or leave it out",
        )  # fmt: skip

    def _missing_everywhere(self) -> tuple[str, ...]:
        """What no event has; ends at the first event if that has all."""
        lacking = list(_WANTED)
        for member in self._members:
            text = self.text(member)
            lacking = [c for c in lacking if not any(f'"{n}_V' in text for n in _WANTED[c])]
            if not lacking:
                break
        return tuple(lacking)

    def _batch(self, events: list[_Event]) -> EventBatch:
        for event in events:
            for name in set(event.missing()) - set(self.missing):
                self.warnings[f"{name}: events without the collection"] += 1
        ids = [event.identifiers() for event in events]
        hits = {channel: self._hits(channel, events) for channel in _RECHITS}
        hits["TRK"] = self._tracks(events)
        vertices = [event.column("Vertices", "pos") for event in events]
        photons = self._photons(events)
        first_vertex = np.array([v[0][2] * CENTIMETRES if len(v) else np.nan for v in vertices])
        of_photons = ak.to_numpy(ak.fill_none(ak.firsts(photons.vertex_z), np.nan))
        run, lumi, number = (np.array(column, dtype=np.uint64) for column in zip(*ids, strict=True))
        plausible.identifiers(self._place("Event", events), run, lumi, number)
        return EventBatch(
            run=run.astype(np.uint32),
            lumi=lumi.astype(np.uint32),
            event=number,
            hits={c: h for c, h in hits.items() if c not in self.missing},
            photons=None if "photons" in self.missing else photons,
            vertex_z=np.where(np.isfinite(of_photons), of_photons, first_vertex),
            n_vertices=np.array([len(v) for v in vertices], dtype=np.int32),
            missing=self.missing,
            collections=self._objects.read(events),
        )

    def _hits(self, channel: str, events: list[_Event]) -> Hits:
        columns = {
            field: [
                np.concatenate([event.numbers(name, field) for name in _RECHITS[channel]])
                for event in events
            ]
            for field in ("detid", "energy", "time")
        }
        index, flat = _flatten(columns)
        detid = _integers(flat["detid"])
        place = self._place(" and ".join(_RECHITS[channel]), events)
        plausible.counts(place, channel, np.bincount(index, minlength=len(events)))
        if channel == "HBHE":
            return hbhe_hits(index, len(events), detid, flat["energy"], self.warnings, place)
        energy, time = flat["energy"], flat["time"]
        return ecal_hits(channel, index, len(events), detid, energy, time, self.warnings, place)

    def _place(self, what: str, events: list[_Event]) -> Place:
        names = [f"member {event.member.filename}" for event in events]
        return Place(self.path, what, 0, self.strict, is_edm=False, members=names)

    def _tracks(self, events: list[_Event]) -> Hits:
        columns = {
            field: [event.numbers("Tracks", field) for event in events]
            for field in ("pt", "eta", "phi", "charge")
        }
        columns["z"] = [
            np.array([pos[2] * CENTIMETRES for pos in event.column("Tracks", "pos")])
            for event in events
        ]
        index, flat = _flatten(columns)
        pt, eta, phi, z = (flat[name] for name in ("pt", "eta", "phi", "z"))
        place = self._place("Tracks", events)
        charge = flat["charge"]
        return track_hits(index, len(events), pt, eta, phi, z, charge, self.warnings, place)

    def _photons(self, events: list[_Event]) -> ak.Array:
        columns = {
            field: [event.numbers("Photons", name) for event in events]
            for field, name in _PHOTON_FIELDS.items()
        }
        columns["vertex_z"] = [
            np.array([pos[2] * CENTIMETRES for pos in event.column("Photons", "pos")])
            for event in events
        ]
        index, flat = _flatten(columns)
        counts = np.bincount(index, minlength=len(events))
        plausible.columns(
            self._place("Photons", events), flat, plausible.PHOTON, counts, unknown_allowed=True
        )
        return ak.zip({name: ak.unflatten(column, counts) for name, column in flat.items()})


class _Event:
    """One parsed event of an event display."""

    def __init__(self, source: IgSource, member: zipfile.ZipInfo) -> None:
        self._source, self.member = source, member
        try:
            content = parse_event(source.text(member))
        except IgFormatError as error:
            raise source.error(member, str(error)) from error
        self._types, self._collections = content["Types"], content["Collections"]

    def missing(self) -> tuple[str, ...]:
        """Channels, and photons, without a collection in this event."""
        return tuple(
            channel
            for channel, names in _WANTED.items()
            if all(self._find(name) is None for name in names)
        )

    def has(self, name: str) -> bool:
        """Whether the event has a collection of that name, in any version."""
        return self._find(name) is not None

    def identifiers(self) -> tuple[int, int, int]:
        """Run, lumi section and event number."""
        if self._find("Event") is None:
            raise self._source.error(self.member, "no Event collection")
        values = [self.column("Event", name) for name in ("run", "ls", "event")]
        if any(len(v) != 1 or not isinstance(v[0], int) or v[0] < 0 for v in values):
            raise self._source.error(self.member, "Event collection without run, ls and event")
        run, lumi, event = (int(v[0]) for v in values)
        if max(run, lumi) >= 1 << 32 or event >= 1 << 63:
            raise self._source.error(self.member, f"impossible event number {run}:{lumi}:{event}")
        return run, lumi, event

    def column(self, name: str, field: str) -> list[Any]:
        """Values of one field of a collection; empty when the event lacks the collection."""
        key = self._find(name)
        if key is None:
            return []
        try:
            position = [entry[0] for entry in self._types[key]].index(field)
            return [row[position] for row in self._collections[key]]
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise self._source.error(
                self.member, f"collection {key}: field {field} cannot be read ({error})"
            ) from error

    def numbers(self, name: str, field: str) -> FloatArray:
        """`column` as numbers."""
        values = self.column(name, field)
        try:
            return np.asarray(values, dtype=np.float64).reshape(len(values))
        except (TypeError, ValueError, OverflowError) as error:
            raise self._source.error(
                self.member, f"collection {name}: field {field} is not numeric ({error})"
            ) from error

    def _find(self, name: str) -> str | None:
        """The collection's key with its version; the latest if there are several."""
        keys = [
            key
            for key in self._collections
            if key.rpartition("_V")[0] == name and key.rpartition("_V")[2].isdigit()
        ]
        return max(keys, key=lambda key: int(key.rpartition("_V")[2])) if keys else None


def _is_event(name: str) -> bool:
    parts = name.split("/")
    return (
        len(parts) == 3
        and parts[0] == "Events"
        and parts[1].startswith("Run_")
        and parts[2].startswith("Event_")
    )


def _integers(values: FloatArray) -> NDArray[np.int64]:
    """DetIds; 0, which is none, for what is not a whole number of 32 bits."""
    whole = (values >= -(1 << 31)) & (values < 1 << 32) & (values == np.rint(values))
    return np.where(whole, values, 0).astype(np.int64)


def _flatten(columns: dict[str, list[FloatArray]]) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Event index and concatenated columns of lists of arrays."""
    first = next(iter(columns.values()))
    index = np.repeat(np.arange(len(first)), [len(values) for values in first])
    return index, {name: np.concatenate(values) for name, values in columns.items()}
