"""The same events, written in every format, are read as the same hits and photons."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from common.errors import InputError
from data.batch import EventBatch, concatenate_hits
from data.sources import Source, open_source
from tests.made_files import (
    Events,
    ig_event,
    make_events,
    write_aod,
    write_ig,
    write_rhtree,
)

FORMATS = ("fixed", "jagged", "sparse", "truth", "aod", "ig")


@pytest.fixture(scope="module")
def events() -> Events:
    return make_events(7)


@pytest.fixture(scope="module")
def files(events: Events, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file per format, all named alike: the name must count for nothing."""
    folder = tmp_path_factory.mktemp("formats")
    for name in FORMATS:
        (folder / name).mkdir()
    paths = {name: folder / name / "file.dat" for name in FORMATS}
    for encoding in ("fixed", "jagged", "sparse"):
        shutil.move(write_rhtree(folder / "a.root", events, encoding), paths[encoding])
    shutil.move(write_rhtree(folder / "a.root", events, truth=True), paths["truth"])
    shutil.move(write_aod(folder / "a.root", events), paths["aod"])
    write_ig(paths["ig"], [json.dumps(ig_event(events, i)) for i in range(len(events))])
    return paths


def read_all(source: Source, chunk: int = 3) -> list[EventBatch]:
    return list(source.batches(0, source.n_events, chunk))


@pytest.mark.parametrize("name", FORMATS)
def test_hits(name: str, files: dict[str, Path], events: Events) -> None:
    with open_source(files[name]) as source:
        batches = read_all(source)
        assert not source.warnings
    for channel in ("EB", "EE", "HBHE"):
        hits = concatenate_hits([batch.hits[channel] for batch in batches])
        np.testing.assert_array_equal(hits.cell, np.concatenate(events.cells[channel]))
        np.testing.assert_array_equal(hits.energy, np.concatenate(events.energies[channel]))
        np.testing.assert_array_equal(
            np.diff(hits.offsets), [len(cells) for cells in events.cells[channel]]
        )
    tracks = concatenate_hits([batch.hits["TRK"] for batch in batches])
    pt = [track[:, 0].sum() for track in events.tracks]
    found = np.bincount(tracks.event, weights=tracks.energy)
    np.testing.assert_allclose(found, pt, rtol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_identifiers(name: str, files: dict[str, Path], events: Events) -> None:
    with open_source(files[name]) as source:
        batches = read_all(source)
    for i, field in enumerate(("run", "lumi", "event")):
        values = np.concatenate([getattr(batch, field) for batch in batches])
        np.testing.assert_array_equal(values, events.ids[:, i])


@pytest.mark.parametrize("name", ["truth", "aod", "ig"])
def test_photons_and_vertex(name: str, files: dict[str, Path], events: Events) -> None:
    with open_source(files[name]) as source:
        batches = read_all(source)
    photons = ak.concatenate([batch.photons for batch in batches])
    for i, field in enumerate(("pt", "eta", "phi")):
        np.testing.assert_allclose(photons[field].to_numpy(), events.photons[:, :, i], rtol=1e-5)
    vertex_z = np.concatenate([batch.vertex_z for batch in batches])
    np.testing.assert_allclose(vertex_z, events.vertex_z, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "format_", "origin", "missing"),
    [
        ("fixed", "rhtree", "collision", ("photons",)),
        ("sparse", "rhtree", "collision", ("photons",)),
        ("truth", "rhtree", "simulation", ()),
        ("aod", "aod", "collision", ()),
        ("ig", "ig", "collision", ()),
    ],
)
def test_what_the_reader_says_of_the_file(
    name: str, format_: str, origin: str, missing: tuple[str, ...], files: dict[str, Path]
) -> None:
    with open_source(files[name]) as source:
        assert (source.format, source.origin, source.missing) == (format_, origin, missing)
        assert source.n_events == 7
        assert source.has_truth == (name == "truth")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("start", "stop", "chunk"), [(0, 7, 100), (2, 5, 1), (5, 6, 4), (3, 3, 2)])
def test_any_range_in_any_chunks(
    name: str, start: int, stop: int, chunk: int, files: dict[str, Path], events: Events
) -> None:
    with open_source(files[name]) as source:
        batches = list(source.batches(start, stop, chunk))
    assert sum(len(batch) for batch in batches) == stop - start
    assert all(len(batch) <= chunk for batch in batches)
    cells = [batch.hits["EB"].cell for batch in batches]
    expected = events.cells["EB"][start:stop]
    if expected:
        np.testing.assert_array_equal(np.concatenate(cells), np.concatenate(expected))


def test_unknown_files_are_refused(tmp_path: Path) -> None:
    for name, content, message in (
        ("absent", None, "no such file"),
        ("empty", b"", "empty"),
        ("text", b"run,lumi,event\n", "unknown format"),
        ("hdf5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "HDF5"),
        ("notroot", b"root" + b"\0" * 100, "damaged ROOT file|not a readable ROOT file"),
        ("notzip", b"PK\x03\x04" + b"\0" * 100, "not a readable zip"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            open_source(path)
        assert str(path) in str(caught.value)


def test_truncated_files_never_yield_wrong_hits(
    files: dict[str, Path], events: Events, tmp_path: Path
) -> None:
    """Cut anywhere, a file is refused, or read as it was."""
    expected = np.concatenate(events.cells["EB"])
    for name in ("fixed", "aod", "ig"):
        content = files[name].read_bytes()
        for fraction in (0.02, 0.3, 0.6, 0.9, 0.999):
            path = tmp_path / "cut"
            path.write_bytes(content[: int(len(content) * fraction)])
            try:
                with open_source(path) as source:
                    hits = concatenate_hits([b.hits["EB"] for b in read_all(source)])
            except InputError:
                continue
            np.testing.assert_array_equal(hits.cell, expected)
