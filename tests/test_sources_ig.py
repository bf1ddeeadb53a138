"""Event displays: almost-JSON, versions, missing collections, hostile texts."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from data.sources import ReadOptions, ig_text, open_source
from data.sources.ig_text import IgFormatError, parse_event
from tests.made_files import Events, ig_event, make_events, write_ig

HEAD = '{"Types": {}, "Collections": '


@pytest.fixture(scope="module")
def events() -> Events:
    return make_events(3)


def texts(events: Events) -> list[str]:
    return [json.dumps(ig_event(events, i)) for i in range(len(events))]


def test_almost_json() -> None:
    text = (
        """{'Types': {"A_V1": [["it's (nan)", "double"]]}, "Collections": """
        """{"A_V1": [(1.5, nan), (-inf, 'say "hi"'), (2, inf)]}, "Associations": {"x": ((0,1),)}}"""
    )
    with pytest.raises(IgFormatError):  # a tuple's trailing comma is not in the format
        parse_event(text)
    event = parse_event(text.replace("(0,1),)", "(0,1))"))
    rows = event["Collections"]["A_V1"]
    assert event["Types"]["A_V1"][0][0] == "it's (nan)"
    assert np.isnan(rows[0][1])
    assert rows[1] == [-np.inf, 'say "hi"']
    assert rows[2] == [2, np.inf]


@given(st.recursive(st.none() | st.floats() | st.text(), lambda x: st.lists(x, max_size=4)))
@settings(max_examples=40, deadline=None)
def test_json_is_left_as_it_is(value: Any) -> None:
    event = parse_event(HEAD + json.dumps({"A_V1": value}) + "}")
    assert repr(event["Collections"]["A_V1"]) == repr(value)


@given(st.text(alphabet="{}[]()'\",:naif0123456789.-\\ TypesColectn", max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for candidate in (text, HEAD + text + "}"):
        try:
            event = parse_event(candidate)
        except IgFormatError:
            continue
        assert isinstance(event["Types"], dict)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"Types": {}}',
        "(" * 200_000,
        "[" * 200_000,
        '"' + "\\" * 100_000,
        '"' + '\\"' * 300_000,
        "'" + "\\'" * 300_000,
        "__import__('os').system('true')",
    ],
)
def test_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(IgFormatError):
        parse_event(text)


def test_length_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ig_text, "MAX_CHARACTERS", 100)
    with pytest.raises(IgFormatError, match="at most 100"):
        parse_event(HEAD + "0" * 200)


def test_members_that_inflate_without_end_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.sources.ig.MAX_CHARACTERS", 1000)
    path = write_ig(tmp_path / "a.ig", ["0" * 100_000])
    with pytest.raises(InputError, match="at most 1000"):
        open_source(path)


def test_signed_detids(events: Events, tmp_path: Path) -> None:
    path = write_ig(tmp_path / "a.ig", [json.dumps(ig_event(events, 0, signed=True))])
    with open_source(path) as source:
        (batch,) = source.batches(0, 1, 10)
    np.testing.assert_array_equal(batch.hits["EB"].cell, events.cells["EB"][0])


def test_fields_are_found_through_types(events: Events, tmp_path: Path) -> None:
    """Another version with other columns in another order reads the same."""
    event = ig_event(events, 0)
    types, collections = event["Types"], event["Collections"]
    fields, rows = types.pop("EBRecHits_V2"), collections.pop("EBRecHits_V2")
    types["EBRecHits_V7"] = [["extra", "v3d"], *fields[::-1]]
    collections["EBRecHits_V7"] = [[[0, 0, 0], *row[::-1]] for row in rows]
    with open_source(write_ig(tmp_path / "a.ig", [json.dumps(event)])) as source:
        (batch,) = source.batches(0, 1, 10)
    np.testing.assert_array_equal(batch.hits["EB"].cell, events.cells["EB"][0])
    np.testing.assert_array_equal(batch.hits["EB"].energy, events.energies["EB"][0])


def test_collections_missing_in_some_events(events: Events, tmp_path: Path) -> None:
    dictionaries = [ig_event(events, i) for i in range(3)]
    for i in (0, 2):
        del dictionaries[i]["Collections"]["EERecHits_V2"]
    with open_source(write_ig(tmp_path / "a.ig", [json.dumps(d) for d in dictionaries])) as source:
        (batch,) = source.batches(0, 3, 10)
        assert source.missing == ()
        assert source.warnings["EE: events without the collection"] == 2
    assert np.diff(batch.hits["EE"].offsets).tolist() == [0, 30, 0]


def test_collections_missing_in_all_events(events: Events, tmp_path: Path) -> None:
    dictionaries = [ig_event(events, i) for i in range(3)]
    for dictionary in dictionaries:
        del dictionary["Collections"]["Tracks_V3"], dictionary["Types"]["Tracks_V3"]
        del dictionary["Collections"]["Photons_V1"], dictionary["Types"]["Photons_V1"]
    with open_source(write_ig(tmp_path / "a.ig", [json.dumps(d) for d in dictionaries])) as source:
        (batch,) = source.batches(0, 3, 10)
        assert source.missing == ("TRK", "photons")
    assert "TRK" not in batch.hits
    assert batch.photons is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e["Collections"].pop("Event_V2"), "no Event collection"),
        (lambda e: e["Collections"]["Event_V2"].clear(), "without run, ls and event"),
        (lambda e: e["Collections"]["Event_V2"][0].__setitem__(0, 2**40), "impossible event"),
        (lambda e: e["Types"].pop("EBRecHits_V2"), "EBRecHits_V2"),
        (lambda e: e["Types"]["EBRecHits_V2"].pop(), "field detid"),
        (lambda e: e["Collections"]["EBRecHits_V2"][3].pop(), "field"),
        (lambda e: e["Collections"]["EBRecHits_V2"][3].__setitem__(0, "x"), "not numeric"),
    ],
)
def test_damaged_events_name_the_member(
    change: Any, message: str, events: Events, tmp_path: Path
) -> None:
    dictionaries = [ig_event(events, i) for i in range(2)]
    change(dictionaries[1])
    path = write_ig(tmp_path / "a.ig", [json.dumps(d) for d in dictionaries])
    with open_source(path) as source, pytest.raises(InputError, match=message) as caught:
        list(source.batches(0, 2, 10))
    assert "Events/Run_1/Event_1" in str(caught.value)


def test_flipped_bytes_are_caught_by_the_zip_checksum(events: Events, tmp_path: Path) -> None:
    path = write_ig(tmp_path / "a.ig", texts(events))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("Events/Run_1/Event_1")
        middle = member.header_offset + member.compress_size // 2
    content[middle] ^= 0x10
    path.write_bytes(content)
    with open_source(path) as source, pytest.raises(InputError, match="Event_1"):
        list(source.batches(0, 3, 10))


def test_zip_without_events_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match="not an event display"):
        open_source(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("name", "n_events"),
    [
        ("Electron.ig", 25),
        ("BJetPlusX_Run2012C_0.ig", 25),
        ("DoubleElectron_Run2012C_0.ig", 25),
        ("DoublePhoton_Run2012B_0.ig", 25),
        ("masterclass2019_22.ig", 100),
    ],
)
def test_real_files(name: str, n_events: int, real_data: Path) -> None:
    """Every version of every collection is read; the collections' names change within a file."""
    with open_source(real_data / "real" / name, ReadOptions(objects=("all",))) as source:
        assert source.n_events == n_events
        (batch,) = source.batches(0, n_events, n_events)
        assert source.origin == "collision"
    assert (np.diff(batch.hits["EB"].offsets) > 0).sum() >= 23
    if name == "Electron.ig":
        assert source.warnings["EE: hits replaced by a later hit of the same crystal"] == 1
    assert set(batch.collections) == {
        "objects/Jet", "objects/MET", "objects/Electron", "objects/Muon",
    }  # fmt: skip
    for rows in batch.collections.values():
        assert len(rows) == n_events
        assert all(np.isfinite(column).all() for column in rows.columns.values())
    for place in ("objects/Electron", "objects/Muon"):
        assert set(batch.collections[place].columns["charge"]) <= {-1, 1}
    n_jets = np.diff(batch.collections["objects/Jet"].offsets)
    assert (n_jets > 0).sum() >= 0.9 * n_events
    assert (np.diff(batch.collections["objects/MET"].offsets) == 1).all()
