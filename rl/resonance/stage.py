"""The resonance stage: samples of pairs in several detectors, made in processes, resumable."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from common.errors import InputError, PipelineError
from common.progress import progress
from common.runs import RunFolder
from data.simulation.chunks import CHUNK
from rl.resonance.config import ResonanceConfig
from rl.resonance.making import (
    CHUNKS_PER_PART,
    PartJob,
    finished_part,
    make_part,
    part_job,
    read_parts,
)
from rl.resonance.report import Numbers, numbers_of, report
from rl.resonance.samples import KINDS, read_attributes, read_pairs, write_pairs

EVENTS_PER_PART = CHUNKS_PER_PART * CHUNK
_TRIES = 4  # parts without any pair before it is given up


def run(config: ResonanceConfig) -> dict[str, Any]:
    """Make the samples of all configured detectors.

    Returns
    -------
    metrics : per detector and kind the numbers of pairs and of events simulated for them, and the
        peak and the width of the mass
    """
    folder = RunFolder(config.output, "resonance", config)
    if folder.is_complete():
        folder.log.info("resonance: %s is complete already", folder.folder)
        return folder.read_metrics()
    metrics: dict[str, dict[str, Numbers]] = {}
    for name, counts in config.detectors.items():
        wanted = {kind: n for kind in KINDS if (n := getattr(counts, kind))}
        metrics[name] = {kind: _make(folder, config, name, kind, n) for kind, n in wanted.items()}
    report(folder, config, metrics)
    folder.write_metrics(metrics)
    folder.complete()
    return metrics


def _make(folder: RunFolder, config: ResonanceConfig, name: str, kind: str, pairs: int) -> Numbers:
    """One file of pairs; returns its numbers."""
    start = time.monotonic()
    jobs, made_now = _made_parts(config, name, kind, pairs)
    path = folder.folder / name / f"{kind}.h5"
    attributes = _attributes(name, jobs[0], pairs)
    if _holds(path, attributes):
        sample = read_pairs(path)
    else:
        sample = read_parts(jobs, pairs)
        write_pairs(path, sample, attributes)
    seconds = time.monotonic() - start
    folder.log.info(
        "%s: %d pairs of %d events; %d events simulated now, %.0f a second",
        path, len(sample), len(jobs) * EVENTS_PER_PART, made_now, made_now / seconds,
    )  # fmt: skip
    return numbers_of(sample, len(jobs) * EVENTS_PER_PART)


def _holds(path: Path, attributes: dict[str, Any]) -> bool:
    """Whether a file is the sample that would be written."""
    try:
        return path.is_file() and read_attributes(path) == attributes
    except InputError:
        return False


def _made_parts(
    config: ResonanceConfig, name: str, kind: str, pairs: int
) -> tuple[list[PartJob], int]:
    """Parts that hold enough pairs, in their order, and the number of events simulated now."""
    jobs: list[PartJob] = []
    counts: list[int] = []
    made_now = 0
    while sum(counts) < pairs:
        if len(counts) >= _TRIES and not sum(counts):
            raise PipelineError(
                f"{len(counts) * EVENTS_PER_PART} events of {kind} and none passes as a pair: "
                f"are the lists in {config.lists} what they are called?"
            )
        # at first a part for each worker, then as many as the parts so far say
        needed = (pairs - sum(counts)) * len(counts) / max(sum(counts), 1)
        more = max(int(needed) + 1, 1) if sum(counts) else config.workers
        some = [part_job(config, name, kind, len(jobs) + k) for k in range(more)]
        found = [finished_part(job) for job in some]
        missing = [job for job, n in zip(some, found, strict=True) if n is None]
        unit = f"parts of {EVENTS_PER_PART} events"
        made = progress(_made(missing, config.workers), len(missing), f"{name} {kind}", unit)
        counts += [n for n in found if n is not None]
        counts += list(made)
        made_now += len(missing)
        jobs += some
    return jobs, made_now * EVENTS_PER_PART


def _made(jobs: list[PartJob], workers: int) -> Iterator[int]:
    """Numbers of pairs of parts, made side by side where there are several workers."""
    if workers == 1 or len(jobs) <= 1:
        yield from map(make_part, jobs)
        return
    # spawned, not forked: the parent may hold threads
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        futures: list[Future[int]] = [pool.submit(make_part, job) for job in jobs]
        try:
            for future in futures:
                yield future.result()
        except BrokenProcessPool as problem:
            raise PipelineError(
                "a worker process was killed, perhaps for lack of memory: give the same command "
                "again with fewer workers; finished parts are kept"
            ) from problem
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _attributes(name: str, job: PartJob, pairs: int) -> dict[str, Any]:
    """What a sample's file says of itself, by the first of its parts."""
    provenance = {k: v for k, v in job.provenance.items() if k != "number"}
    return {"origin": "simulation", "name": name, "pairs": pairs, **provenance}
