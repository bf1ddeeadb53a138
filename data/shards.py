"""Shards: a range of one file's events as a small event store, made independently of all others.

`convert` needs nothing but its arguments and the folder of the shards, so it may run in a process
pool, on a Dask worker, or in a task of a batch array; a shard that exists and is whole is not
made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import InputError, PipelineError
from common.files import atomic_path
from data.access import DEFAULT_ACCESS, AccessOptions, is_remote
from data.assemble import Context, assemble
from data.config import Selection
from data.sources import DEFAULT, ReadOptions, Source, open_source
from data.store import EventStore, StoreWriter
from data.store_checks import verify
from data.store_schema import SCHEMA_VERSION

SHARD_EVENTS = 2000
Stat = tuple[int, int]  # size and modification time (ns) of a local file
EventRange = tuple[int, int]


@dataclass(frozen=True)
class Job:
    """How to convert a file: everything that decides the bytes of its shards, and how to get it.

    source is the file's index in the store, identity what tells its content, stat what a local
    file looked like when it was inspected, revision that of the program, chunk the number of
    events held in memory (which, like `access`, decides nothing).
    """

    folder: Path
    source: int
    identity: str
    selection: Selection
    label: int
    revision: str
    reading: ReadOptions = DEFAULT
    access: AccessOptions = DEFAULT_ACCESS
    stat: Stat | None = None
    chunk: int = 2000

    def shard_path(self, start: int, stop: int) -> Path:
        """Where the shard of the events start:stop belongs; other settings, another name."""
        decisive = [
            SCHEMA_VERSION, self.revision, self.identity, self.source, self.selection, self.label,
            repr(self.reading),
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]
        return self.folder / f"{digest}_{start:09d}_{stop:09d}.h5"


def shard_ranges(n_events: int, edges: Sequence[int], size: int) -> list[EventRange]:
    """Event ranges of at most `size` for a file's shards; they depend on nothing but the file.

    A range ends where the file's baskets end if one does so in its second half, so that no basket
    is decompressed for two shards.
    """
    ranges = []
    start = 0
    while start < n_events:
        stop = min(start + size, n_events)
        ends = [edge for edge in edges if start + size // 2 < edge <= stop]
        if stop < n_events and ends:
            stop = max(ends)
        ranges.append((start, stop))
        start = stop
    return ranges


def convert(location: str | Path, start: int, stop: int, job: Job) -> Path:
    """Convert the events start:stop of a file into a shard.

    Idempotent: a whole shard is returned as it is, a damaged one is made again. Atomic: it appears
    under its name only when complete. Any `concurrent.futures` executor may run it.

    Raises
    ------
    InputError
        If the file is damaged, or has changed since it was inspected.
    """
    path = job.shard_path(start, stop)
    if is_whole(path):
        return path
    source = _opened.get(str(location), job)
    context = Context(job.selection, job.label, job.source, source.origin == "simulation")
    warnings: Counter[str] = Counter()
    source.warnings.clear()
    try:
        with (
            atomic_path(path) as temporary,
            StoreWriter(temporary, source.channels, source.has_truth, source.collections) as writer,
        ):
            first = start
            for batch in source.batches(start, stop, job.chunk):
                rows = assemble(batch, context, first, warnings)
                writer.append(rows.tables, rows.hits, rows.collections)
                first += len(batch)
            counted = dict(sorted((warnings + source.warnings).items()))
            writer.set_attributes({"warnings": counted, "events_read": first - start})
    except BaseException:
        _opened.close()
        raise
    return path


def is_whole(path: Path) -> bool:
    """Whether a shard exists and every byte of it can be trusted."""
    if not path.is_file():
        return False
    try:
        with EventStore(path) as shard:
            verify(shard)
            return "events_read" in shard.attrs
    except PipelineError:
        return False


def file_stat(location: str) -> Stat | None:
    """Size and modification time of a local file; None for a remote one."""
    if is_remote(location):
        return None
    found = os.stat(location)
    return found.st_size, found.st_mtime_ns


class _OpenedFile(threading.local):
    """The file this thread opened last: its next shards need not read its directory again."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._source: Source | None = None

    def get(self, location: str, job: Job) -> Source:
        key = (location, job.identity, job.reading, job.access)
        if self._source is None or key != self._key:
            self.close()
            self._source, self._key = open_source(location, job.reading, job.access), key
        if job.stat is not None and file_stat(location) != job.stat:
            self.close()
            raise InputError(
                location, "changed since it was inspected", "run again when it is complete"
            )
        return self._source

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = self._key = None


_opened = _OpenedFile()


def close_opened() -> None:
    """Close the file that this thread opened last."""
    _opened.close()
