"""Reading parts of remote files: counted, checked, tried again."""

from __future__ import annotations

from collections import deque
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from common.errors import InputError
from data.access.filesystems import NO_RANGES, HttpHead, filesystem
from data.access.location import DEFAULT_ACCESS, AccessOptions, adler32_of, scheme_of
from data.access.retries import Incomplete, is_permanent, retried

Range = tuple[int, int]
READ_AHEAD = 64 * 1024
_BLOCKS_KEPT = 8
_AT_ONCE = 8  # connections to one web server; more is impolite and seldom faster
_XROOTD_RANGES, _XROOTD_BYTES = 1024, 2097136  # of one vector read
_UNSUPPORTED = ("[3013]", "not supported", "not configured")


class RemoteFile:
    """A remote file, read in ranges.

    Attributes
    ----------
    location
        Its address.
    bytes_read
        Bytes that arrived so far.
    n_requests
        Requests sent so far.

    Raises
    ------
    InputError
        In every method, if the file cannot be read for good or after all repetitions.
    """

    def __init__(self, location: str, options: AccessOptions = DEFAULT_ACCESS) -> None:
        self.location = location
        self.options = options
        self.bytes_read = 0
        self.n_requests = 0
        self._is_http = scheme_of(location).startswith("http")
        self._fs, self._path = filesystem(location, options.timeout)
        self._lock = Lock()
        self._blocks: deque[tuple[int, bytes]] = deque(maxlen=_BLOCKS_KEPT)

    @cached_property
    def head(self) -> HttpHead:
        """Length, tag and, over HTTP, whether ranges work and which checksum the server says."""

        def ask() -> HttpHead:
            self._count(0, 1)
            if self._is_http:
                head: HttpHead = self._fs.head(self._path)
                return head
            try:
                info = self._fs.info(self._path)
            except Exception:
                self._forget_handle()
                raise
            return HttpHead(int(info["size"]), f"{info['mtime']}", None, ranges=True)

        return retried(ask, self.location, "asking for its size", self.options)

    @property
    def size(self) -> int:
        """Length in bytes."""
        if self.head.size is None:
            raise InputError(
                self.location, "the server does not say how long the file is", NO_RANGES[1]
            )
        return self.head.size

    @cached_property
    def adler32(self) -> str | None:
        """The Adler-32 that the server has for the file; None if it keeps none."""
        if self._is_http:
            return self.head.adler32

        def ask() -> str | None:
            self._count(0, 1)
            try:
                kind, value = self._fs.checksum(self._path)
            except OSError as error:
                if any(text in str(error) for text in _UNSUPPORTED):
                    return None
                raise
            return adler32_of(f"{kind}:{value}")

        return retried(ask, self.location, "asking for its checksum", self.options)

    def read(self, start: int, stop: int) -> bytes:
        """The bytes start:stop."""
        return self.read_ranges([(start, stop)])[0]

    def read_ahead(self, start: int, stop: int) -> bytes:
        """The bytes start:stop, with their surroundings if they are few: headers come in runs."""
        if (content := self.held(start, stop)) is not None:
            return content
        if stop - start > READ_AHEAD:
            return self.read(start, stop)
        first = start // READ_AHEAD * READ_AHEAD
        content = self.read(first, min(self.size, max(stop, first + READ_AHEAD)))
        self._blocks.append((first, content))
        return content[start - first : stop - first]

    def held(self, start: int, stop: int) -> bytes | None:
        """The bytes start:stop if `read_ahead` has them; None if not."""
        for first, content in self._blocks:
            if first <= start and stop <= first + len(content):
                return content[start - first : stop - first]
        return None

    def read_ranges(self, ranges: list[Range]) -> list[bytes]:
        """The bytes of several ranges, requested together; only what failed is asked for again."""
        ranges = [(int(a), int(b)) for a, b in ranges]  # NumPy's integers are refused by XRootD
        parts: dict[int, bytes] = {i: b"" for i, (a, b) in enumerate(ranges) if a >= b}

        def ask() -> None:
            missing = [i for i in range(len(ranges)) if i not in parts]
            failures: list[BaseException] = []
            for i, answer in zip(missing, self._ask([ranges[i] for i in missing]), strict=True):
                if isinstance(answer, BaseException):
                    failures.append(answer)
                elif answer is None or len(answer) != ranges[i][1] - ranges[i][0]:
                    failures.append(
                        Incomplete(f"{len(answer or b'')} bytes of the range {ranges[i]} arrived")
                    )
                else:
                    parts[i] = bytes(answer)
                    self._count(len(answer), 0)
            if failures:
                raise next(filter(is_permanent, failures), failures[0])

        wanted = f"bytes {min(a for a, _ in ranges)}-{max(b for _, b in ranges)}"
        retried(ask, self.location, f"reading {wanted}", self.options)
        return [parts[i] for i in range(len(ranges))]

    def read_all(self) -> bytes:
        """The whole content, in one request; for small files such as lists."""

        def ask() -> bytes:
            self._count(0, 1)
            content: bytes = (
                self._fs.cat_file(self._path)
                if self._is_http
                else self._fs.cat_file(self._path, start=0, end=self.size)
            )
            self._count(len(content), 0)
            return content

        return retried(ask, self.location, "reading", self.options)

    def download(self, path: Path) -> None:
        """Copy the whole content in one request, once; failures are for the caller to repeat."""
        self._count(0, 1)
        self._fs.get_file(self._path, str(path))
        self._count(path.stat().st_size, 0)

    def _ask(self, ranges: list[Range]) -> list[Any]:
        """Answers to the ranges: bytes, or the exception that each met."""
        starts, stops = [a for a, _ in ranges], [b for _, b in ranges]
        paths = [self._path] * len(ranges)
        if self._is_http:
            self._count(0, len(ranges))
            answers: list[Any] = self._fs.cat_ranges(
                paths, starts, stops, on_error="return", batch_size=_AT_ONCE
            )
            return answers
        pieces = sum(-(-(b - a) // _XROOTD_BYTES) for a, b in ranges)
        self._count(0, -(-pieces // _XROOTD_RANGES))
        try:
            answers = self._fs.cat_ranges(paths, starts, stops)
        except Exception:
            self._forget_handle()
            raise
        return answers

    def _forget_handle(self) -> None:
        """Drop the open XRootD handle: after an error it may stay unusable."""
        try:
            self._fs.invalidate_cache(self._path)
        except Exception:  # closing what is broken
            return

    def _count(self, n_bytes: int, n_requests: int) -> None:
        with self._lock:
            self.bytes_read += n_bytes
            self.n_requests += n_requests
