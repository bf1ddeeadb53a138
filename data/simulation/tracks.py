"""Reconstructed tracks: efficiency and resolution by species."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MIN_PT, MAX_ETA, RESOLUTION = 0.7, 2.5, 0.01
EFFICIENCY = {"hadron": 0.93, "muon": 0.99, "electron": 0.90}  # (tuned)


@dataclass
class Tracks:
    """Reconstructed tracks at the vertex, flat: event, pt (GeV), eta, phi, (M,) each."""

    event: IntArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray

    def take(self, rows: NDArray) -> Tracks:
        """Some of the rows."""
        return Tracks(self.event[rows], self.pt[rows], self.eta[rows], self.phi[rows])


def join_tracks(parts: list[Tracks]) -> Tracks:
    """Concatenate."""
    return Tracks(
        *(np.concatenate([getattr(t, n) for t in parts]) for n in ("event", "pt", "eta", "phi"))
    )


def trackable(pt: FloatArray, eta: FloatArray) -> NDArray[np.bool_]:
    """Whether a track can be found: hard enough and inside the tracker."""
    return (pt > MIN_PT) & (np.abs(eta) < MAX_ETA)


def smeared(pt: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Measured pt."""
    return pt * (1 + RESOLUTION * rng.standard_normal(len(pt)))


def reconstruct(particles: Tracks, pdg_id: IntArray, rng: np.random.Generator) -> Tracks:
    """Tracks of charged particles, given at the vertex with their PDG ids."""
    kind = np.abs(pdg_id)
    efficiency = np.full(len(kind), EFFICIENCY["hadron"])
    efficiency[kind == 13] = EFFICIENCY["muon"]
    efficiency[kind == 11] = EFFICIENCY["electron"]
    pt = smeared(particles.pt, rng)
    seen = (rng.random(len(pt)) < efficiency) & trackable(pt, particles.eta)
    return Tracks(particles.event, pt, particles.eta, particles.phi).take(seen)
