"""Chunks of events: a pure function from a chunk's description to its simulated events.

The random numbers of a chunk depend on the seed, the process and the chunk's number only, so
events do not depend on how chunks are spread over files or processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from common.errors import InputError
from data.simulation.conditions import NOMINAL, Detector, detector_of
from data.simulation.config import SHIPPED_LISTS, SimulateConfig
from data.simulation.detector import SimulatedEvents, select_events, simulate_events
from data.simulation.hard_events import LABELS, gun, varied
from data.simulation.jets import hard_jet_events
from data.simulation.particles import ParticleLists, files_of, read_process
from data.simulation.pileup import VERTEX_SPREAD, MinimumBiasLibrary
from data.simulation.writer import leading_pair

CHUNK = 320  # events simulated with one random stream
BATCH = 64  # events in memory at a time: dense arrays of this size stay near the caches
_LIBRARY_STREAM = 99


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
    choose_vertex: bool = True
    detector: Detector = NOMINAL
    barrel_only: bool = False


@dataclass
class ChunkResult:
    """Simulated events of a chunk, with their numbers, and how many were simulated."""

    events: SimulatedEvents
    numbers: np.ndarray
    simulated: int


@lru_cache(maxsize=1)
def library_of(lists: str, seed: int, material: float = 1.0) -> MinimumBiasLibrary:
    """The library of minimum-bias events of a folder of lists, kept in memory."""
    rng = np.random.default_rng([seed, _LIBRARY_STREAM])
    return MinimumBiasLibrary.simulate(read_lists(lists, "minimum_bias"), rng, material)


def list_files(lists: str, process: str) -> list[Path]:
    """List files of a process in a folder; minimum bias is the shipped one where it has none."""
    found = files_of(Path(lists), process)
    return found or (files_of(SHIPPED_LISTS, process) if process == "minimum_bias" else [])


@lru_cache(maxsize=4)
def read_lists(lists: str, process: str) -> ParticleLists:
    """All particle lists of a process in a folder, kept in memory.

    Raises
    ------
    InputError
        If there are none, or one is damaged.
    """
    try:
        files = list_files(lists, process)
        return read_process(files[0].parent if files else Path(lists), process)
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
    library = library_of(chunk.lists, chunk.seed, chunk.detector.material)
    parts, numbers = [], []
    for first in range(chunk.first, chunk.first + chunk.size, BATCH):
        index = np.arange(first, min(first + BATCH, chunk.first + chunk.size))
        vertex_z = rng.normal(0, VERTEX_SPREAD, len(index))
        hard = _hard_events(chunk, index, vertex_z, rng)
        # a pair of photons alone has nothing that its vertex could be found by
        choose = chunk.choose_vertex and chunk.process != "gun"
        events = simulate_events(
            hard, library, chunk.pileup, rng, vertex_z,
            choose=choose, detector=chunk.detector, barrel_only=chunk.barrel_only,
        )  # fmt: skip
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
    lists = read_lists(chunk.lists, chunk.process)
    hard = lists.take(index % chunk.n_lists)
    return hard if index[-1] < chunk.n_lists else varied(hard, rng)


def chunks_of(config: SimulateConfig, process: str) -> list[Chunk]:
    """The work of one process; lists are used again when more events are wanted than there are."""
    wanted = getattr(config.events, process)
    n_lists = wanted if process == "gun" else len(read_lists(str(config.lists), process))
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
            choose_vertex=config.vertex == "chosen",
            detector=detector_of(config.detector, config.detector_seed),
        )
        for number, first in enumerate(range(0, total, CHUNK))
    ]
