"""Write particle lists, several files side by side.

``python -m data.simulation.generate gamma_jet --events 100000 --workers 2 --seed 1000 --output
lists``: files of 5000 events, file k with seed 1000 + k, which is in its name.  The same command,
given again, makes only the files that are not there; more ``--events`` add files.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.errors import ConfigError, PipelineError
from common.progress import log, setup_logging
from data.simulation.config import SHIPPED_LISTS
from data.simulation.generator import generate, settings_of
from data.simulation.particles import files_of, read, write
from data.simulation.recipes import RECIPES

PER_FILE = 5000
_POLL = 1.0  # seconds between looks at the workers' counter


@dataclass(frozen=True)
class ListJob:
    """One file of lists to generate."""

    process: str
    events: int
    seed: int
    folder: Path

    @property
    def path(self) -> Path:
        """Where it goes."""
        return self.folder / f"{self.process}_{self.seed:06d}.npz.xz"

    def is_done(self) -> bool:
        """Whether the file is there, readable, and made with these settings."""
        if not self.path.is_file():
            return False
        try:
            info = read(self.path).info
        except ValueError:
            return False
        made = (info["process"], info["accepted"], info["seed"], info["settings"])
        return made == (self.process, self.events, self.seed, settings_of(self.process))


def jobs_of(process: str, events: int, seed: int, folder: Path, per_file: int) -> list[ListJob]:
    """Files of ``per_file`` events, the last one shorter, with consecutive seeds.

    Raises
    ------
    ConfigError
        if another file of the folder has one of the seeds: its events would be there twice.
    """
    sizes = [min(per_file, events - first) for first in range(0, events, per_file)]
    jobs = [ListJob(process, size, seed + k, folder) for k, size in enumerate(sizes)]
    mine = {job.path for job in jobs}
    seeds = {job.seed for job in jobs}
    for path in files_of(folder, process):
        if path not in mine and read(path).info.get("seed") in seeds:
            raise ConfigError(
                f"{path} was made with a seed in {seed} to {seed + len(jobs) - 1} and holds the "
                "same events: choose another --seed or --output"
            )
    return jobs


_COUNTER: Any = None


def _set_counter(counter: Any) -> None:
    global _COUNTER
    _COUNTER = counter


def _count() -> None:
    with _COUNTER.get_lock():
        _COUNTER.value += 1


def make_file(job: ListJob, tick: Callable[[], object] = _count) -> ListJob:
    """Generate and write one file; ``tick`` is called after every accepted event."""
    write(job.path, generate(job.process, job.events, job.seed, tick))
    return job


def _made(jobs: list[ListJob], workers: int, bar: tqdm) -> Iterator[ListJob]:
    """Make files side by side, and yield each when it is done; the bar counts events."""
    if workers == 1 or len(jobs) == 1:
        for job in jobs:
            yield make_file(job, bar.update)
        return
    context = get_context("spawn")
    counter = context.Value("q", 0)
    with ProcessPoolExecutor(
        min(workers, len(jobs)), context, initializer=_set_counter, initargs=(counter,)
    ) as pool:
        waiting: set[Future[ListJob]] = {pool.submit(make_file, job) for job in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, _POLL, FIRST_COMPLETED)
                bar.update(counter.value - bar.n)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run(jobs: list[ListJob], workers: int) -> None:
    """Make the files that are not there, with progress, and tell the rate."""
    missing = [job for job in jobs if not job.is_done()]
    if len(missing) < len(jobs):
        log.info("%d of %d files are complete already", len(jobs) - len(missing), len(jobs))
    if not missing:
        return
    jobs[0].folder.mkdir(parents=True, exist_ok=True)
    start, events, made = time.monotonic(), sum(job.events for job in missing), 0
    no_bar = not sys.stderr.isatty()
    with tqdm(total=events, desc=jobs[0].process, unit="event", leave=False, disable=no_bar) as bar:
        for job in _made(missing, workers, bar):
            made += job.events
            log.info(
                "%s: %d events of %.0f bytes; %d of %d made, %.1f events/s",
                job.path, job.events, job.path.stat().st_size / job.events, made, events,
                made / (time.monotonic() - start),
            )  # fmt: skip
    seconds = time.monotonic() - start
    log.info(
        "%d events in %.0f s with %d workers: %.1f events/s; 100,000 take %.1f h",
        events, seconds, workers, events / seconds, 1e5 * seconds / events / 3600,
    )  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m data.simulation.generate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("process", choices=sorted(RECIPES))
    parser.add_argument("--events", type=int, required=True, help="accepted events, in all files")
    parser.add_argument("--seed", type=int, required=True, help="Pythia's seed of the first file")
    parser.add_argument("--workers", type=int, default=1, help="processes side by side")
    parser.add_argument("--per-file", type=int, default=PER_FILE, help="events of a file")
    parser.add_argument("--output", type=Path, default=SHIPPED_LISTS, help="folder of the files")
    options = parser.parse_args(arguments)
    setup_logging()
    try:
        jobs = jobs_of(
            options.process, options.events, options.seed, options.output, options.per_file
        )
        run(jobs, options.workers)
    except (PipelineError, ImportError, ValueError) as error:
        log.error("error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
