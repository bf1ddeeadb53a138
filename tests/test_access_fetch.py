"""Copies of remote files: resumed, checked, whole or absent; names of contents."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import InputError
from common.files import adler32, sha256
from data.access import AccessOptions, InputFile, fetch, identity
from data.sources import open_source
from tests.made_files import ig_event, make_events, write_aod, write_ig
from tests.servers import WebServer, web_server
from tests.test_access_remote import FAST, all_batches, assert_same

FETCH = AccessOptions(access="fetch", retries=3, first_wait=0.01, timeout=5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    served = tmp_path / "served"
    served.mkdir()
    write_aod(served / "a.root", make_events(12))
    with web_server(served) as running:
        yield running


@pytest.fixture
def original(server: WebServer, tmp_path: Path) -> Path:
    return tmp_path / "served" / "a.root"


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("data.access.fetching._BLOCK", 4096)
    return 4096


def copies(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


def test_a_copy_is_whole_and_made_once(
    server: WebServer, original: Path, tmp_path: Path, small_blocks: int
) -> None:
    file = InputFile(
        f"{server.url}/a.root", adler32=adler32(original), size=original.stat().st_size
    )
    server.behaviour.failures = [503, 0, -1]
    copy = fetch(file, tmp_path / "cache", FAST)
    assert sha256(copy) == sha256(original)
    assert copy.name.endswith("_a.root")
    n_requests = len(server.behaviour.requests)
    assert fetch(file, tmp_path / "cache", FAST) == copy
    assert len(server.behaviour.requests) <= n_requests + 1
    assert copies(copy.parent) == [copy.name]


def test_an_interrupted_copy_goes_on(
    server: WebServer, original: Path, tmp_path: Path, small_blocks: int
) -> None:
    file = InputFile(f"{server.url}/a.root", adler32=adler32(original))
    server.behaviour.failures, server.behaviour.only = [503] * 99, f"bytes={2 * small_blocks}-"
    with pytest.raises(InputError, match=r"reading bytes 8192-12288 failed: HTTP status 503"):
        fetch(file, tmp_path / "cache", FAST)
    (partial,) = copies(tmp_path / "cache")
    assert partial.endswith(".part")
    server.behaviour.failures, server.behaviour.requests = [], []
    copy = fetch(file, tmp_path / "cache", FAST)
    assert sha256(copy) == sha256(original)
    ranges = [asked for _, asked in server.behaviour.requests]
    assert "bytes=0-4095" not in ranges
    assert "bytes=8192-12287" in ranges


def test_a_damaged_partial_copy_is_not_believed(
    server: WebServer, original: Path, tmp_path: Path, small_blocks: int
) -> None:
    file = InputFile(f"{server.url}/a.root", adler32=adler32(original))
    server.behaviour.failures, server.behaviour.only = [404], f"bytes={2 * small_blocks}-"
    with pytest.raises(InputError, match="failed: no such file"):
        fetch(file, tmp_path / "cache", FAST)
    (partial,) = (tmp_path / "cache").glob("*.part")
    partial.write_bytes(b"x" * partial.stat().st_size)
    with pytest.raises(InputError, match=f"Adler-32 should be {file.adler32}, the copy has"):
        fetch(file, tmp_path / "cache", FAST)
    assert copies(tmp_path / "cache") == []
    assert sha256(fetch(file, tmp_path / "cache", FAST)) == sha256(original)


def test_wrong_checksums_and_lengths(server: WebServer, original: Path, tmp_path: Path) -> None:
    address = f"{server.url}/a.root"
    with pytest.raises(InputError, match=r"Adler-32 should be 00000001, the copy has"):
        fetch(InputFile(address, adler32="00000001"), tmp_path / "cache", FAST)
    assert copies(tmp_path / "cache") == []
    message = rf"its list says 5 bytes, it has {original.stat().st_size}"
    with pytest.raises(InputError, match=message):
        fetch(InputFile(address, size=5), tmp_path / "cache", FAST)
    with pytest.raises(InputError, match=message):
        open_source(InputFile(address, size=5), access=FAST)


@pytest.mark.parametrize("says_length", [True, False])
def test_a_server_that_cannot_cut_gives_the_whole_file(
    server: WebServer, original: Path, tmp_path: Path, says_length: bool
) -> None:
    server.behaviour.ranges, server.behaviour.says_length = "no", says_length
    server.behaviour.failures = [503, 503]
    found = all_batches(f"{server.url}/a.root", FETCH)
    assert_same(found, all_batches(str(original)))
    if says_length:
        server.behaviour.failures = [503, 0]  # the length, then half the body
        file = InputFile(f"{server.url}/a.root", adler32=adler32(original))
        assert sha256(fetch(file, tmp_path / "cache", FAST)) == sha256(original)


def test_fetched_events_are_the_files(server: WebServer, original: Path, tmp_path: Path) -> None:
    assert_same(all_batches(f"{server.url}/a.root", FETCH), all_batches(str(original)))
    cached = AccessOptions("fetch", tmp_path / "cache", retries=1, first_wait=0.01)
    assert_same(all_batches(f"{server.url}/a.root", cached), all_batches(str(original)))
    assert len(copies(tmp_path / "cache")) == 1


def test_other_formats_are_fetched_unasked(server: WebServer, original: Path) -> None:
    events = make_events(3)
    path = write_ig(original.parent / "events", [json.dumps(ig_event(events, i)) for i in range(3)])
    address = f"{server.url}/events"
    assert_same(all_batches(address), all_batches(str(path)))
    with open_source(address, access=FAST) as source:
        assert source.path == address
        assert source.format == "ig"
    (original.parent / "bad").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError, match=r"/bad: not a readable zip file"):
        open_source(f"{server.url}/bad", access=FAST)


def test_a_temporary_copy_goes_with_the_source(
    server: WebServer, original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with open_source(f"{server.url}/a.root", access=FETCH):
        assert len(list((tmp_path / "tmp").iterdir())) == 1
    assert list((tmp_path / "tmp").iterdir()) == []
    with pytest.raises(InputError):
        open_source(f"{server.url}/none.root", access=FETCH)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_processes_wait_for_the_first(
    server: WebServer, original: Path, tmp_path: Path, small_blocks: int
) -> None:
    file = InputFile(f"{server.url}/a.root")
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch(file, tmp_path / "cache", FAST)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert sha256(found[0]) == sha256(original)
    ranges = [asked for _, asked in server.behaviour.requests]
    assert ranges.count("bytes=0-4095") == 1


def test_no_room(server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10, 0, 10))
    with pytest.raises(InputError, match=r"do not fit into .*, where 10 B are free"):
        fetch(InputFile(f"{server.url}/a.root"), tmp_path / "cache", FAST)


def test_local_files_stay_and_are_compared(original: Path, tmp_path: Path) -> None:
    good = InputFile(str(original), adler32=adler32(original), size=original.stat().st_size)
    assert fetch(good, tmp_path / "cache") == original
    assert identity(good) == f"sha256:{sha256(original)}"
    with pytest.raises(InputError, match="its list says Adler-32 00000002, the file has"):
        identity(InputFile(str(original), adler32="00000002"))
    with pytest.raises(InputError, match="no such file"):
        identity(InputFile(str(tmp_path / "none.root")))


def test_identities_of_web_files(server: WebServer, original: Path) -> None:
    address, size = f"{server.url}/a.root", original.stat().st_size
    assert identity(InputFile(address), FAST) == f"etag:none:{size}"
    server.behaviour.headers = {"ETag": '"abc"', "Last-Modified": "Mon"}
    assert identity(InputFile(address), FAST) == f'etag:"abc":{size}'
    listed = InputFile(address, adler32="00000003")
    assert identity(listed, FAST) == f"adler32:00000003:{size}"
    server.behaviour.headers = {"Digest": "adler32=3"}
    assert identity(listed, FAST) == identity(InputFile(address), FAST)
    server.behaviour.headers = {"Digest": "adler32=4"}
    with pytest.raises(
        InputError, match="its list says Adler-32 00000003, the server says 00000004"
    ):
        identity(listed, FAST)
