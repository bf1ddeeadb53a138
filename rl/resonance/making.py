"""Parts of samples: simulated, reconstructed and selected in memory, each a file of its own."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.kinematics import diphoton_mass
from data.selection import MAX_ETA
from data.simulation.chunks import CHUNK, Chunk, ChunkResult, read_lists, simulate_chunk
from data.simulation.conditions import Detector, detector_named
from data.simulation.files import DETECTOR_REVISION
from data.simulation.hard_events import LABELS
from data.simulation.writer import true_mass
from envs.photons.simulated import pair_rows, photons_of
from rl.evaluation.pairs import Floats
from rl.resonance.config import ResonanceConfig
from rl.resonance.samples import (
    GUN,
    HIGGS,
    KINDS,
    ZEE,
    PairSample,
    join,
    read_attributes,
    read_pairs,
    write_pairs,
)

CHUNKS_PER_PART = 10
MIN_PT = 25.0  # GeV, of both candidates
WINDOW = (60.0, 120.0)  # GeV, of Z candidates and the background under them
PROCESS = {"zee": "zee", "background": "continuum", "higgs": "higgs", "gun": "gun"}


@dataclass(frozen=True)
class PartJob:
    """One part of a sample: some chunks of simulated events, and its file.

    Attributes
    ----------
    kind, number
        Kind of pairs, and the number of the part.
    n_lists
        Particle lists of the process, which are used again, varied, by later parts.
    """

    kind: str
    number: int
    first: int
    n_lists: int
    lists: str
    pileup: float
    seed: int
    detector: Detector
    path: Path

    @property
    def chunks(self) -> list[Chunk]:
        """The simulation's pieces of work."""
        size = CHUNKS_PER_PART * CHUNK
        start = self.first + self.number * size
        return [
            Chunk(
                process=PROCESS[self.kind],
                number=first // CHUNK,
                first=first,
                size=CHUNK,
                n_lists=self.n_lists,
                lists=self.lists,
                pileup=self.pileup,
                seed=self.seed,
                keep_all=False,
                detector=self.detector,
                barrel_only=True,
            )
            for first in range(start, start + size, CHUNK)
        ]

    @property
    def provenance(self) -> dict[str, Any]:
        """What decides the part's events: a file that says the same need not be made again."""
        columns = asdict(self)
        last = self.chunks[-1].first + CHUNK
        if last <= self.n_lists:  # more lists would not change them
            del columns["n_lists"]
        del columns["path"]
        return {**columns, "revision": DETECTOR_REVISION}


def part_job(config: ResonanceConfig, name: str, kind: str, number: int) -> PartJob:
    """The job of one part of a detector's sample.

    Raises
    ------
    InputError
        If there are no lists of the process, or they end before the first one to use.
    """
    process = PROCESS[kind]
    n_lists = 0 if process == "gun" else len(read_lists(str(config.lists), process))
    first = 0
    if kind == "zee" and config.nominal_lists:
        if config.nominal_lists >= n_lists:
            raise InputError(config.lists, f"{n_lists} lists of zee, all kept for the nominal one")
        if name == "nominal":
            n_lists = config.nominal_lists
        else:
            first = -(-config.nominal_lists // CHUNK) * CHUNK  # chunks are whole
    return PartJob(
        kind=kind,
        number=number,
        first=first,
        n_lists=n_lists,
        lists=str(config.lists),
        pileup=config.pileup,
        seed=1000 * zlib.crc32(name.encode()) + config.seed,  # each detector has its own events
        detector=detector_named(name),
        path=config.output / name / "parts" / f"{kind}_{number:04d}.h5",
    )


def make_part(job: PartJob) -> int:
    """Simulate a part and write its file, unless it is there; returns its number of pairs."""
    found = finished_part(job)
    if found is not None:
        return found
    sample = join([_candidates(job, simulate_chunk(chunk)) for chunk in job.chunks])
    write_pairs(job.path, sample, {**job.provenance, "pairs": len(sample)})
    return len(sample)


def finished_part(job: PartJob) -> int | None:
    """Number of pairs in a part's file if it is there and holds what the job would make."""
    if not job.path.is_file():
        return None
    try:
        attributes = read_attributes(job.path)
    except InputError:
        return None
    pairs = int(attributes.pop("pairs", 0))
    return pairs if attributes == job.provenance else None


def read_parts(jobs: list[PartJob], pairs: int) -> PairSample:
    """The first `pairs` pairs of finished parts."""
    sample = join([read_pairs(job.path) for job in jobs])
    return sample.take(np.arange(min(pairs, len(sample))))


def _candidates(job: PartJob, result: ChunkResult) -> PairSample:
    """The pairs of a chunk that pass the selection of their kind."""
    events, kind = result.events, KINDS[job.kind]
    photons = photons_of(events, LABELS[PROCESS[job.kind]])
    photons = replace(photons, label=np.full_like(photons.label, kind))
    index = photons.row[::2]
    sample = PairSample(
        photons=photons,
        vertex_z=events.vertex_z[index],
        kind=np.full(len(index), kind),
        true_mass=_generated_mass(job, result)[index],
    )
    return sample.take(_passes(result, kind) & _has_what_it_is_for(sample, kind))


def _passes(result: ChunkResult, kind: int) -> NDArray[np.bool_]:
    """(m,) whether the two leading photons of an event pass as candidates of a kind."""
    events = result.events
    rows = pair_rows(events).reshape(-1, 2)
    pt, eta, phi = (getattr(events.photons, name)[rows] for name in ("pt", "eta", "phi"))
    good = ((pt > MIN_PT) & (np.abs(eta) < MAX_ETA)).all(axis=1)
    if kind in (ZEE, HIGGS):
        # electrons have hits in the pixel detector, photons that did not convert there have none
        good &= (events.pixel_seed[rows] == (kind == ZEE)).all(axis=1)
    if kind not in (HIGGS, GUN):
        mass = diphoton_mass(pt, eta, phi)
        good &= (mass > WINDOW[0]) & (mass < WINDOW[1])
    return np.asarray(good)


def _has_what_it_is_for(sample: PairSample, kind: int) -> NDArray[np.bool_]:
    """The gun's photons are for training, so both need their truth; others stay as they are."""
    if kind != GUN or sample.photons.target is None:
        return np.ones(len(sample), bool)
    matched = np.isfinite(sample.photons.target).all(axis=1)
    return np.asarray(matched.reshape(-1, 2).all(axis=1))


def _generated_mass(job: PartJob, result: ChunkResult) -> Floats:
    """(N,) mass that was generated: of Z that of the resonance, whatever its electrons radiate."""
    if job.kind == "background":
        return np.full(len(result.events), np.nan)
    if job.kind != "zee":
        return true_mass(result.events).astype(np.float64)
    partons = read_lists(job.lists, PROCESS[job.kind]).partons
    if partons is None:
        raise InputError(job.lists, "lists of zee without the electrons at their birth")
    born = partons.take((result.numbers - 1) % job.n_lists)
    pt, eta, phi = (getattr(born, name).astype(np.float64) for name in ("pt", "eta", "phi"))
    return diphoton_mass(pt, eta, phi)
