"""What is fuzzed: each target takes bytes and may only refuse them in the project's own words."""

from __future__ import annotations

import json
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import h5py
import numpy as np

from common.errors import PipelineError
from data.access import resolve
from data.access.location import adler32_of, checked
from data.detector.detid import eb_cells, eb_detid, ee_cells, ee_detid, hbhe_towers
from data.sources import open_source
from data.sources.event_auxiliary import LayoutError, decode
from data.sources.ig_text import IgFormatError, parse_event
from data.store import EventStore
from data.store.checks import verify
from tests.made_files import (
    event_auxiliary,
    ig_event,
    make_events,
    write_aod,
    write_ig,
    write_rhtree,
)
from tests.synthetic import write_store

_EVENTS = make_events(1, seed=2)
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def ig(data: bytes) -> None:
    """The bytes as the text of an event, and as the whole zip file."""
    try:
        event = parse_event(data.decode("utf-8", errors="replace"))
        assert isinstance(event["Collections"], dict)
    except IgFormatError:
        pass
    path = _FOLDER / "fuzzed.ig"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Events/Run_1/Event_1", data)
    _read(path)
    path.write_bytes(data if data.startswith(b"PK\x03\x04") else b"PK\x03\x04" + data)
    _read(path)


def event_auxiliary_bytes(data: bytes) -> None:
    """Two objects: the bytes cut at a place that their first byte gives."""
    array = np.frombuffer(data, dtype=np.uint8)
    middle = min(data[0], len(data)) if data else 0
    try:
        ids = decode(array, np.array([0, middle, len(data)]))
    except LayoutError:
        return
    assert len(ids.run) == len(ids.event) == 2
    assert (ids.event < 1 << 63).all()


def detid(data: bytes) -> None:
    """Any 32 bits are a cell of at most one detector, and cells give their DetId back."""
    bits = np.frombuffer(data[: len(data) // 4 * 4], dtype=np.uint32)
    barrel, endcap = eb_cells(bits), ee_cells(bits)
    towers = hbhe_towers(bits)
    assert (barrel.valid.astype(int) + endcap.valid + towers.valid <= 1).all()
    assert ((barrel.cell >= 0) == barrel.valid).all()
    assert (barrel.cell < 61200).all()
    assert (endcap.cell < 20000).all()
    np.testing.assert_array_equal(eb_cells(eb_detid(barrel.cell[barrel.valid])).cell,
                                  barrel.cell[barrel.valid])  # fmt: skip
    np.testing.assert_array_equal(ee_cells(ee_detid(endcap.cell[endcap.valid])).cell,
                                  endcap.cell[endcap.valid])  # fmt: skip
    assert (np.abs(towers.ieta[towers.valid]) <= 29).all()
    signed = bits.astype(np.int32)  # as event displays print them
    np.testing.assert_array_equal(eb_cells(signed).cell, barrel.cell)


def store(data: bytes) -> None:
    """An event store with bytes replaced, or with values changed and all checksums right.

    The first byte chooses: odd, (offset of 4 bytes, byte) pairs; even, (dataset, row of 2 bytes,
    value of 4 bytes) triples, a row beyond the end giving the dataset another length.
    """
    content = bytearray(_store_content())
    path = _FOLDER / "fuzzed.h5"
    if data.startswith(b"\x89HDF"):
        content = bytearray(data)
    elif data and data[0] % 2:
        pairs = data[1:]
        for position, value in struct.iter_unpack("<IB", pairs[: len(pairs) // 5 * 5]):
            content[position % len(content)] = value
    path.write_bytes(content)
    if data and not data[0] % 2:
        _change_values(path, data[1:])
    with _refusal_names(path), EventStore(path) as opened:
        verify(opened)
        for channel in opened.channels:
            hits = opened.hits(channel)
            assert len(hits) == len(opened)
            assert hits.offsets[-1] == len(hits.cell) == len(hits.energy)


def _change_values(path: Path, triples: bytes) -> None:
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        for number, row, value in struct.iter_unpack("<BHI", triples[: len(triples) // 7 * 7]):
            dataset = file[names[number % len(names)]]
            if row < len(dataset):
                dataset[row] = np.array([value]).view("u4").astype(dataset.dtype)[0]
            else:
                dataset.resize(row, axis=0)


def locations(data: bytes) -> None:
    """The bytes as one location, as a checksum, and as a JSON list of files."""
    text = data.decode("utf-8", errors="replace")
    for call in (checked, adler32_of):
        try:
            call(text)
        except (PipelineError, ValueError):
            continue
    path = _FOLDER / "fuzzed.json"
    path.write_bytes(data)
    try:
        found = resolve([str(path)])
    except PipelineError:
        return
    assert all(file.location for file in found)


def _read(path: Path) -> None:
    with _refusal_names(path), open_source(path) as source:
        for batch in source.batches(0, source.n_events, 100):
            assert len(batch.run) == len(batch)
            assert all(len(hits) == len(batch) for hits in batch.hits.values())


@contextmanager
def _refusal_names(path: Path) -> Iterator[None]:
    """A refusal in the project's own words, with the file's name, is what is expected."""
    try:
        yield
    except PipelineError as error:
        if str(path) not in str(error):
            raise


def _store_content() -> bytes:
    path = _FOLDER / "whole.h5"
    if not path.exists():
        write_store(path, n_events=6)
    return path.read_bytes()


def seeds(name: str) -> list[bytes]:
    """Well-formed inputs to start from."""
    if name == "ig":
        text = json.dumps(ig_event(_EVENTS, 0))
        small = '{"Types": {"Event_V2": [["run", "int"], ["event", "int"], ["ls", "int"]]}, '
        small += '"Collections": {"Event_V2": [(1, 2, 3)]}, "Associations": {"a": ((0, 1))}}'
        packed = write_ig(_FOLDER / "seed.ig", [small]).read_bytes()
        return [text.encode(), small.encode(), packed]
    if name == "event_auxiliary":
        one = [event_auxiliary(194115, 1, 2, size=size) for size in (8, 12, 16)]
        return [item + other for item in one for other in one]
    if name == "detid":
        return [eb_detid(np.arange(0, 61200, 999)).astype(np.uint32).tobytes()]
    if name == "store":
        return [b"\1" + struct.pack("<IB", 8, 3), b"\0" + struct.pack("<BHI", 9, 3, 7)]
    if name == "root":
        return [bytes([kind]) + struct.pack("<IB", 5000, 3) for kind in range(2)]
    return [
        b'[{"uri": "root://eospublic.cern.ch//eos/a.root", "checksum": "adler32:0a", "size": 3}]'
    ]


def root(data: bytes) -> None:
    """A ROOT file (an AOD, an ntuple) with bytes replaced: see `store`."""
    if not data:
        return
    content = bytearray(_root_content(data[0] % 2))
    for position, value in struct.iter_unpack("<IB", data[1 : 1 + (len(data) - 1) // 5 * 5]):
        content[position % len(content)] = value
    path = _FOLDER / "fuzzed.root"
    path.write_bytes(content)
    _read(path)


@cache
def _root_content(kind: int) -> bytes:
    path = _FOLDER / "whole.root"
    made = write_rhtree(path, _EVENTS, "sparse", compression=None) if kind else write_aod(
        path, _EVENTS, compression=None)  # fmt: skip
    return made.read_bytes()


TARGETS: dict[str, Callable[[bytes], None]] = {
    "ig": ig,
    "event_auxiliary": event_auxiliary_bytes,
    "detid": detid,
    "store": store,
    "root": root,
    "locations": locations,
}
