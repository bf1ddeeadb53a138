"""The diphoton mass of refined pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import eb_eta_phi, vertex_eta
from data.kinematics import diphoton_mass
from envs.photons.table import FloatArray, PhotonTable

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kinematics:
    """Photons seen from their vertex: energy and pt in GeV, eta, phi, and u, v in crystals."""

    energy: Floats
    pt: Floats
    eta: Floats
    phi: Floats
    u: Floats
    v: Floats


def corrected(table: PhotonTable, correction: FloatArray, vertex_z: Floats) -> Kinematics:
    """Photons after a correction (n, 3) of log energy, u, v; `vertex_z` (n,) in cm."""
    energy = table.energy.astype(np.float64) * np.exp(correction[:, 0])
    u = table.u.astype(np.float64) + correction[:, 1]
    v = (table.v.astype(np.float64) + correction[:, 2]) % 360
    eta_detector, phi = eb_eta_phi(u, v)
    eta = vertex_eta(eta_detector, vertex_z)
    return Kinematics(energy, energy / np.cosh(eta), eta, phi, u, v)


@dataclass(frozen=True)
class Pairs:
    """Pairs of photons of one event.

    Attributes
    ----------
    first, second
        (m,) rows of the photon table.
    label, group
        (m,) class and parton event.
    vertex_z
        (n,) vertex of every photon of the table, cm.
    """

    table: PhotonTable
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vertex_z: Floats

    @classmethod
    def of(cls, table: PhotonTable, vertex_z: Floats) -> Pairs:
        """All pairs of a table in the store's order; `vertex_z` (N,) of the store's events."""
        same = table.row[1:] == table.row[:-1]
        first = np.flatnonzero(same)
        return cls(table, first, first + 1, np.asarray(vertex_z, dtype=np.float64)[table.row])

    def __len__(self) -> int:
        return len(self.first)

    @property
    def label(self) -> NDArray[np.int64]:
        """(m,) class of the event."""
        return self.table.label[self.first]

    @property
    def group(self) -> NDArray[np.int64]:
        """(m,) parton event."""
        return self.table.group[self.first]

    @property
    def row(self) -> NDArray[np.int64]:
        """(m,) row of the event store."""
        return self.table.row[self.first]

    def masses(self, correction: FloatArray) -> Floats:
        """(m,) diphoton masses in GeV after a correction (n, 3) of the table's photons."""
        photons = corrected(self.table, correction, self.vertex_z)
        index = np.stack([self.first, self.second], axis=1)
        return diphoton_mass(photons.pt[index], photons.eta[index], photons.phi[index])

    def true_masses(self) -> Floats:
        """(m,) masses of the true photons, for metrics only; NaN where one is unmatched."""
        if self.table.target is None:
            return np.full(len(self), np.nan)
        return self.masses(self.table.target)
