"""Photons of the gun with their true profiles, simulated and reconstructed in memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.reconstruction.matching import pad
from data.simulation.chunks import library_of
from data.simulation.config import SHIPPED_LISTS
from data.simulation.detector import SimulatedEvents, simulate_events
from data.simulation.hard_events import LABELS, gun
from data.simulation.particles import ParticleLists
from data.simulation.pileup import VERTEX_SPREAD
from data.simulation.shower_profile import ShowerRecord
from data.simulation.truth import TRUE_PHOTON_PT
from envs.photons.simulated import photons_of
from envs.photons.table import wrap_crystals
from envs.profile.photons import (
    PhotonShowers,
    ProfilePhotons,
    join,
    join_showers,
    read_profiles,
    read_settings,
    write_profiles,
)

IntArray = NDArray[np.int64]

PART = 2000  # events of one part: what a killed run has to make again
_BATCH = 64  # events in memory at a time
_STREAM = 7  # random numbers of these samples, apart from those of simulated files


@dataclass(frozen=True)
class PartJob:
    """A part of a sample: events first to first + size, and the file that holds them."""

    path: Path
    first: int
    size: int
    pileup: float
    seed: int

    @property
    def settings(self) -> dict[str, float]:
        """What decides the part's content."""
        return {"first": self.first, "events": self.size, "pileup": self.pileup, "seed": self.seed}


def make_profiles(
    folder: Path, events: int, pileup: float, seed: int, workers: int = 1
) -> ProfilePhotons:
    """Photons of the gun with their profiles, by parts; those that are there are not made again.

    Parameters
    ----------
    folder
        Of the parts' files.
    events
        Events, with two photons each, flat in pt and eta.
    pileup
        Mean number of further interactions.
    workers
        Processes.
    """
    jobs = [
        PartJob(folder / f"part_{k:03d}.h5", first, min(PART, events - first), pileup, seed)
        for k, first in enumerate(range(0, events, PART))
    ]
    missing = [job for job in jobs if read_settings(job.path) != job.settings]
    for _ in _made(missing, workers):
        pass
    return join([read_profiles(job.path) for job in jobs])


def simulate_profiles(first: int, size: int, pileup: float, seed: int) -> ProfilePhotons:
    """Matched photons of `size` events of the gun; a pure function of its arguments."""
    return simulate_showers(first, size, pileup, seed).with_profiles()


def simulate_showers(first: int, size: int, pileup: float, seed: int) -> PhotonShowers:
    """The same photons with their showers."""
    rng = np.random.default_rng([seed, LABELS["gun"], _STREAM, first])
    library = library_of(str(SHIPPED_LISTS), seed)
    parts = []
    for start in range(first, first + size, _BATCH):
        vertex_z = rng.normal(0, VERTEX_SPREAD, min(_BATCH, first + size - start))
        lists = gun(start, vertex_z, rng)
        record = ShowerRecord.of(len(lists.species))
        events = simulate_events(lists, library, pileup, rng, vertex_z, choose=False, record=record)
        parts.append(showers_of(events, lists, record))
    return join_showers(parts)


def showers_of(
    events: SimulatedEvents, lists: ParticleLists, record: ShowerRecord
) -> PhotonShowers:
    """The matched photons of simulated events, and which showers are theirs.

    Parameters
    ----------
    events, lists, record
        The events, the particles they were made of, and what was noted down of their showers.
    """
    photons = photons_of(events, LABELS["gun"]).matched()
    true, showers = events.truth, record.showers()
    of_event = pad(true.event, len(events))

    def nearest_true(event: IntArray, u: NDArray, v: NDArray) -> IntArray:
        dv = wrap_crystals(true.v[of_event][event] - v[:, None])
        distance = np.hypot(true.u[of_event][event] - u[:, None], dv)
        nearest = np.where(of_event[event] >= 0, distance, np.inf).argmin(axis=1)
        return of_event[event, nearest]

    target = photons.target
    assert target is not None  # matched
    which = nearest_true(photons.row, photons.u + target[:, 1], photons.v + target[:, 2])
    # The gun's photons are far apart: a shower is of the one that it is nearer to.
    photon_of = np.full(len(true.event), -1)
    photon_of[which] = np.arange(len(photons))
    owner = photon_of[nearest_true(showers.event, showers.u, showers.v)]
    prompt = np.flatnonzero(lists.prompt & (lists.pt > TRUE_PHOTON_PT))
    return PhotonShowers(
        photons=photons,
        showers=showers.take(owner >= 0),
        owner=owner[owner >= 0],
        radius=record.conversion_radius[prompt][which].astype(np.float32),
    )


def _made(jobs: list[PartJob], workers: int) -> Iterator[None]:
    if workers == 1 or len(jobs) <= 1:
        yield from map(_write_part, jobs)
        return
    # spawned, not forked: the parent may hold threads
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_write_part, jobs)


def _write_part(job: PartJob) -> None:
    sample = simulate_profiles(job.first, job.size, job.pileup, job.seed)
    write_profiles(job.path, sample, job.settings)
