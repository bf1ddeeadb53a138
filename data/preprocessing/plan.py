"""The plan of a preprocessing run: which files, what they are, how they are cut into shards.

Files are inspected once. The plan lies beside the output (`<output>.plan.json`), so that an
interrupted run, and every task of a batch array, goes on from it without opening all files again.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from common.errors import InputError, PipelineError
from common.files import write_json
from common.progress import log, progress
from common.runs import git_revision
from data.access import AccessOptions, InputFile, identity, resolve
from data.config import PreprocessConfig
from data.preprocessing import shards
from data.preprocessing.executing import completed
from data.preprocessing.shards import EventRange, Job, Stat, file_stat, opened, shard_ranges
from data.sources import ReadOptions
from data.store.schema import SCHEMA_VERSION


@dataclass(frozen=True)
class FileInfo:
    """What is known of an input file before its events are read.

    identity is `sha256:…` for local files, `adler32:…` or `etag:…` for remote ones; label the
    class of its events by the catalogue; shards the event ranges it is cut into.
    """

    location: str
    identity: str
    format: str
    origin: str
    n_events: int
    missing: tuple[str, ...]
    channels: dict[str, list[str]]
    collections: dict[str, dict[str, str]]
    has_truth: bool
    label: int | None
    shards: tuple[EventRange, ...]
    stat: Stat | None

    def describe(self) -> dict[str, Any]:
        """The file's entry in the store's list of inputs."""
        names = ("location", "identity", "format", "origin", "n_events", "missing")
        return {name: getattr(self, name) for name in names} | {"entries": [0, self.n_events]}


@dataclass
class Plan:
    """The usable files by their index in the inputs, and why the others are not.

    made_by tells the program and how it was told to read files: what was inspected otherwise is
    inspected again. asked is what the user named: input, record, files.
    """

    made_by: str
    asked: list[Any]
    inputs: list[InputFile]
    files: dict[int, FileInfo] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    @property
    def tasks(self) -> list[tuple[int, int, int]]:
        """(source, start, stop) of every shard, in the store's order."""
        return [(s, *r) for s, info in sorted(self.files.items()) for r in info.shards]

    def save(self, path: Path) -> None:
        """Write the plan."""
        write_json(
            path,
            {
                "made_by": self.made_by,
                "asked": self.asked,
                "inputs": [asdict(file) for file in self.inputs],
                "files": {source: asdict(info) for source, info in self.files.items()},
                "failed": self.failed,
            },
        )

    @classmethod
    def load(cls, path: Path) -> Plan | None:
        """An earlier plan; None where there is none that can be read."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                content["made_by"],
                content["asked"],
                [InputFile(**file) for file in content["inputs"]],
                {int(source): _file_info(info) for source, info in content["files"].items()},
                {int(source): reason for source, reason in content["failed"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def forget_remote(self) -> None:
        """Drop what cannot be compared with how it was: a later run asks the servers again."""
        self.files = {source: info for source, info in self.files.items() if info.stat is not None}


def plan_path(output: Path) -> Path:
    """Where the plan of an output lies."""
    return output.with_name(output.name + ".plan.json")


def shards_folder(output: Path) -> Path:
    """Where the shards of an output lie."""
    return output.with_name(output.name + ".shards")


def make_plan(config: PreprocessConfig, executor: Executor | None = None) -> Plan:
    """Find the inputs and inspect those that an earlier plan does not know as they are now.

    Files that cannot be used are noted with the reason, and inspected again in the next run. A
    part of a run takes the plan as it is, so that a thousand tasks do not ask for the same list.
    """
    plan = Plan(
        f"{git_revision()} {reading(config)}", [config.input, config.record, config.files], []
    )
    earlier = Plan.load(plan_path(config.output))
    if earlier is None or earlier.made_by != plan.made_by:
        earlier = Plan("", [], [])
    if config.part is not None and earlier.asked == plan.asked:
        return earlier
    plan.inputs = resolve(config.input, config.record, config.files, access(config))
    by_location = {info.location: info for info in earlier.files.values()}
    calls = {}
    for source, file in enumerate(plan.inputs):
        known = by_location.get(file.location)
        if known is not None and known.stat == _stat_or_none(file.location):
            plan.files[source] = replace(known, label=file.label)
        else:
            options = (reading(config), access(config, source), shards.SHARD_EVENTS)
            calls[source] = (inspect, file, *options)
    found = completed(calls, executor)
    for source, result in progress(found, total=len(calls), desc="inspect", unit="files"):
        if isinstance(result, PipelineError):
            plan.failed[source] = str(result)
            log.error("%s", result)
        else:
            plan.files[source] = result
            if result.missing:
                log.warning("%s has no %s", result.location, ", ".join(result.missing))
    _refuse_repeated(plan)
    plan.files = dict(sorted(plan.files.items()))
    plan.save(plan_path(config.output))
    return plan


def inspect(
    file: InputFile, options: ReadOptions, access: AccessOptions, shard_events: int
) -> FileInfo:
    """Open a file, tell its format, take or ask for its checksum, and cut it into shards.

    Raises
    ------
    InputError
        If it cannot be used.
    """
    stat = _stat_or_none(file.location)  # of a file that is absent: opening it tells
    source = opened(file, options, access, stat)
    return FileInfo(
        location=file.location,
        identity=identity(file, access),
        format=source.format,
        origin=source.origin,
        n_events=source.n_events,
        missing=source.missing,
        channels=source.channels,
        collections=source.collections,
        has_truth=source.has_truth,
        label=file.label,
        shards=tuple(shard_ranges(source.n_events, source.basket_edges, shard_events)),
        stat=stat,
    )


def reading(config: PreprocessConfig) -> ReadOptions:
    """How the configuration wants files read."""
    return ReadOptions(
        objects=tuple(config.objects), hcal_upsampling=config.hcal_upsampling, strict=config.strict
    )


def access(config: PreprocessConfig, source: int | None = None) -> AccessOptions:
    """How the configuration wants files reached; a file's copy lies in the cache, or for a while
    beside the shards, where all workers find it."""
    cache = config.cache
    if cache is None and source is not None:
        cache = fetched_folder(config.output, source).absolute()
    return AccessOptions(config.access, cache, config.retries)


def fetched_folder(output: Path, source: int) -> Path:
    """Where the copy of a remote file lies until its shards are made."""
    return shards_folder(output) / "fetched" / str(source)


def make_jobs(config: PreprocessConfig, plan: Plan) -> dict[int, Job]:
    """How each file is converted."""
    return {
        source: Job(
            folder=shards_folder(config.output).absolute(),
            source=source,
            identity=info.identity,
            selection=config.selection,
            label=event_label(config, info),
            revision=git_revision(),
            reading=reading(config),
            access=access(config, source),
            stat=info.stat,
            chunk=config.chunk,
        )
        for source, info in plan.files.items()
    }


def event_label(config: PreprocessConfig, info: FileInfo) -> int:
    """Class of a file's events: as configured, else by the catalogue, else -1."""
    if config.label is not None:
        return config.label
    return -1 if info.label is None else info.label


def settings(config: PreprocessConfig) -> dict[str, Any]:
    """The part of the configuration that decides the store's content."""
    names = (
        "input", "record", "files", "selection", "label", "objects", "hcal_upsampling", "strict",
    )  # fmt: skip
    return {name: getattr(config, name) for name in names}


def fingerprint(config: PreprocessConfig, plan: Plan) -> str:
    """Hash of everything that decides the store's content."""
    identities = {source: info.identity for source, info in plan.files.items()}
    decisive = [SCHEMA_VERSION, git_revision(), settings(config), identities]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def part_of(tasks: list[Any], part: str) -> list[Any]:
    """The block i of n of the tasks, for `part` = "i/n"; blocks keep a file's shards together."""
    i, _, n = part.partition("/")
    number, count = int(i), int(n)
    return tasks[len(tasks) * number // count : len(tasks) * (number + 1) // count]


def _refuse_repeated(plan: Plan) -> None:
    first: dict[str, FileInfo] = {}
    for source, info in sorted(plan.files.items()):
        if first.setdefault(info.identity, info) is info:
            continue
        other = first[info.identity].location
        reason = InputError(info.location, f"the same content as {other}", "list it once")
        plan.failed[source] = str(reason)
        log.error("%s", reason)
        del plan.files[source]


def _stat_or_none(location: str) -> Stat | None:
    try:
        return file_stat(location)
    except OSError:
        return None


def _file_info(content: dict[str, Any]) -> FileInfo:
    stat = content["stat"]
    return FileInfo(
        **{
            **content,
            "missing": tuple(content["missing"]),
            "shards": tuple((int(a), int(b)) for a, b in content["shards"]),
            "stat": None if stat is None else (int(stat[0]), int(stat[1])),
        }
    )
