"""Preprocessing: many input files to one event store, in parallel, resumable, nothing lost.

Files are cut into ranges of events; each becomes a shard (`data.shards.convert`), made in any
order by any executor; the shards are merged in the order of the inputs. The store's bytes depend
on neither the number of workers nor on interruptions.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError, PipelineError
from common.progress import log, progress
from common.runs import git_revision, versions
from data.config import PreprocessConfig
from data.manifest import Manifest
from data.shards import FileInfo, Job, convert, describe, inspect, merge, shard_ranges
from data.store import SCHEMA_VERSION, EventStore

HCAL_CONVENTION = (
    "HBHE cells are towers with depths summed; upsampled x5 they are divided by 25 "
    "(energy-conserving)"
)


@dataclass
class Summary:
    """Outcome of a preprocessing run."""

    output: Path
    n_read: int = 0
    n_kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every file was converted."""
        return not self.failed


class PartialFailure(PipelineError):
    """Some input files could not be used; the store holds the others."""

    def __init__(self, summary: Summary) -> None:
        self.summary = summary
        lines = [f"  {reason}" for reason in summary.failed.values()]
        rest = (
            f"{summary.output} holds the {summary.n_kept} events of the others"
            if summary.n_read
            else "no event store was written"
        )
        super().__init__(
            f"{len(summary.failed)} input file(s) could not be used; {rest}:\n" + "\n".join(lines)
        )


def run(config: PreprocessConfig, executor: Executor | None = None) -> Summary:
    """Preprocess: read the inputs, cluster, select, and write the event store.

    Parameters
    ----------
    config
        The stage's configuration.
    executor
        Runs the conversions; by default a pool of `config.workers` processes.

    Raises
    ------
    PartialFailure
        If files could not be used; the others are in the store, and the manifest
        (`<output>.manifest.json`) says which and why.
    """
    started = time.monotonic()
    if executor is None and config.workers > 1:
        # Spawned, not forked: a parent with running threads cannot be forked safely.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(config.workers, mp_context=context) as pool:
            summary = _run(config, pool)
    else:
        summary = _run(config, executor)
    summary.seconds = time.monotonic() - started
    rate = summary.n_read / max(summary.seconds, 1e-9)
    log.info(
        "preprocess: kept %d of %d events from %d file(s) in %.1f s (%.0f events/s): %s",
        summary.n_kept, summary.n_read, len(config.input) - len(summary.failed), summary.seconds,
        rate, summary.output,
    )  # fmt: skip
    for problem, count in summary.warnings.items():
        log.info("  %d x %s", count, problem)
    if not summary.ok:
        raise PartialFailure(summary)
    return summary


def _run(config: PreprocessConfig, executor: Executor | None) -> Summary:
    summary = Summary(config.output)
    infos = _inspect_all(config, executor, summary)
    manifest = Manifest(config.output, _fingerprint(config, infos))
    if not summary.failed and manifest.is_complete():
        log.info("preprocess: %s is up to date", config.output)
        return _earlier_summary(config, manifest)
    folder = config.output.with_name(config.output.name + ".shards")
    manifest.drop_damaged(folder)
    manifest.save()
    jobs = {
        source: Job(
            folder.absolute(), source, info.sha256, config.selection, _label(config),
            git_revision(), config.chunk,
        )
        for source, info in infos.items()
    }  # fmt: skip
    tasks = [
        (source, start, stop)
        for source, info in infos.items()
        for start, stop in shard_ranges(info.n_events)
    ]
    shards = _convert_all(config, tasks, infos, jobs, executor, manifest, summary)
    used = {s: info for s, info in infos.items() if info.path not in summary.failed}
    if used:
        ordered = [shards[task] for task in tasks if task[0] in used]
        attributes = _attributes(config, used)
        summary.n_kept, warnings = merge(ordered, config.output, list(used.values()), attributes)
        summary.n_read = sum(info.n_events for info in used.values())
        summary.warnings = dict(warnings) | _duplicates(config.output)
    status = "done" if summary.ok else "partial" if used else "failed"
    manifest.finish(status, _file_records(config, infos, summary), summary.n_kept, summary.warnings)
    shutil.rmtree(folder, ignore_errors=True)
    return summary


def _inspect_all(
    config: PreprocessConfig, executor: Executor | None, summary: Summary
) -> dict[int, FileInfo]:
    """Usable files by their index in the inputs; the others are noted as failed."""
    found: dict[int, FileInfo] = {}
    calls = {source: (inspect, str(path)) for source, path in enumerate(config.input)}
    for source, result in _completed(calls, executor):
        if isinstance(result, PipelineError):
            summary.failed[str(config.input[source])] = str(result)
            log.error("%s", result)
        else:
            found[source] = result
            if result.missing:
                log.warning("%s has no %s", result.path, ", ".join(result.missing))
    by_content: dict[str, FileInfo] = {}
    for source, info in sorted(found.items()):
        first = by_content.setdefault(info.sha256, info)
        if first is not info:
            reason = InputError(info.path, f"the same content as {first.path}", "list it once")
            summary.failed[f"{info.path} (input {source})"] = str(reason)
            log.error("%s", reason)
            del found[source]
    return dict(sorted(found.items()))


def _convert_all(
    config: PreprocessConfig,
    tasks: list[tuple[int, int, int]],
    infos: dict[int, FileInfo],
    jobs: dict[int, Job],
    executor: Executor | None,
    manifest: Manifest,
    summary: Summary,
) -> dict[tuple[int, int, int], Path]:
    calls = {
        (source, start, stop): (convert, infos[source].path, start, stop, jobs[source])
        for source, start, stop in tasks
    }
    shards: dict[tuple[int, int, int], Path] = {}
    results = _completed(calls, executor)
    for task, result in progress(results, total=len(tasks), desc="preprocess", unit="shards"):
        if isinstance(result, PipelineError):
            path = infos[task[0]].path
            if path not in summary.failed:
                log.error("%s", result)
            summary.failed.setdefault(path, str(result))
        else:
            shards[task] = result
            manifest.add_shard(result)
    return shards


def _completed(
    calls: dict[Any, tuple[Any, ...]], executor: Executor | None
) -> Iterator[tuple[Any, Any]]:
    """Yield (key, result) of each call as it ends; a PipelineError is a result, not a stop."""
    if executor is None:
        for key, (function, *arguments) in calls.items():
            yield key, _result(partial(function, *arguments))
        return
    futures = {executor.submit(*call): key for key, call in calls.items()}
    for future in as_completed(futures):
        yield futures[future], _result(future.result)


def _result(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except PipelineError as error:
        return error
    except BrokenProcessPool as error:
        raise PipelineError(
            "a worker process was killed (out of memory?); run the same command again to go on "
            "where it stopped, with fewer workers or a smaller chunk"
        ) from error


def _label(config: PreprocessConfig) -> int:
    return -1 if config.label is None else config.label


def _settings(config: PreprocessConfig) -> dict[str, Any]:
    """The part of the configuration that decides the store's content."""
    return {"input": [str(p) for p in config.input], "selection": config.selection,
            "label": config.label}  # fmt: skip


def _fingerprint(config: PreprocessConfig, infos: dict[int, FileInfo]) -> str:
    decisive = [
        SCHEMA_VERSION, git_revision(), _settings(config),
        {source: info.sha256 for source, info in infos.items()},
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _attributes(config: PreprocessConfig, used: dict[int, FileInfo]) -> dict[str, Any]:
    origins = {info.origin for info in used.values()}
    return {
        "origin": origins.pop() if len(origins) == 1 else "mixed",
        "inputs": [{"source": source, **describe(info)} for source, info in used.items()],
        "missing_channels": sorted({name for info in used.values() for name in info.missing}),
        "config": _settings(config),
        "versions": versions(),
        "git_revision": git_revision(),
        "hcal_convention": HCAL_CONVENTION,
    }


def _duplicates(output: Path) -> dict[str, int]:
    """Collisions that occur more than once in the store, counted; they are kept."""
    with EventStore(output) as store:
        groups = store.event("group")
    collisions = groups[groups >> 60 == 1]
    repeated = len(collisions) - len(np.unique(collisions))
    return {"events that occur more than once in the inputs": repeated} if repeated else {}


def _file_records(
    config: PreprocessConfig, infos: dict[int, FileInfo], summary: Summary
) -> list[dict[str, Any]]:
    records = []
    for source, path in enumerate(config.input):
        key = str(path) if str(path) in summary.failed else f"{path} (input {source})"
        reason = summary.failed.get(key)
        record: dict[str, Any] = {"source": source, "path": str(path)}
        record |= describe(infos[source]) if source in infos else {}
        records.append(record | {"status": "failed" if reason else "done", "reason": reason})
    return records


def _earlier_summary(config: PreprocessConfig, manifest: Manifest) -> Summary:
    record = manifest.earlier
    return Summary(
        config.output,
        n_read=sum(file["n_events"] for file in record["files"]),
        n_kept=record["output"]["events"],
        warnings=record["warnings"],
    )
