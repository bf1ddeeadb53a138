"""From names to files: paths, patterns, addresses, lists, slices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError, InputError
from data.access import AccessOptions, InputFile, is_remote, resolve
from data.access.inputs import take
from data.access.location import adler32_of
from tests.servers import web_server

FAST = AccessOptions(retries=2, first_wait=0.01, timeout=5)


def locations(files: list[InputFile]) -> list[str]:
    return [file.location for file in files]


def test_order_is_the_users_and_patterns_are_sorted(tmp_path: Path) -> None:
    for name in ("b.root", "a.root", "c.txt.root", "folder.root/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    last = "root://eospublic.cern.ch//eos/z.root"
    found = resolve([last, f"{tmp_path}/*.root", "missing.root", last])
    inside = [f"{tmp_path}/{name}" for name in ("a.root", "b.root", "c.txt.root")]
    assert locations(found) == [last, *inside, "missing.root", last]


def test_a_file_with_brackets_in_its_name_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "run[1].root"
    path.touch()
    assert locations(resolve([str(path)])) == [str(path)]


def test_file_addresses_become_paths() -> None:
    assert locations(resolve(["file:///data/a%20b.root"])) == ["/data/a b.root"]
    assert not is_remote("/data/a.root")
    assert is_remote("HTTPS://host/a.root")


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "no input"),
        ([""], "empty"),
        (["  "], "empty"),
        (["nothing/*.root"], "no file matches"),
        (["gsiftp://host/a.root"], "unknown scheme gsiftp"),
        (["https:///a.root"], "without a host"),
        (["file://other/a.root"], "another machine"),
        (["https://host/*.root"], "no patterns"),
        (["root://host//eos/*/a.root"], "last part"),
    ],
)
def test_what_cannot_be_is_refused(inputs: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(inputs)


def test_files_without_record_is_refused() -> None:
    with pytest.raises(ConfigError, match="name the record"):
        resolve(["a.root"], files="0:4")


def test_text_list(tmp_path: Path) -> None:
    listing = tmp_path / "files.txt"
    listing.write_text("# comment\nroot://h//eos/a.root\n\n  sub/b.root \n/abs/c.root\n")
    assert locations(resolve([str(listing)])) == [
        "root://h//eos/a.root", f"{tmp_path}/sub/b.root", "/abs/c.root",
    ]  # fmt: skip


def test_portal_index(tmp_path: Path) -> None:
    listing = tmp_path / "index.json"
    entry = {"uri": "root://h//a.root", "checksum": "adler32:f00d", "size": 12, "filename": "a"}
    listing.write_text(json.dumps([entry, {"uri": "https://h/b.root", "label": 1}]))
    assert resolve([str(listing)]) == [
        InputFile("root://h//a.root", adler32="0000f00d", size=12),
        InputFile("https://h/b.root", label=1),
    ]


def test_lists_over_http_are_tried_again(tmp_path: Path) -> None:
    (tmp_path / "files.txt").write_text("root://h//eos/a.root\n")
    with web_server(tmp_path) as server:
        server.behaviour.failures = [503, 503]
        assert locations(resolve([f"{server.url}/files.txt"], options=FAST)) == [
            "root://h//eos/a.root"
        ]
        with pytest.raises(InputError, match=r"none\.json: reading failed: no such file"):
            resolve([f"{server.url}/none.json"], options=FAST)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.txt", "", ConfigError, "names no file"),
        ("a.txt", "# only this", ConfigError, "names no file"),
        ("a.txt", "ftp://h/a.root", InputError, "unknown scheme"),
        ("a.txt", b"\xff\xfe\x00", InputError, "not a list"),
        ("a.json", "[]", ConfigError, "names no file"),
        ("a.json", "{", InputError, "not a list"),
        ("a.json", "3", InputError, "not a list"),
        ("a.json", '[{"size": 3}]', InputError, "entry 0 has no uri"),
        ("a.json", '[{"uri": "x.root", "size": "big"}]', InputError, "entry 0"),
        ("a.json", '[{"uri": "x.root", "checksum": "adler32:xyz"}]', InputError, "Adler-32"),
    ],
)
def test_damaged_lists(
    tmp_path: Path, name: str, content: str | bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=message):
        resolve([str(path)])


def test_a_list_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"none\.txt: the list of files cannot be read: No such"):
        resolve(["none.txt"])


optional = st.none() | st.integers(-12, 12)


@given(st.integers(1, 9), optional, optional, st.none() | st.integers(1, 4) | st.integers(-4, -1))
def test_slices_are_pythons(n: int, start: int | None, stop: int | None, step: int | None) -> None:
    items = list(range(n))
    text = ":".join("" if part is None else str(part) for part in (start, stop, step))
    expected = items[start:stop:step]
    if expected:
        assert take(items, text, "record 1") == expected
    else:
        with pytest.raises(ConfigError, match="chooses none"):
            take(items, text, "record 1")


@pytest.mark.parametrize("text", ["", " ", "a", "1:b", "1,2", "0:4:0", "1:2:3:4", "7", "-6", "--1"])
def test_slices_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"files="):
        take(list(range(5)), text, "record 1")


def test_one_number_is_one_file() -> None:
    assert take([5, 6, 7], "1", "record 1") == [6]
    assert take([5, 6, 7], "-1", "record 1") == [7]
    assert take([5, 6, 7], None, "record 1") == [5, 6, 7]


def test_checksums_of_other_kinds_are_left_alone() -> None:
    assert adler32_of("sha1:abc") is None
    assert adler32_of(None) is None
    assert adler32_of("ADLER32:AB") == "000000ab"
