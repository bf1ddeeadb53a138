"""Shards to one event store, in the order of the inputs, while later shards are still made."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from common.files import scratch_name, sync, writing
from data.batch import STORE_CHANNELS
from data.preprocessing.assemble import Tables
from data.preprocessing.plan import FileInfo
from data.store import EventStore, StoreWriter
from data.store.schema import GROUPS, PAIR_GROUPS, unknown

Task = tuple[int, int, int]  # source, start, stop


class Merger:
    """Appends shards to the store as soon as all that come before them are there.

    The store's bytes depend on the shards and their order only: when a file is dropped after some
    of its shards were merged, merging starts anew without it.

    Parameters
    ----------
    output
        Event store to write; it appears under this name in `finish`.
    scratch
        Folder on the same file system for the unfinished store.
    files
        Inspected files by their index in the inputs, with their shards.
    """

    def __init__(self, output: Path, scratch: Path, files: dict[int, FileInfo]) -> None:
        self.output = output
        self.files = dict(files)
        self.n_events = 0
        self.warnings: Counter[str] = Counter()
        self._temporary = scratch_name(scratch / output.name)
        self._order: list[Task] = [(s, *r) for s, info in files.items() for r in info.shards]
        self._ready: dict[Task, Path] = {}
        self._next = 0
        self._writer: StoreWriter | None = None

    def offer(self, task: Task, shard: Path) -> None:
        """Take a whole shard; merge what can be merged now."""
        self._ready[task] = shard
        with writing(self.output):
            self._advance()

    def drop(self, source: int) -> None:
        """Leave a file out whole."""
        if source not in self.files:
            return
        merged = any(task[0] == source for task in self._order[: self._next])
        layout = self._layout()
        del self.files[source]
        self._order = [task for task in self._order if task[0] != source]
        # Even where none of its shards is merged, the store may have channels of this file alone.
        if merged or self._layout() != layout:
            self._restart()
        with writing(self.output):
            self._advance()

    def finish(self, attributes: dict[str, Any]) -> None:
        """Write the attributes, sync, and give the store its name.

        Raises
        ------
        RuntimeError
            If a shard is missing (a bug of the caller).
        """
        with writing(self.output):
            self._advance()
            if self._next != len(self._order):
                raise RuntimeError(f"shard {self._order[self._next]} was never offered")
            writer = self._open()
            counted = dict(sorted(self.warnings.items()))
            writer.set_attributes({**attributes, "reader_warnings": counted})
            writer.close()
            self._writer = None
            sync(self._temporary)
            os.replace(self._temporary, self.output)

    def close(self) -> None:
        """Drop an unfinished store."""
        if self._writer is not None:
            self._writer.abandon()
        self._writer = None
        self._temporary.unlink(missing_ok=True)

    def _advance(self) -> None:
        while self._next < len(self._order) and self._order[self._next] in self._ready:
            self._append(self._ready[self._order[self._next]])
            self._next += 1

    def _append(self, path: Path) -> None:
        writer = self._open()
        with EventStore(path) as shard:
            self.warnings.update(shard.attrs["warnings"])
            self.n_events += len(shard)
            hits = {channel: shard.hits(channel) for channel in shard.channels}
            objects = {group: shard.rows(group) for group in shard.collections}
            writer.append(_tables(shard, writer.with_truth), hits, objects)

    def _open(self) -> StoreWriter:
        if self._writer is None:
            self._writer = StoreWriter(self._temporary, *self._layout())
        return self._writer

    def _layout(self) -> tuple[dict[str, list[str]], bool, dict[str, dict[str, str]]]:
        """Channels, truth and further objects of the store."""
        infos = list(self.files.values())
        with_truth = any(info.has_truth for info in infos)
        return union_of_channels(infos), with_truth, union_of_collections(infos)

    def _restart(self) -> None:
        self.close()
        self._next, self.n_events = 0, 0
        self.warnings.clear()


def union_of_channels(infos: list[FileInfo]) -> dict[str, list[str]]:
    """Channels and columns that at least one file provides, in the fixed order."""
    union: dict[str, list[str]] = {}
    for channel in STORE_CHANNELS:
        offered = [info.channels[channel] for info in infos if channel in info.channels]
        if offered:
            union[channel] = list(dict.fromkeys(name for names in offered for name in names))
    return union


def union_of_collections(infos: list[FileInfo]) -> dict[str, dict[str, str]]:
    """Further objects and columns that at least one file provides, by name."""
    union: dict[str, dict[str, str]] = {}
    for info in infos:
        for group, types in info.collections.items():
            union.setdefault(group, {}).update(types)
    return dict(sorted(union.items()))


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
