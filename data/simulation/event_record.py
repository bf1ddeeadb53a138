"""What is kept of Pythia's event record: stable visible particles, and the hard partons."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.simulation.particles import CODE_OF, MAX_ETA, MIN_PT, HardPartons, ParticleLists

PROMPT_PT = 15.0  # GeV
#: Pythia status codes from here on are hadronisation and hadron decays.
FIRST_HADRON_STATUS = 80
NEUTRINOS = frozenset({12, 14, 16})
OUTGOING = (5, 6)  # lines of the event record: the legs of the 2 -> 2 scattering
RESONANCE = 5  # line of the event record: what a 2 -> 1 scattering makes


@dataclass
class GeneratedEvent:
    """One accepted event before packing.

    Columns (n, 5) species, pt, eta, phi, prompt; of partons (2, 4) pdg id, pt, eta, phi.
    """

    particles: np.ndarray
    group: int
    n_prompt: int
    partons: np.ndarray | None = None


def final_particles(event: Any, prompt: Collection[int] | None = None) -> np.ndarray:
    """Stable visible particles with pt > 0.1 GeV, \\|eta\\| < 3 as (n, 5) float64 columns.

    Prompt are the given lines of the record, otherwise photons that do not come from hadrons.
    """
    rows = []
    for index, particle in enumerate(event):
        if not particle.isFinal():
            continue
        pdg = particle.id()
        pt, eta = particle.pT(), particle.eta()
        if pt < MIN_PT or abs(eta) >= MAX_ETA or abs(pdg) in NEUTRINOS:
            continue
        if prompt is None:
            is_prompt = pdg == 22 and particle.statusAbs() < FIRST_HADRON_STATUS
        else:
            is_prompt = index in prompt
        rows.append((CODE_OF[pdg], pt, eta, particle.phi(), is_prompt))
    return np.array(rows, np.float64).reshape(-1, 5)


def count_prompt(particles: np.ndarray) -> int:
    """Photons above 15 GeV that do not come from hadrons."""
    return int(((particles[:, 4] > 0) & (particles[:, 1] > PROMPT_PT)).sum())


def hard_partons(event: Any) -> np.ndarray:
    """The outgoing partons of the 2 -> 2 scattering, (2, 4): pdg id, pt, eta, phi.

    Each is followed through its copies, which carry the recoil of initial-state radiation, to
    where it first radiates.
    """
    return columns_of(event, [event[index].iBotCopy() for index in OUTGOING])


def decay_electrons(event: Any) -> list[int]:
    """Lines of the two electrons that the resonance decays into, before they radiate.

    Their momenta add up to that of the resonance, whose mass they therefore keep.
    """
    resonance = event[event[RESONANCE].iBotCopy()]
    return list(resonance.daughterList())


def columns_of(event: Any, lines: Sequence[int]) -> np.ndarray:
    """pdg id, pt, eta, phi of lines of the record, (n, 4)."""
    particles = (event[index] for index in lines)
    rows = [(p.id(), p.pT(), p.eta(), p.phi()) for p in particles]
    return np.array(rows, np.float64)


def pack(events: list[GeneratedEvent]) -> ParticleLists:
    """Particle lists of generated events; `info` is left to the caller."""
    flat = np.concatenate([e.particles for e in events])
    count = [len(e.particles) for e in events]
    return ParticleLists(
        offsets=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        species=flat[:, 0].astype(np.uint8),
        pt=flat[:, 1].astype(np.float32),
        eta=flat[:, 2].astype(np.float32),
        phi=flat[:, 3].astype(np.float32),
        prompt=flat[:, 4] > 0,
        group=np.array([e.group for e in events], np.int64),
        n_prompt=np.array([e.n_prompt for e in events], np.int32),
        partons=_pack_partons([e.partons for e in events if e.partons is not None]),
    )


def _pack_partons(partons: list[np.ndarray]) -> HardPartons | None:
    if not partons:
        return None
    columns = np.stack(partons)
    pt, eta, phi = np.moveaxis(columns[..., 1:], -1, 0).astype(np.float32)
    return HardPartons(columns[..., 0].astype(np.int16), pt, eta, phi)
