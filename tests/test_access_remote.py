"""Events from remote files: equal bit by bit, through failures, or refused with the reason."""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uproot.source.chunk import Chunk

from common.errors import InputError
from data.access import AccessOptions, RemoteFile
from data.access.retries import wait
from data.access.root import RemoteSource
from data.batch import EventBatch
from data.config import PreprocessConfig
from data.preprocessing.stage import PartialFailure
from data.preprocessing.stage import run as preprocess
from data.sources import open_source
from data.store import EventStore
from tests.made_files import make_events, write_aod, write_rhtree
from tests.servers import WebServer, web_server

N_EVENTS = 64
FAST = AccessOptions(retries=3, first_wait=0.01, timeout=5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    write_aod(tmp_path / "a.root", make_events(N_EVENTS), step=16)
    with web_server(tmp_path) as running:
        yield running


def all_batches(location: str, access: AccessOptions = FAST, chunk: int = 20) -> list[EventBatch]:
    with open_source(location, access=access) as source:
        return list(source.batches(0, source.n_events, chunk))


def assert_same(found: list[EventBatch], expected: list[EventBatch]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.event, other.event)
        assert np.array_equal(one.run, other.run)
        assert one.hits.keys() == other.hits.keys()
        for channel, hits in one.hits.items():
            columns = vars(hits).copy(), vars(other.hits[channel]).copy()
            for name, values in columns[0].items():
                if isinstance(values, np.ndarray):
                    assert values.tobytes() == columns[1][name].tobytes(), (channel, name)
        if one.photons is not None:
            assert ak.array_equal(one.photons, other.photons, equal_nan=True)


def test_streamed_events_are_the_files(server: WebServer, tmp_path: Path) -> None:
    assert_same(all_batches(f"{server.url}/a.root"), all_batches(str(tmp_path / "a.root")))


def test_streamed_ntuple(server: WebServer, tmp_path: Path) -> None:
    path = write_rhtree(tmp_path / "n.root", make_events(9), truth=True)
    assert_same(all_batches(f"{server.url}/n.root"), all_batches(str(path)))


def test_preprocessing_goes_on_without_the_files_that_cannot_be_read(
    server: WebServer, tmp_path: Path
) -> None:
    good, gone = f"{server.url}/a.root", f"{server.url}/none.root"
    near, far = tmp_path / "near.h5", tmp_path / "far.h5"
    preprocess(PreprocessConfig(input=[str(tmp_path / "a.root")], output=near))
    with pytest.raises(PartialFailure, match=r"none\.root: .*no such file"):
        preprocess(PreprocessConfig(input=[gone, good], output=far, retries=1))
    with EventStore(near) as one, EventStore(far) as other:
        assert np.array_equal(one.event("event"), other.event("event"))
        for channel in one.channels:
            assert np.array_equal(one.hits(channel).energy, other.hits(channel).energy)
        assert other.attrs["inputs"][0]["location"] == good


def test_leaves_are_requested_together(server: WebServer) -> None:
    """A request per file piece of a range of events, however many leaves there are."""
    with open_source(f"{server.url}/a.root", access=FAST) as source:
        assert source.remote is not None
        counts = [source.remote.n_requests]
        for _ in source.batches(0, N_EVENTS, 16):
            counts.append(source.remote.n_requests)
        first, *later = np.diff(counts)
        assert first <= 9  # collections one by one
        assert len(later) == 3
        assert max(later) <= 2  # all together
        assert 0 < source.remote.bytes_read <= 1.5 * source.remote.size


@pytest.mark.parametrize("failure", [503, 500, 429, 0, -1])
def test_failures_that_pass(server: WebServer, tmp_path: Path, failure: int) -> None:
    """At every request of a file in turn: refused, cut in the middle, or not answered."""
    expected = all_batches(str(tmp_path / "a.root"))
    all_batches(f"{server.url}/a.root")
    n_requests = len(server.behaviour.requests)
    for position in (0, 1, n_requests // 2, n_requests - 1):
        server.behaviour.requests.clear()
        with open_source_after(server, position, failure) as source:
            found = list(source.batches(0, N_EVENTS, 20))
        assert_same(found, expected)


class open_source_after:
    """Open the file of a server whose request number `position` fails twice."""

    def __init__(self, server: WebServer, position: int, failure: int) -> None:
        asked = [failure, failure]
        requests = server.behaviour.requests

        class Later(list):  # type: ignore[type-arg]
            def __bool__(self) -> bool:
                return len(requests) > position and len(self) > 0

        server.behaviour.failures = Later(asked)
        self.source = open_source(f"{server.url}/a.root", access=FAST)

    def __enter__(self):  # type: ignore[no-untyped-def]
        return self.source

    def __exit__(self, *exc: object) -> None:
        self.source.close()


def test_a_failure_that_stays(server: WebServer) -> None:
    server.behaviour.failures = [503] * 99
    with pytest.raises(InputError) as caught:
        open_source(f"{server.url}/a.root", access=FAST)
    text = str(caught.value)
    assert text.startswith(f"{server.url}/a.root: asking for its size failed: HTTP status 503")
    assert "(tried 4 times)" in text
    assert "run the same command again" in text
    assert len(server.behaviour.requests) == 4


def test_a_failure_in_the_middle_names_branch_and_entries(server: WebServer) -> None:
    with open_source(f"{server.url}/a.root", access=FAST) as source:
        server.behaviour.failures = [0] * 99
        with pytest.raises(InputError) as caught:
            list(source.batches(0, N_EVENTS, 20))
    text = str(caught.value)
    assert re.match(r"http://\S+/a\.root: branch \S+, entries 0:16: reading bytes \d+-\d+", text)
    assert "(tried 4 times)" in text


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, "no such file"), (403, "does not give this file to you"), (401, "check the address")],
)
def test_failures_for_good_are_not_repeated(server: WebServer, status: int, message: str) -> None:
    server.behaviour.failures = [status] * 9
    with pytest.raises(InputError, match=rf"{message}.*|.*{message}") as caught:
        open_source(f"{server.url}/a.root", access=FAST)
    assert "(tried once)" in str(caught.value)
    assert len(server.behaviour.requests) == 1


def test_nobody_listens(server: WebServer) -> None:
    address = f"{server.url}/a.root"
    server.close()
    with pytest.raises(InputError, match=r"tried 4 times"):
        open_source(address, access=FAST)


def test_no_such_host() -> None:
    with pytest.raises(InputError, match=r"nowhere\.invalid/a\.root: asking for its size failed"):
        open_source("http://nowhere.invalid/a.root", access=FAST)


def test_a_server_that_never_answers_is_given_up(server: WebServer) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a.root"
        started = time.monotonic()
        with pytest.raises(InputError, match="tried 2 times"):
            open_source(address, access=AccessOptions(retries=1, first_wait=0.01, timeout=0.2))
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("ranges", "message"), [("no", "ignores the Range header"), ("other", "asked for bytes")]
)
def test_servers_that_cannot_cut_are_refused(server: WebServer, ranges: str, message: str) -> None:
    """Never wrong bytes: the whole file, or another range, is not taken for the range."""
    server.behaviour.ranges = ranges
    with pytest.raises(InputError, match=message) as caught:
        open_source(f"{server.url}/a.root", access=FAST)
    assert "access=fetch" in str(caught.value)


def test_what_is_no_root_file(server: WebServer, tmp_path: Path) -> None:
    (tmp_path / "text.root").write_text("hello, this is text")
    (tmp_path / "empty.root").touch()
    (tmp_path / "cut.root").write_bytes((tmp_path / "a.root").read_bytes()[:3000])
    for name, message in (("text", "unknown format"), ("empty", "empty"), ("cut", "root: ")):
        with pytest.raises(InputError, match=message) as caught:
            open_source(f"{server.url}/{name}.root", access=FAST)
        assert str(caught.value).startswith(f"{server.url}/{name}.root: ")


def test_only_the_failed_ranges_are_asked_for_again(server: WebServer, tmp_path: Path) -> None:
    content = (tmp_path / "a.root").read_bytes()
    remote = RemoteFile(f"{server.url}/a.root", FAST)
    server.behaviour.failures, server.behaviour.only = [0, 503], "bytes=300-"
    ranges = [(100, 200), (300, 400), (1000, 1000), (500, 600)]
    assert remote.read_ranges(ranges) == [content[a:b] for a, b in ranges]
    assert remote.bytes_read == 300
    assert [r for _, r in server.behaviour.requests].count("bytes=100-199") == 1
    assert [r for _, r in server.behaviour.requests].count("bytes=300-399") == 3


SIZE = 200_000
spans = st.tuples(st.integers(0, SIZE), st.integers(0, 70_000)).map(
    lambda pair: (pair[0], min(SIZE, pair[0] + pair[1]))
)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WebServer, bytes]]:
    folder = tmp_path_factory.mktemp("noise")
    content = np.random.default_rng(0).bytes(SIZE)
    (folder / "noise").write_bytes(content)
    with web_server(folder) as running:
        yield running, content


@settings(max_examples=40, deadline=None)
@given(
    ranges=st.lists(spans, min_size=1, max_size=12),
    failures=st.lists(st.sampled_from([503, 0, -1]), max_size=3),
)
def test_any_ranges_through_any_failures(
    noise: tuple[WebServer, bytes], ranges: list[tuple[int, int]], failures: list[int]
) -> None:
    server, content = noise
    server.behaviour.failures = failures
    remote = RemoteFile(f"{server.url}/noise", AccessOptions(retries=3, first_wait=0.001))
    assert remote.read_ranges(ranges) == [content[a:b] for a, b in ranges]
    server.behaviour.failures = []


@settings(max_examples=40, deadline=None)
@given(
    announced=st.lists(st.lists(spans, max_size=5), max_size=3),
    asked=st.lists(spans.filter(lambda r: r[0] < r[1]), min_size=1, max_size=8),
)
def test_announced_or_not_the_bytes_are_the_same(
    noise: tuple[WebServer, bytes],
    announced: list[list[tuple[int, int]]],
    asked: list[tuple[int, int]],
) -> None:
    server, content = noise
    server.behaviour.failures = []
    with RemoteSource(f"{server.url}/noise") as source:
        for ranges in announced:
            source.prefetch(ranges)
        source.prefetch(asked[::2])
        notifications: queue.Queue[Chunk] = queue.Queue()
        chunks = source.chunks(asked, notifications)
        assert [bytes(chunk.raw_data) for chunk in chunks] == [content[a:b] for a, b in asked]
        told = [notifications.get(timeout=5) for _ in asked]
        assert {id(chunk) for chunk in told} == {id(chunk) for chunk in chunks}
        for a, b in asked:
            assert bytes(source.chunk(a, b).raw_data) == content[a:b]


def test_waits_double_and_servers_are_obeyed() -> None:
    options = AccessOptions(first_wait=1.0)
    for attempt, longest in ((0, 1.0), (1, 2.0), (3, 8.0), (9, 30.0)):
        assert longest / 2 <= wait(attempt, OSError(), options) <= longest

    class Busy(OSError):
        headers = {"Retry-After": "7"}  # noqa: RUF012

    assert wait(0, Busy(), options) == 7
