"""Shards: a range of one file's events as a small event store, made independently of all others."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


from common.files import atomic_path, sha256
from data.assemble import Context, Tables, assemble
from data.batch import CHANNELS
from data.config import Selection
from data.sources import open_source
from data.store import EventStore, StoreWriter
from data.store_schema import GROUPS, PAIR_GROUPS, SCHEMA_VERSION, unknown

SHARD_EVENTS = 2000


@dataclass(frozen=True)
class FileInfo:
    """What is known of an input file before its events are read."""

    path: str
    sha256: str
    format: str
    origin: str
    n_events: int
    missing: tuple[str, ...]
    channels: dict[str, list[str]]
    has_truth: bool


@dataclass(frozen=True)
class Job:
    """How to convert a file: everything that decides the bytes of its shards.

    source is the file's index in the store, revision that of the program, chunk the number of
    events held in memory (which decides nothing).
    """

    folder: Path
    source: int
    sha256: str
    selection: Selection
    label: int
    revision: str
    chunk: int = 500

    def shard_path(self, start: int, stop: int) -> Path:
        """Where the shard of the events start:stop belongs; other settings, another name."""
        decisive = [
            SCHEMA_VERSION, self.revision, self.sha256, self.source, self.selection, self.label,
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]
        return self.folder / f"{digest}_{start:09d}_{stop:09d}.h5"


def inspect(path: str | Path) -> FileInfo:
    """Open a file, tell its format and take its checksum.

    Raises
    ------
    InputError
        If it cannot be used.
    """
    with open_source(path) as source:
        return FileInfo(
            str(path), sha256(path), source.format, source.origin, source.n_events,
            source.missing, source.channels, source.has_truth,
        )  # fmt: skip


def shard_ranges(n_events: int) -> list[tuple[int, int]]:
    """Event ranges of a file's shards; they depend on nothing but the file's length."""
    return [
        (start, min(start + SHARD_EVENTS, n_events)) for start in range(0, n_events, SHARD_EVENTS)
    ]


def convert(file: str | Path, start: int, stop: int, job: Job) -> Path:
    """Convert the events start:stop of a file into a shard.

    Idempotent: a shard that exists is returned as it is. Atomic: it appears under its name only
    when complete. Any `concurrent.futures` executor may run it.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path = job.shard_path(start, stop)
    if path.is_file():
        return path
    warnings: Counter[str] = Counter()
    with open_source(file) as source, atomic_path(path) as temporary:
        context = Context(job.selection, job.label, job.source, source.origin == "simulation")
        with StoreWriter(temporary, source.channels, source.has_truth) as writer:
            first = start
            for batch in source.batches(start, stop, job.chunk):
                tables, hits = assemble(batch, context, first, warnings)
                writer.append(tables, hits)
                first += len(batch)
            writer.set_attributes({"warnings": dict(sorted((warnings + source.warnings).items()))})
    return path


def merge(
    shards: Iterable[Path], output: Path, infos: list[FileInfo], attributes: dict[str, Any]
) -> tuple[int, Counter[str]]:
    """Write the shards, in the given order, into one event store.

    Returns
    -------
    Number of events, and the readers' warnings counted over all shards.
    """
    channels = union_of_channels(infos)
    with_truth = any(info.has_truth for info in infos)
    warnings: Counter[str] = Counter()
    n_events = 0
    # Left to right: the writer closes its file before the file gets its name.
    with (
        atomic_path(output) as temporary,
        StoreWriter(temporary, channels, with_truth) as writer,
    ):
        for path in shards:
            with EventStore(path) as shard:
                warnings.update(shard.attrs["warnings"])
                n_events += len(shard)
                hits = {channel: shard.hits(channel) for channel in shard.channels}
                writer.append(_tables(shard, with_truth), hits)
        writer.set_attributes({**attributes, "reader_warnings": dict(sorted(warnings.items()))})
    return n_events, warnings


def union_of_channels(infos: list[FileInfo]) -> dict[str, list[str]]:
    """Channels and columns that at least one file provides, in the fixed order."""
    union: dict[str, list[str]] = {}
    for channel in CHANNELS:
        offered = [info.channels[channel] for info in infos if channel in info.channels]
        if offered:
            union[channel] = max(offered, key=len)
    return union


def describe(info: FileInfo) -> dict[str, Any]:
    """A file's entry in the store's list of inputs."""
    entry = asdict(info)
    del entry["channels"], entry["has_truth"]
    return {**entry, "entries": [0, info.n_events]}


def _tables(shard: EventStore, with_truth: bool) -> Tables:
    """All tables of a shard; truth that it lacks is filled with -1 and NaN."""
    tables: Tables = {}
    for group, columns in GROUPS.items():
        is_truth = group.startswith("truth")
        if is_truth and not with_truth:
            continue
        shape = (len(shard), 2) if group in PAIR_GROUPS else (len(shard),)
        tables[group] = {
            name: unknown(shape, dtype)
            if is_truth and not shard.has_truth
            else shard.column(f"{group}/{name}")
            for name, dtype in columns.items()
        }
    return tables
