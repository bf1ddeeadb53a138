"""Remote ROOT files: uproot's reads as few, large, repeated requests."""

from __future__ import annotations

import queue
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uproot
from uproot.source.chunk import Chunk, notifier
from uproot.source.coalesce import CoalesceConfig, coalesce_requests
from uproot.source.futures import TrivialFuture

from data.access.location import DEFAULT_ACCESS, AccessOptions, scheme_of
from data.access.remote import Range, RemoteFile

# XRootD takes many ranges in one request, so gaps need not be read; for HTTP each range is one.
_MAX_GAP = {"root": 1024, "http": 8 * 1024}
_MAX_REQUEST = 32 << 20


class RemoteSource(uproot.source.chunk.Source):
    """The bytes of a remote ROOT file for uproot.

    Baskets announced by `prefetch` are requested together and handed out when asked for; other
    reads go through one at a time, with read-ahead for the small ones of directories.
    """

    def __init__(self, file_path: str, *, remote: RemoteFile | None = None, **options: Any) -> None:
        super().__init__()
        self._file_path = file_path
        self.remote = remote or RemoteFile(file_path)
        gap = _MAX_GAP["http" if scheme_of(file_path).startswith("http") else "root"]
        self._coalescing = CoalesceConfig(gap, 1024, _MAX_REQUEST, _MAX_REQUEST)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="remote-read")
        self._ahead: dict[Range, Any] = {}
        self._window = (0, 0)
        self._wanted: dict[str, Any] = {}
        self._learned: dict[str, Any] = {}
        self._closed = False

    def chunk(self, start: int, stop: int) -> Chunk:
        """The bytes start:stop, announced or read ahead."""
        self._check_open()
        if (start, stop) in self._ahead:
            return Chunk(self, start, stop, self._ahead[start, stop])
        return Chunk(self, start, stop, TrivialFuture(self.remote.read_ahead(start, stop)))

    def chunks(self, ranges: list[Range], notifications: queue.Queue) -> list[Chunk]:
        """Chunks of several ranges, filled as they arrive; each is then put on the queue."""
        self._check_open()
        rest = [r for r in ranges if r not in self._ahead]
        requested = iter(self._request(rest, notifications))
        chunks = []
        for wanted in ranges:
            if wanted in self._ahead:
                chunk = Chunk(self, *wanted, self._ahead[wanted])
                self._ahead[wanted].add_done_callback(notifier(chunk, notifications))
            else:
                chunk = next(requested)
            chunks.append(chunk)
        return chunks

    def want(self, branches: list[Any], start: int, stop: int) -> None:
        """Announce that entries start:stop of branches will be read.

        For a new range of entries, the branches wanted of the last one are taken to be wanted
        again; their baskets are requested together. Baskets that reach into the new range are
        kept, all others dropped.
        """
        new = {branch.cache_key: branch for branch in branches}
        if (start, stop) == self._window and new.keys() <= self._wanted.keys():
            return
        if (start, stop) != self._window:
            self._window, self._learned, self._wanted = (start, stop), self._wanted, {}
        self._wanted |= new
        every = (self._learned | self._wanted).values()
        self.prefetch(r for branch in every for r in _baskets(branch, start, stop))

    def prefetch(self, ranges: Iterable[Range]) -> None:
        """Request ranges that `chunks` will ask for, together; forget all others."""
        wanted = set(ranges)
        self._ahead = {r: future for r, future in self._ahead.items() if r in wanted}
        for range_ in wanted - self._ahead.keys():
            if (content := self.remote.held(*range_)) is not None:
                self._ahead[range_] = TrivialFuture(content)
        missing = sorted(wanted - self._ahead.keys())
        for range_, chunk in zip(missing, self._request(missing, queue.Queue()), strict=True):
            self._ahead[range_] = chunk.future

    @property
    def num_bytes(self) -> int:
        return self.remote.size

    @property
    def closed(self) -> bool:
        return self._closed

    def __enter__(self) -> RemoteSource:
        return self

    def __exit__(self, *exc: object) -> None:
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._ahead.clear()

    def _request(self, ranges: list[Range], notifications: queue.Queue) -> list[Chunk]:
        if not ranges:
            return []

        def submit(joined: list[Range]) -> Any:
            return self._pool.submit(self.remote.read_ranges, joined)

        self._num_requested_chunks += len(ranges)
        self._num_requested_bytes += sum(stop - start for start, stop in ranges)
        chunks: list[Chunk] = coalesce_requests(
            ranges, submit, self, notifications, config=self._coalescing
        )
        return chunks

    def _check_open(self) -> None:
        if self._closed:
            raise OSError(f"file {self._file_path} is closed")


def _baskets(branch: Any, start: int, stop: int) -> list[Range]:
    """Byte ranges of a branch's baskets that hold entries start:stop."""
    found = branch.entries_to_ranges_or_baskets(start, stop)
    return [item[1] for item in found if isinstance(item[1], tuple)]  # others lie in the tree


def open_remote_root(location: str, options: AccessOptions = DEFAULT_ACCESS) -> Any:
    """Open a remote ROOT file with uproot.

    Raises
    ------
    InputError
        If it cannot be reached. What is wrong with its content comes as uproot's own exceptions.
    """
    return open_root_through(RemoteFile(location, options))


def open_root_through(remote: RemoteFile) -> Any:
    """As `open_remote_root`, for a file some of which has been read."""
    # A dictionary, because a colon in a text would part file and object.
    return uproot.open(
        {remote.location: None}, handler=RemoteSource, remote=remote,
        array_cache=None, object_cache=None,
    )  # fmt: skip
