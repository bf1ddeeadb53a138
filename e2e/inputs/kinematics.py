"""The diphoton system from the standard reconstruction: mass and the five mass-blind inputs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import CRYSTAL, eb_eta_phi
from data.kinematics import diphoton_mass

if TYPE_CHECKING:
    from data.store import EventStore

FloatArray = NDArray[np.float64]
KINEMATIC_NAMES = ("pt1/m", "eta1", "pt2/m", "eta2", "cos dphi")
KINEMATIC_ETAS = (1, 3)  # columns whose sign a mirror in z changes


@dataclass
class Pairs:
    """Two standard photons of N events, all (N, 2); NaN (seed -1) where there is none.

    pt and energy in GeV, eta and phi in radians from the event's vertex, u and v in crystals,
    seed a flat EB cell.
    """

    energy: FloatArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    u: FloatArray
    v: FloatArray
    seed: NDArray[np.int64]
    e5x5: FloatArray

    @classmethod
    def read(cls, store: EventStore) -> Self:
        """Read the standard photons of a store."""
        names = ("energy", "pt", "eta", "phi", "u", "v", "e5x5")
        columns = {name: store.clusters(name).astype(np.float64) for name in names}
        return cls(seed=store.clusters("seed").astype(np.int64), **columns)

    def __len__(self) -> int:
        return len(self.seed)

    def rows(self, start: int, stop: int) -> Pairs:
        """The events start:stop."""
        return Pairs(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})

    @property
    def mass(self) -> FloatArray:
        """(N,) invariant mass in GeV, NaN without a pair."""
        return diphoton_mass(self.pt, self.eta, self.phi)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """(N,) whether both photons exist and their mass is positive."""
        return np.nan_to_num(self.mass) > 0

    @property
    def displacement(self) -> NDArray[np.int64]:
        """(N, 2) rows from where a photon's direction at the vertex points to where it arrives.

        The longitudinal spread of the vertices moves photons by some rows; 0 without a photon.
        """
        arrival, _ = eb_eta_phi(np.nan_to_num(self.u), np.zeros_like(self.u))
        return np.rint(np.nan_to_num(arrival - self.eta) / CRYSTAL).astype(np.int64)

    def kinematics(self) -> NDArray[np.float32]:
        """(N, 5) columns `KINEMATIC_NAMES`, in slot order; NaN without a pair."""
        mass = np.where(self.complete, self.mass, np.nan)
        cos_dphi = np.cos(self.phi[:, 0] - self.phi[:, 1])
        columns = [
            self.pt[:, 0] / mass,
            np.where(self.complete, self.eta[:, 0], np.nan),
            self.pt[:, 1] / mass,
            np.where(self.complete, self.eta[:, 1], np.nan),
            np.where(self.complete, cos_dphi, np.nan),
        ]
        return np.stack(columns, axis=1).astype(np.float32)
