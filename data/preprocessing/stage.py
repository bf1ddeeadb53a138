"""Preprocessing: many input files to one event store, in parallel, resumable, nothing lost.

The plan (`plan`) cuts files into ranges of events; each becomes a shard (`shards`), made in any
order by any executor (`data.engines`); the shards are merged in the order of the inputs (`merge`).
The store's bytes depend on neither the engine, nor the number of workers, nor interruptions.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Container, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import PipelineError
from common.progress import log, progress
from common.runs import git_revision, versions
from data.config import PreprocessConfig
from data.engines import open_engine
from data.preprocessing.executing import completed
from data.preprocessing.manifest import Manifest
from data.preprocessing.merge import Merger
from data.preprocessing.plan import (
    FileInfo,
    Plan,
    fetched_folder,
    fingerprint,
    make_jobs,
    make_plan,
    part_of,
    plan_path,
    settings,
    shards_folder,
)
from data.preprocessing.shards import close_opened, convert
from data.store import EventStore

HCAL_CONVENTION = (
    "HBHE cells are towers with depths summed; upsampled x5 they are divided by 25 "
    "(energy-conserving)"
)


@dataclass
class Summary:
    """Outcome of a preprocessing run."""

    output: Path
    n_files: int = 0
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
            if summary.n_files
            else "no event store was written"
        )
        super().__init__(
            f"{len(summary.failed)} input file(s) could not be used; {rest}:\n" + "\n".join(lines)
        )

    def __reduce__(self) -> tuple[type, tuple[Summary]]:
        return type(self), (self.summary,)


def run(config: PreprocessConfig, executor: Executor | None = None) -> Summary:
    """Preprocess: read the inputs, cluster, select, and write the event store.

    Parameters
    ----------
    config
        The stage's configuration.
    executor
        Runs the conversions; by default the engine of the configuration.

    Raises
    ------
    PartialFailure
        If files could not be used; the others are in the store, and the manifest
        (`<output>.manifest.json`) says which and why.
    """
    started = time.monotonic()
    if executor is not None:
        summary = _run(config, executor)
    else:
        with open_engine(config) as engine:
            summary = _run(config, engine)
    summary.seconds = time.monotonic() - started
    _report(config, summary)
    if not summary.ok:
        raise PartialFailure(summary)
    return summary


def _run(config: PreprocessConfig, executor: Executor | None) -> Summary:
    plan = make_plan(config, executor)
    if config.part is not None:
        return _make_part(config, plan, executor)
    manifest = Manifest(config.output, fingerprint(config, plan))
    if not plan.failed and manifest.is_complete():
        log.info("preprocess: %s is up to date", config.output)
        return _earlier_summary(config, manifest.earlier)
    manifest.start(settings(config))
    folder = shards_folder(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    merger = Merger(config.output, folder, plan.files)
    try:
        _convert_all(config, plan, plan.tasks, executor, merger)
        summary = _finish(config, plan, merger)
    finally:
        merger.close()
    status = "done" if summary.ok else "partial" if summary.n_files else "failed"
    manifest.finish(status, _file_records(plan), summary.n_kept, summary.warnings)
    plan.forget_remote()
    plan.save(plan_path(config.output))
    shutil.rmtree(folder, ignore_errors=True)
    return summary


def _make_part(config: PreprocessConfig, plan: Plan, executor: Executor | None) -> Summary:
    """Only this part's shards; the run without `part` merges them."""
    assert config.part is not None
    shards_folder(config.output).mkdir(parents=True, exist_ok=True)
    tasks = part_of(plan.tasks, config.part)
    _convert_all(config, plan, tasks, executor, None)
    sources = {source for source, _, _ in tasks}
    return Summary(
        shards_folder(config.output),
        n_files=len(sources & set(plan.files)),
        n_read=sum(stop - start for _, start, stop in tasks),
        failed=_failures(plan, sources),  # other tasks, or the merge, tell theirs
    )


def _convert_all(
    config: PreprocessConfig,
    plan: Plan,
    tasks: list[tuple[int, int, int]],
    executor: Executor | None,
    merger: Merger | None,
) -> None:
    """Make the shards; a file that fails is moved to the plan's failures and left out whole."""
    jobs = make_jobs(config, plan)
    calls = {
        (source, start, stop): (convert, plan.inputs[source], start, stop, jobs[source])
        for source, start, stop in tasks
    }
    results = completed(calls, executor)
    try:
        _take_results(config, results, tasks, plan, merger)
    finally:
        close_opened()


def _take_results(
    config: PreprocessConfig,
    results: Iterator[tuple[tuple[int, int, int], Any]],
    tasks: list[tuple[int, int, int]],
    plan: Plan,
    merger: Merger | None,
) -> None:
    left = Counter(source for source, _, _ in tasks)
    for task, result in progress(results, total=len(tasks), desc="preprocess", unit="shards"):
        source = task[0]
        left[source] -= 1
        if left[source] == 0:
            shutil.rmtree(fetched_folder(config.output, source), ignore_errors=True)
        if isinstance(result, PipelineError):
            if source not in plan.failed:
                log.error("%s", result)
            plan.failed.setdefault(source, str(result))
            if merger is not None:
                merger.drop(source)
        elif merger is not None and source not in plan.failed:
            merger.offer(task, result)


def _finish(config: PreprocessConfig, plan: Plan, merger: Merger) -> Summary:
    summary = Summary(config.output, failed=_failures(plan))
    used = merger.files
    summary.n_files = len(used)
    summary.n_read = sum(info.n_events for info in used.values())
    if used:
        merger.finish(_attributes(config, used))
        summary.n_kept = merger.n_events
        summary.warnings = dict(merger.warnings) | _duplicates(config.output)
    return summary


def _report(config: PreprocessConfig, summary: Summary) -> None:
    if config.part is not None:
        log.info(
            "preprocess: part %s made in %.1f s: %d events of %d file(s); merge with the same "
            "command without `part`",
            config.part, summary.seconds, summary.n_read, summary.n_files,
        )  # fmt: skip
        return
    log.info(
        "preprocess: kept %d of %d events from %d file(s) in %.1f s (%.0f events/s): %s",
        summary.n_kept, summary.n_read, summary.n_files, summary.seconds,
        summary.n_read / max(summary.seconds, 1e-9), summary.output,
    )  # fmt: skip
    for problem, count in summary.warnings.items():
        log.info("  %d x %s", count, problem)


def _attributes(config: PreprocessConfig, used: dict[int, FileInfo]) -> dict[str, Any]:
    origins = {info.origin for info in used.values()}
    return {
        "origin": origins.pop() if len(origins) == 1 else "mixed",
        "inputs": [{"source": source, **info.describe()} for source, info in used.items()],
        "missing_channels": sorted({name for info in used.values() for name in info.missing}),
        "config": settings(config),
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


def _failures(plan: Plan, sources: Container[int] | None = None) -> dict[str, str]:
    """Reasons by location; a location that is listed twice is told apart by its index."""
    count = Counter(file.location for file in plan.inputs)
    return {
        location if count[location] == 1 else f"{location} (input {source})": reason
        for source, reason in sorted(plan.failed.items())
        if sources is None or source in sources
        for location in [plan.inputs[source].location]
    }


def _file_records(plan: Plan) -> list[dict[str, Any]]:
    records = []
    for source, file in enumerate(plan.inputs):
        record: dict[str, Any] = {"source": source, "location": file.location}
        record |= plan.files[source].describe() if source in plan.files else {}
        reason = plan.failed.get(source)
        records.append(record | {"status": "failed" if reason else "done", "reason": reason})
    return records


def _earlier_summary(config: PreprocessConfig, record: dict[str, Any]) -> Summary:
    return Summary(
        config.output,
        n_files=len(record["files"]),
        n_read=sum(file["n_events"] for file in record["files"]),
        n_kept=record["output"]["events"],
        warnings=record["warnings"],
    )
