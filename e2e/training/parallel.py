"""Jobs that need the same large inputs, in this process or side by side in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

from common.progress import progress, setup_logging
from e2e.training.devices import set_threads

JobT = TypeVar("JobT")
BenchT = TypeVar("BenchT")
ResultT = TypeVar("ResultT")


def run_side_by_side(
    work: Callable[[JobT, BenchT, bool], ResultT],
    jobs: Sequence[JobT],
    bench: BenchT,
    workers: int,
    threads: int,
) -> dict[JobT, ResultT]:
    """The result of every job, in the order in which they finished.

    Parameters
    ----------
    work
        A function of a module, called as `work(job, bench, show_progress)`.
    jobs
        What differs, the longest first.
    bench
        What all jobs need; sent to each worker process once.
    workers, threads
        Processes, and CPU threads in each; 0 threads: the cores are shared evenly.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        set_threads(threads)
        return {job: work(job, bench, True) for job in jobs}
    found = _in_processes(work, jobs, bench, workers, threads)
    return dict(progress(found, len(jobs), "training", "model"))


def _in_processes(
    work: Callable[[JobT, BenchT, bool], ResultT],
    jobs: Sequence[JobT],
    bench: BenchT,
    workers: int,
    threads: int,
) -> Iterator[tuple[JobT, ResultT]]:
    # Spawned, not forked: a fork of a process that has used OpenMP threads can hang.
    context = multiprocessing.get_context("spawn")
    start = (work, bench, workers, threads)
    with ProcessPoolExecutor(workers, context, _start_worker, start) as pool:
        futures = {pool.submit(_run_in_worker, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()


_worker: tuple[Callable[..., Any], Any] | None = None  # work and bench of this worker process


def _start_worker(work: Callable[..., Any], bench: Any, workers: int, threads: int) -> None:
    global _worker
    _worker = work, bench
    setup_logging()
    set_threads(threads, workers)


def _run_in_worker(job: Any) -> Any:
    assert _worker is not None
    work, bench = _worker
    return work(job, bench, False)
