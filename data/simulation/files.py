"""Simulated files: each a fixed number of chunks, written whole by the process that simulates it.

A file appears under its name when it is complete; one that is there with the provenance that it
would get is not made again.  Its events depend on its number only, so a larger sample keeps the
complete files of a smaller one.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from common.files import atomic_path, sha256
from data.simulation.chunks import Chunk, chunks_of, list_files, read_lists, simulate_chunk
from data.simulation.conditions import detector_of
from data.simulation.config import SimulateConfig
from data.simulation.hard_events import LABELS
from data.simulation.writer import RHTreeWriter, read_provenance

CHUNKS_PER_FILE = 10
#: Raised when the detector changes, so that older files are simulated again.
DETECTOR_REVISION = 6


@dataclass(frozen=True)
class FileJob:
    """One file to make: its path, its chunks and what will be written as its provenance."""

    path: Path
    chunks: tuple[Chunk, ...]
    provenance: dict[str, Any]

    @property
    def size(self) -> int:
        """Number of events to simulate."""
        return sum(chunk.size for chunk in self.chunks)


@dataclass(frozen=True)
class FileCounts:
    """What became of a file: events simulated and written, and seconds it took (0: was there)."""

    simulated: int
    written: int
    seconds: float


def file_jobs(config: SimulateConfig, process: str) -> list[FileJob]:
    """The files of one process: `<process>_000.root`, ..."""
    jobs = []
    for number, chunks in enumerate(_in_files(chunks_of(config, process))):
        entries = [chunks[0].first, chunks[-1].first + chunks[-1].size]
        jobs.append(
            FileJob(
                path=config.output / f"{process}_{number:03d}.root",
                chunks=chunks,
                provenance=_provenance(config, process)
                | {"entries": entries, "n_lists": None if process == "gun" else chunks[0].n_lists},
            )
        )
    return jobs


def _in_files(chunks: list[Chunk]) -> list[tuple[Chunk, ...]]:
    return [
        tuple(chunks[first : first + CHUNKS_PER_FILE])
        for first in range(0, len(chunks), CHUNKS_PER_FILE)
    ]


def _provenance(config: SimulateConfig, process: str) -> dict[str, Any]:
    """What the files of a process are made from; the same provenance means the same events."""
    names = ("minimum_bias",) if process == "gun" else (process, "minimum_bias")
    lists = str(config.lists)
    generator = {name: read_lists(lists, name).info["parts"] for name in names}
    return {
        "origin": "simulation",
        "process": process,
        "label": LABELS[process],
        "generator": generator if process != "gun" else {"gun": "photon gun", **generator},
        "lists_sha256": {f.name: _checksum(f) for n in names for f in list_files(lists, n)},
        "seed": config.seed,
        "config": {
            "pileup": config.pileup,
            "keep_all": config.keep_all,
            "vertex": config.vertex if process != "gun" else "true",
            **_conditions(config),
        },
        "revision": DETECTOR_REVISION,
    }


def _conditions(config: SimulateConfig) -> dict[str, Any]:
    """A distorted detector; of the nominal one files say nothing, as before there was another."""
    if config.detector == "nominal":
        return {}
    detector = detector_of(config.detector, config.detector_seed)
    return {"conditions": config.detector, "detector": asdict(detector)}


@lru_cache
def _checksum(path: Path) -> str:
    return sha256(path)


def write_file(job: FileJob) -> FileCounts:
    """Simulate and write one file, one chunk in memory at a time."""
    start = time.monotonic()
    with (
        atomic_path(job.path) as temporary,
        RHTreeWriter(temporary, LABELS[job.chunks[0].process]) as writer,
    ):
        for chunk in job.chunks:
            result = simulate_chunk(chunk)
            writer.write(result.events, chunk.number + 1, result.numbers)
        counts = {"simulated": job.size, "written": writer.written}
        writer.write_provenance({**job.provenance, **counts})
    return FileCounts(**counts, seconds=time.monotonic() - start)


def complete_file(job: FileJob) -> FileCounts | None:
    """Counts of the file if it is there, complete, and made as the job would make it."""
    found = read_provenance(job.path) if job.path.is_file() else None
    if found is None:
        return None
    counts = {name: found.pop(name, 0) for name in ("simulated", "written")}
    return FileCounts(**counts, seconds=0.0) if found == job.provenance else None
