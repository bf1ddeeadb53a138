"""The simulate stage: files of simulated events, made side by side in processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from common.errors import PipelineError
from common.progress import progress
from common.runs import RunFolder
from data.simulation.chunks import CHUNK
from data.simulation.config import SimulateConfig
from data.simulation.files import (
    CHUNKS_PER_FILE,
    FileCounts,
    FileJob,
    complete_file,
    file_jobs,
    write_file,
)
from data.simulation.hard_events import LABELS

MANY = 100_000  # events whose cost is reported


def run(config: SimulateConfig) -> dict[str, Any]:
    """Simulate all configured processes.

    Returns
    -------
    metrics : per process its files, the numbers of simulated and written events, and of those
        simulated now the rate and what 100,000 written events would take
    """
    processes = [p for p in LABELS if getattr(config.events, p) != 0]
    folder = RunFolder(config.output, "simulate", config)
    jobs = {process: file_jobs(config, process) for process in processes}
    start = time.monotonic()
    counts = _make(folder, [job for some in jobs.values() for job in some], config.workers)
    seconds = time.monotonic() - start
    for process in processes:
        _remove_left_over(folder, process, len(jobs[process]))
    metrics = {
        process: _metrics(config.workers, [(job.path, counts[job.path]) for job in some])
        for process, some in jobs.items()
    }
    _report(
        folder, config, metrics, sum(c.simulated for c in counts.values() if c.seconds), seconds
    )
    folder.write_metrics(metrics)
    folder.complete()
    return metrics


def _make(folder: RunFolder, jobs: list[FileJob], workers: int) -> dict[Path, FileCounts]:
    """Counts of every file by its path; files that are complete are not made again."""
    counts = {job.path: found for job in jobs if (found := complete_file(job)) is not None}
    if counts:
        folder.log.info("%d of %d files are complete already", len(counts), len(jobs))
    missing = [job for job in jobs if job.path not in counts]
    unit = f"files of up to {CHUNKS_PER_FILE * CHUNK} events"
    for job, made in progress(_made(missing, workers), len(missing), "simulate", unit):
        counts[job.path] = made
        folder.log.info(
            "%s: %d of %d events kept, %.0f events/s of a process",
            job.path.name, made.written, made.simulated, made.simulated / made.seconds,
        )  # fmt: skip
    return counts


def _made(jobs: list[FileJob], workers: int) -> Iterator[tuple[FileJob, FileCounts]]:
    """Make files, side by side where there are several workers, and yield each when it is done."""
    if workers == 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, write_file(job)
        return
    # spawned, not forked: the parent may hold threads
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(write_file, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as problem:
            raise PipelineError(
                "a worker process of the simulation was killed, perhaps for lack of memory: "
                "give the same command again with fewer workers; complete files are kept"
            ) from problem
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _remove_left_over(folder: RunFolder, process: str, n_files: int) -> None:
    """Remove files of an earlier, larger sample, which would be read with this one's."""
    for path in sorted(folder.folder.glob(f"{process}_[0-9][0-9][0-9]*.root")):
        if int(path.stem.removeprefix(f"{process}_")) >= n_files:
            path.unlink()
            folder.log.info("%s: of an earlier, larger sample, removed", path.name)


def _metrics(workers: int, files: list[tuple[Path, FileCounts]]) -> dict[str, Any]:
    counts = [c for _, c in files]
    simulated, written = sum(c.simulated for c in counts), sum(c.written for c in counts)
    seconds = sum(c.seconds for c in counts)
    rate = workers * sum(c.simulated for c in counts if c.seconds) / seconds if seconds else None
    return {
        "files": [path.name for path, _ in files],
        "simulated": simulated,
        "written": written,
        "events_per_second": rate,
        f"hours_for_{MANY}": (
            MANY * simulated / written / rate / 3600 if rate and written else None
        ),
    }


def _report(
    folder: RunFolder, config: SimulateConfig, metrics: dict[str, Any], n_now: int, seconds: float
) -> None:
    """Log what events cost on this machine, and list the numbers for the report."""
    if n_now:
        folder.log.info("%d events in %.0f s: %.0f events/s", n_now, seconds, n_now / seconds)
    for process, numbers in metrics.items():
        if (hours := numbers[f"hours_for_{MANY}"]) is not None:
            folder.log.info(
                "%s: %.0f events/s with %d workers; %d written events would take %.1f h and "
                "%.0f %% of the simulated ones are written",
                process, numbers["events_per_second"], config.workers, MANY, hours,
                100 * numbers["written"] / numbers["simulated"],
            )  # fmt: skip
    folder.add_table(
        "Events",
        ("process", "label", "files", "simulated", "written"),
        [(p, LABELS[p], len(m["files"]), m["simulated"], m["written"]) for p, m in metrics.items()],
        "Written are all events"
        if config.keep_all
        else "Written are events with two standard photons; dijets with a jet above 60 GeV",
    )
