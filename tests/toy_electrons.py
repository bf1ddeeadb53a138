"""Particle lists of Z to two electrons from a few lines, for tests that need some at once.

Not Pythia's: a Breit-Wigner mass, electrons back to back in the rest frame with a boost along the
beam, no other particles and no radiation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.simulation.config import SHIPPED_LISTS
from data.simulation.particles import CODE_OF, HardPartons, ParticleLists, read, write

_MASS, _WIDTH = 91.19, 2.495


def electron_lists(n_events: int, seed: int = 0) -> ParticleLists:
    """Pairs of central electrons."""
    rng = np.random.default_rng(seed)
    mass = _MASS + _WIDTH / 2 * np.tan(np.pi * rng.uniform(-0.45, 0.45, n_events))
    cosine, boost = rng.uniform(-0.6, 0.6, n_events), rng.uniform(-0.5, 0.5, n_events)
    half = np.arctanh(cosine)
    eta = np.stack([boost + half, boost - half], axis=1).astype(np.float32)
    phi = rng.uniform(0, 2 * np.pi, n_events)
    phis = (np.stack([phi, phi + np.pi], axis=1) % (2 * np.pi)).astype(np.float32)
    pt = np.repeat(mass / 2 * np.sqrt(1 - cosine**2), 2).reshape(-1, 2).astype(np.float32)
    pdg_id = np.tile(np.array([11, -11], np.int16), (n_events, 1))
    return ParticleLists(
        offsets=2 * np.arange(n_events + 1),
        species=np.tile(np.array([CODE_OF[11], CODE_OF[-11]], np.uint8), n_events),
        pt=pt.ravel(),
        eta=eta.ravel(),
        phi=phis.ravel(),
        prompt=np.ones(2 * n_events, bool),
        group=np.arange(n_events),
        n_prompt=np.zeros(n_events, np.int32),
        info={"process": "zee", "generator": "toy"},
        partons=HardPartons(pdg_id, pt, eta, phis),
    )


def write_lists(folder: Path, n_events: int, n_minimum_bias: int = 60) -> Path:
    """A folder of lists that the resonance stage can work with: zee, higgs and minimum bias."""
    write(folder / "zee_0.npz.xz", electron_lists(n_events))
    for process, n in (("higgs", n_events), ("minimum_bias", n_minimum_bias)):
        some = read(SHIPPED_LISTS / f"{process}_0.npz.xz").take(np.arange(n))
        write(folder / f"{process}_0.npz.xz", some)
    return folder
