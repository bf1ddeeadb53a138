"""Events over root:// and HTTP, from a real XRootD daemon on loopback."""

from __future__ import annotations

import builtins
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import ConfigError, InputError
from common.files import adler32, sha256
from data.access import AccessOptions, InputFile, RemoteFile, fetch, identity, resolve
from data.sources import open_source
from tests.made_files import ig_event, make_events, write_aod, write_ig
from tests.servers import XRootDServer, xrootd_server
from tests.test_access_remote import FAST, all_batches, assert_same


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_aod(tmp_path_factory.mktemp("made") / "a.root", make_events(12))


@pytest.fixture(scope="module")
def server(made: Path) -> Iterator[XRootDServer]:
    with xrootd_server() as running:
        running.add(made)
        running.add(made, "sub/b.root")
        running.add(made, "sub/a.root")
        running.add(made, "sub/c.txt")
        yield running


@pytest.mark.parametrize("door", ["root", "http"])
def test_streamed_events_are_the_files(server: XRootDServer, made: Path, door: str) -> None:
    assert_same(all_batches(f"{getattr(server, door)}/a.root"), all_batches(str(made)))


@pytest.mark.parametrize("door", ["root", "http"])
@pytest.mark.parametrize("name", ["aodlike_doublephoton", "rhtree_DoublePhoton_Run2012B_0"])
def test_streamed_real_events_are_the_files(
    server: XRootDServer, real_data: Path, door: str, name: str
) -> None:
    path = real_data / "cms_layout" / f"{name}.root"
    address = getattr(server, door) + server.add(path)
    with open_source(address, access=FAST) as source:
        found = list(source.batches(0, source.n_events, 10))
        assert source.remote is not None
        assert 0 < source.remote.bytes_read <= 2 * source.remote.size
    assert_same(found, all_batches(str(path), chunk=10))


def test_event_display(server: XRootDServer, tmp_path: Path) -> None:
    events = make_events(3)
    path = write_ig(tmp_path / "e.ig", [json.dumps(ig_event(events, i)) for i in range(3)])
    address = server.root + server.add(path)
    assert_same(all_batches(address), all_batches(str(path)))


def test_pattern(server: XRootDServer) -> None:
    found = resolve([f"{server.root}/sub/*.root"], options=FAST)
    names = [f"{server.root}/sub/{name}.root" for name in "ab"]
    assert [file.location for file in found] == names
    with pytest.raises(ConfigError, match="no file matches"):
        resolve([f"{server.root}/sub/*.ig"], options=FAST)
    with pytest.raises(InputError, match="listing its folder failed"):
        resolve([f"{server.root}/none/*.root"], options=FAST)


def test_list(server: XRootDServer, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("root://h//a.root\n")
    server.add(tmp_path / "list.txt")
    assert resolve([f"{server.root}/list.txt"], options=FAST) == [InputFile("root://h//a.root")]


@pytest.mark.parametrize("door", ["root", "http"])
def test_fetch_and_checksum(server: XRootDServer, made: Path, tmp_path: Path, door: str) -> None:
    address, checksum = f"{getattr(server, door)}/a.root", adler32(made)
    file = InputFile(address, adler32=checksum, size=made.stat().st_size)
    expected = f"adler32:{checksum}:{made.stat().st_size}"
    assert identity(file, FAST) == identity(InputFile(address), FAST) == expected
    assert sha256(fetch(file, tmp_path / "cache", FAST)) == sha256(made)
    wrong = InputFile(address, adler32="00000001")
    message = f"its list says Adler-32 00000001, the server says {checksum}"
    for use in (lambda: identity(wrong, FAST), lambda: fetch(wrong, tmp_path / "cache", FAST)):
        with pytest.raises(InputError, match=message):
            use()


def test_more_and_longer_ranges_than_one_vector_read_takes(
    server: XRootDServer, tmp_path: Path
) -> None:
    content = np.random.default_rng(0).bytes(6 << 20)
    (tmp_path / "noise").write_bytes(content)
    remote = RemoteFile(server.root + server.add(tmp_path / "noise"), FAST)
    ranges = [(i * 1000, i * 1000 + 10) for i in range(3000)] + [(5, 5), (100, 5 << 20)]
    assert remote.read_ranges(ranges) == [content[a:b] for a, b in ranges]
    assert remote.n_requests == 3


def test_missing_file(server: XRootDServer) -> None:
    with pytest.raises(InputError) as caught:
        open_source(f"{server.root}/none.root", access=FAST)
    text = str(caught.value)
    assert text.startswith(f"{server.root}/none.root: ")
    assert "no such file" in text
    assert "(tried once)" in text


def test_server_without_checksums(made: Path) -> None:
    with xrootd_server(checksums=False) as plain:
        address = plain.root + plain.add(made)
        assert identity(InputFile(address), FAST).startswith("etag:")
        listed = InputFile(address, adler32=adler32(made))
        assert identity(listed, FAST) == f"adler32:{adler32(made)}:{made.stat().st_size}"


def test_a_server_that_dies_and_comes_back(tmp_path: Path) -> None:
    """Killed while a file is open and between its reads; back half a second later."""
    large = write_aod(tmp_path / "large.root", make_events(12), step=4)
    patient = AccessOptions(retries=8, first_wait=0.2, timeout=10)
    with (
        xrootd_server() as mortal,
        open_source(mortal.root + mortal.add(large), access=patient) as source,
    ):
        batches = source.batches(0, 12, 4)
        found = [next(batches)]
        mortal.kill()
        rescue = threading.Timer(0.5, mortal.start)
        rescue.start()
        found += list(batches)
        rescue.join()
    assert_same(found, all_batches(str(large), chunk=4))


def test_a_server_that_stays_away(made: Path) -> None:
    with xrootd_server() as mortal:
        address = mortal.root + mortal.add(made)
        mortal.kill()
        started = time.monotonic()
        with pytest.raises(InputError, match=r"tried 4 times.*run the same command again"):
            open_source(address, access=FAST)
        assert time.monotonic() - started < 20


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith(("fsspec_xrootd", "XRootD")):
            raise ImportError(f"No module named {name!r}")
        return genuine(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'cms-e2e-rl\[remote\]'"):
        open_source("root://host//a.root", access=FAST)
