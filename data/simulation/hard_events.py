"""The hard events of a chunk: shipped particle lists, varied when repeated, or a photon gun."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import vertex_eta
from data.simulation.particles import CODE_OF, HardPartons, ParticleLists

LABELS = {
    "diphoton": 0, "higgs": 1, "gamma_jet": 2, "gun": 3, "dijet": 4, "zee": 5, "continuum": 6,
}  # fmt: skip

GUN_PT = (25.0, 120.0)  # GeV
GUN_ETA = 1.44  # seen from the origin
GUN_SEPARATION = 0.8


def varied(lists: ParticleLists, rng: np.random.Generator) -> ParticleLists:
    """Every event turned in phi by any angle and reflected in z or not, both at random."""
    n = len(lists)
    all_turns = rng.uniform(0, 2 * np.pi, n)
    all_signs = rng.choice([-1.0, 1.0], n)
    turn, sign = all_turns[lists.event], all_signs[lists.event]
    return ParticleLists(
        lists.offsets,
        lists.species,
        lists.pt,
        (lists.eta * sign).astype(np.float32),
        np.mod(lists.phi + turn, 2 * np.pi).astype(np.float32),
        lists.prompt,
        lists.group,
        lists.n_prompt,
        lists.info,
        _varied_partons(lists.partons, all_turns, all_signs),
    )


def _varied_partons(
    partons: HardPartons | None, turn: NDArray[np.float64], sign: NDArray[np.float64]
) -> HardPartons | None:
    if partons is None:
        return None
    eta = (partons.eta * sign[:, None]).astype(np.float32)
    phi = np.mod(partons.phi + turn[:, None], 2 * np.pi).astype(np.float32)
    return HardPartons(partons.pdg_id, partons.pt, eta, phi)


def gun(first: int, vertex_z: NDArray[np.float64], rng: np.random.Generator) -> ParticleLists:
    """Pairs of photons, flat in pt, in eta seen from the origin and in phi, 0.8 apart or more.

    Parameters
    ----------
    first : number of the first event, which is its group
    vertex_z : (N,) in cm
    """
    n = len(vertex_z)
    pt = rng.uniform(*GUN_PT, (n, 2))
    eta = rng.uniform(-GUN_ETA, GUN_ETA, (n, 2))
    phi = rng.uniform(0, 2 * np.pi, (n, 2))
    while len(near := np.flatnonzero(_separation(eta, phi) < GUN_SEPARATION)):
        eta[near] = rng.uniform(-GUN_ETA, GUN_ETA, (len(near), 2))
        phi[near] = rng.uniform(0, 2 * np.pi, (len(near), 2))
    return ParticleLists(
        offsets=2 * np.arange(n + 1),
        species=np.full(2 * n, CODE_OF[22], np.uint8),
        pt=pt.ravel().astype(np.float32),
        eta=vertex_eta(eta, vertex_z[:, None]).ravel().astype(np.float32),
        phi=phi.ravel().astype(np.float32),
        prompt=np.ones(2 * n, bool),
        group=first + np.arange(n),
        n_prompt=np.full(n, 2, np.int32),
    )


def _separation(eta: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.float64]:
    dphi = (phi[:, 0] - phi[:, 1] + np.pi) % (2 * np.pi) - np.pi
    return np.hypot(eta[:, 0] - eta[:, 1], dphi)
