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
from itertools import pairwise
from pathlib import Path

from common.errors import InputError, PipelineError
from common.files import atomic_path
from data.access import DEFAULT_ACCESS, AccessOptions, InputFile, is_remote
from data.config import Selection
from data.preprocessing.assemble import Context, assemble
from data.sources import DEFAULT, ReadOptions, Source, open_source
from data.store import EventStore, StoreWriter
from data.store.checks import verify
from data.store.schema import SCHEMA_VERSION

SHARD_EVENTS = 5000
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
    chunk: int = 2500

    def shard_path(self, start: int, stop: int) -> Path:
        """Where the shard of the events start:stop belongs; other settings, another name."""
        decisive = [
            SCHEMA_VERSION, self.revision, self.identity, self.source, self.selection, self.label,
            repr(self.reading),
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]
        return self.folder / f"{digest}_{start:09d}_{stop:09d}.h5"


def shard_ranges(n_events: int, edges: Sequence[int], size: int) -> list[EventRange]:
    """Event ranges of about `size` or fewer for a file's shards; they depend on the file only.

    They are of about equal length, and meet where the file's baskets do if such an edge is not far,
    so that no basket is decompressed for two shards.
    """
    count = -(-n_events // size)
    cuts = [0]
    for number in range(1, count):
        ideal = n_events * number // count
        nearest = min(edges, key=lambda edge: abs(edge - ideal), default=ideal)
        cuts.append(nearest if abs(nearest - ideal) <= size // 4 else ideal)
    return list(pairwise([*cuts, n_events])) if n_events else []


def convert(file: InputFile | str | Path, start: int, stop: int, job: Job) -> Path:
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
    source = opened(file, job.reading, job.access, job.stat)
    context = Context(job.selection, job.label, job.source, source.origin == "simulation")
    warnings: Counter[str] = Counter()
    source.warnings.clear()
    try:
        with (
            atomic_path(path) as temporary,
            StoreWriter(
                temporary, source.channels, source.has_truth, source.collections, is_scratch=True
            ) as writer,
        ):
            first = start
            for batch in source.batches(start, stop, job.chunk):
                rows = assemble(batch, context, first, warnings)
                writer.append(rows.tables, rows.hits, rows.collections)
                first += len(batch)
            counted = dict(sorted((warnings + source.warnings).items()))
            writer.set_attributes({"warnings": counted, "events_read": first - start})
    except BaseException:
        close_opened()
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


class _LastOpened(threading.local):
    """The file this thread opened last."""

    key: tuple[object, ...] | None = None
    source: Source | None = None


_last = _LastOpened()


def opened(
    file: InputFile | str | Path, reading: ReadOptions, access: AccessOptions, stat: Stat | None
) -> Source:
    """An open file, the one of the last call if it is the same: its directory is read once.

    Raises
    ------
    InputError
        If it cannot be used, or does not look any more as `stat` says.
    """
    file = file if isinstance(file, InputFile) else InputFile(str(file))
    key = (file.location, reading, access, stat)
    if _last.source is None or key != _last.key:
        close_opened()
        _last.source, _last.key = open_source(file, reading, access), key
    if stat is not None and file_stat(file.location) != stat:
        close_opened()
        raise InputError(
            file.location, "changed since it was inspected", "run again when it is complete"
        )
    return _last.source


def close_opened() -> None:
    """Close the file that this thread opened last."""
    if _last.source is not None:
        _last.source.__exit__(None, None, None)
    _last.source = _last.key = None
