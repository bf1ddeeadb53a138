"""The simulate stage: chunks of events in a pool of processes, one ROOT file a process.

The random numbers of a chunk depend on the seed, the process and the chunk only, so the files
do not depend on the number of workers.  A file appears under its name when it is complete; a
file that is there with the same provenance is not simulated again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError, PipelineError
from common.files import atomic_path, sha256
from common.progress import progress
from common.runs import RunFolder
from data.simulation.config import SimulateConfig
from data.simulation.detector import SimulatedEvents, select_events, simulate_events
from data.simulation.hard_events import LABELS, gun, varied
from data.simulation.jets import hard_jet_events
from data.simulation.particles import ParticleLists, files_of, read_process
from data.simulation.pileup import VERTEX_SPREAD, MinimumBiasLibrary
from data.simulation.writer import RHTreeWriter, leading_pair, read_provenance

CHUNK = 320  # events simulated with one random stream
BATCH = 64  # events in memory at a time: dense arrays of this size stay near the caches
_LIBRARY_STREAM = 99
#: Raised when the detector changes, so that older files are simulated again.
DETECTOR_REVISION = 4


@dataclass(frozen=True)
class Chunk:
    """A piece of work: events first to first + size of one process."""

    process: str
    number: int
    first: int
    size: int
    n_lists: int
    lists: str
    pileup: float
    seed: int
    keep_all: bool


@dataclass
class ChunkResult:
    """Simulated events of a chunk, with their numbers, and how many were simulated."""

    events: SimulatedEvents
    numbers: np.ndarray
    simulated: int


@lru_cache(maxsize=1)
def _library(lists: str, seed: int) -> MinimumBiasLibrary:
    rng = np.random.default_rng([seed, _LIBRARY_STREAM])
    return MinimumBiasLibrary.simulate(_read(lists, "minimum_bias"), rng)


@lru_cache(maxsize=4)
def _read(lists: str, process: str) -> ParticleLists:
    try:
        return read_process(Path(lists), process)
    except (FileNotFoundError, ValueError) as problem:
        raise InputError(
            Path(lists),
            str(problem),
            f"generate lists with 'python -m data.simulation.generate {process}', or leave "
            "'lists' at its default",
        ) from problem


def simulate_chunk(chunk: Chunk) -> ChunkResult:
    """Simulate one chunk; a pure function of its argument."""
    rng = np.random.default_rng([chunk.seed, LABELS[chunk.process], chunk.number])
    library = _library(chunk.lists, chunk.seed)
    parts, numbers = [], []
    for first in range(chunk.first, chunk.first + chunk.size, BATCH):
        index = np.arange(first, min(first + BATCH, chunk.first + chunk.size))
        vertex_z = rng.normal(0, VERTEX_SPREAD, len(index))
        events = simulate_events(
            _hard_events(chunk, index, vertex_z, rng), library, chunk.pileup, rng, vertex_z
        )
        keep = np.ones(len(events), bool) if chunk.keep_all else _kept(chunk.process, events)
        parts.append((events, keep))
        numbers.append(index[keep] + 1)
    return ChunkResult(select_events(parts), np.concatenate(numbers), chunk.size)


def _kept(process: str, events: SimulatedEvents) -> np.ndarray:
    """(N,) events with two standard photons; of dijets those with a hard jet."""
    if process == "dijet":
        return hard_jet_events(events.jets, len(events))
    return leading_pair(events)[0]


def _hard_events(
    chunk: Chunk, index: np.ndarray, vertex_z: np.ndarray, rng: np.random.Generator
) -> ParticleLists:
    if chunk.process == "gun":
        return gun(int(index[0]), vertex_z, rng)
    lists = _read(chunk.lists, chunk.process)
    hard = lists.take(index % chunk.n_lists)
    return hard if index[-1] < chunk.n_lists else varied(hard, rng)


def _chunks(config: SimulateConfig, process: str) -> list[Chunk]:
    """The work of one process; lists are used again when more events are wanted than shipped."""
    wanted = getattr(config.events, process)
    n_lists = wanted if process == "gun" else len(_read(str(config.lists), process))
    wanted = n_lists if wanted is None else wanted
    total = wanted if process == "gun" else wanted * config.repeat
    return [
        Chunk(
            process=process,
            number=number,
            first=first,
            size=min(CHUNK, total - first),
            n_lists=min(n_lists, wanted),
            lists=str(config.lists),
            pileup=config.pileup,
            seed=config.seed,
            keep_all=config.keep_all,
        )
        for number, first in enumerate(range(0, total, CHUNK))
    ]


def _results(chunks: Iterable[Chunk], pool: Executor | None, ahead: int) -> Iterator[ChunkResult]:
    """Results in order, with a bounded number of chunks under way."""
    if pool is None:
        yield from map(simulate_chunk, chunks)
        return
    waiting: deque[Future[ChunkResult]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(simulate_chunk, chunk))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as problem:
        raise PipelineError(
            "a worker process of the simulation was killed, perhaps for lack of memory: "
            "give the same command again with fewer workers"
        ) from problem


def provenance(config: SimulateConfig, process: str) -> dict[str, Any]:
    """What a file of a process is made from; the same provenance means the same events."""
    lists = [f for name in (process, "minimum_bias") for f in files_of(config.lists, name)]
    return {
        "origin": "simulation",
        "process": process,
        "label": LABELS[process],
        "generator": {name: _generator(config, name) for name in (process, "minimum_bias")},
        "lists_sha256": {f.name: sha256(f) for f in lists},
        "seed": config.seed,
        "config": {
            "events": getattr(config.events, process),
            "repeat": config.repeat,
            "pileup": config.pileup,
            "keep_all": config.keep_all,
        },
        "revision": DETECTOR_REVISION,
    }


def _generator(config: SimulateConfig, process: str) -> Any:
    if process == "gun":
        return "photon gun"
    return _read(str(config.lists), process).info["parts"]


def _write_process(
    config: SimulateConfig, process: str, path: Path, pool: Executor | None
) -> dict[str, int]:
    """Simulate and write one process; numbers of simulated and written events."""
    chunks = _chunks(config, process)
    simulated = 0
    with atomic_path(path) as temporary, RHTreeWriter(temporary, LABELS[process]) as writer:
        results = _results(chunks, pool, 2 * config.workers)
        for chunk, result in zip(
            chunks, progress(results, len(chunks), process, f"x {CHUNK} events"), strict=True
        ):
            simulated += result.simulated
            writer.write(result.events, chunk.number + 1, result.numbers)
        counts = {"simulated": simulated, "written": writer.written}
        writer.write_provenance({**provenance(config, process), **counts})
    return counts


def _is_done(config: SimulateConfig, process: str, path: Path) -> dict[str, int] | None:
    """Counts of a complete file made with this configuration, if it is there."""
    found = read_provenance(path) if path.is_file() else None
    if found is None:
        return None
    counts = {name: found.pop(name) for name in ("simulated", "written")}
    return counts if found == provenance(config, process) else None


def run(config: SimulateConfig) -> dict[str, Any]:
    """Simulate all configured processes.

    Returns
    -------
    metrics : per process the file and the numbers of simulated and written events
    """
    processes = [p for p in LABELS if getattr(config.events, p) != 0]
    folder = RunFolder(config.output, "simulate", config)
    pool = None
    if config.workers > 1:
        # spawned, not forked: the parent may hold threads
        pool = ProcessPoolExecutor(config.workers, mp_context=get_context("spawn"))
    metrics: dict[str, Any] = {}
    try:
        for process in processes:
            path = folder.path(f"{process}.root")
            start = time.monotonic()
            counts = _is_done(config, process, path)
            if counts is None:
                counts = _write_process(config, process, path, pool)
                seconds = time.monotonic() - start
                folder.log.info(
                    "%s: %d of %d events kept, %.0f events/s",
                    path.name,
                    counts["written"],
                    counts["simulated"],
                    counts["simulated"] / seconds,
                )
            else:
                folder.log.info("%s: complete, not simulated again", path.name)
            metrics[process] = {"file": path.name, **counts}
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    folder.write_metrics(metrics)
    folder.add_table(
        "Events",
        ("process", "label", "simulated", "written"),
        [(p, LABELS[p], m["simulated"], m["written"]) for p, m in metrics.items()],
        "Written are all events"
        if config.keep_all
        else "Written are events with two standard photons; dijets with a jet above 60 GeV",
    )
    folder.complete()
    return metrics
