"""From the vertex to the calorimeter: straight lines, helices and radiating electrons.

Lengths in cm, momenta in GeV, the solenoid's field is uniform.  Positions are returned as an
:class:`Impact`: barrel impacts as seen from the origin, endcap impacts in the transverse plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import R_EB, Z_EE

FIELD = 3.8  # tesla
CURVATURE_RADIUS = 100.0 / (0.3 * FIELD)  # cm per GeV of pt
RADIATION_LENGTH = 0.89  # cm, lead tungstate
CRITICAL_ENERGY = 0.0105  # GeV
BARREL_ETA = 1.479
ENDCAP_RADII = (32.0, 150.0)

F = NDArray[np.float64]
BARREL, ENDCAP, LOST = 0, 1, -1


@dataclass
class Impact:
    """Where n particles meet the calorimeter, (n,) each.

    region : BARREL, ENDCAP or LOST
    eta : pseudorapidity of the impact seen from the origin
    phi : azimuth of the impact
    radius : transverse distance from the beam, cm
    side : sign of z
    """

    region: NDArray[np.int64]
    eta: F
    phi: F
    radius: F
    side: F

    def take(self, keep: NDArray) -> Impact:
        """Impacts of a subset."""
        return Impact(
            self.region[keep], self.eta[keep], self.phi[keep], self.radius[keep], self.side[keep]
        )


def shower_depth(energy: F) -> F:
    """Depth in cm of the maximum of an electromagnetic shower (longitudinal profile, PDG)."""
    lengths = np.log(np.maximum(energy, 0.05) / CRITICAL_ENERGY) + 0.5
    return RADIATION_LENGTH * lengths


def _impact(radius: F, z: F, phi: F, at_endcap: tuple[F, F], side: F, reaches: NDArray) -> Impact:
    eta = np.arcsinh(z / radius)
    barrel = reaches & (np.abs(eta) < BARREL_ETA)
    r_end, phi_end = at_endcap
    endcap = ~barrel & (r_end > ENDCAP_RADII[0]) & (r_end < ENDCAP_RADII[1])
    with np.errstate(divide="ignore"):
        eta_end = np.arcsinh(side * Z_EE / np.maximum(r_end, 1e-3))
    return Impact(
        region=np.where(barrel, BARREL, np.where(endcap, ENDCAP, LOST)),
        eta=np.where(barrel, eta, eta_end),
        phi=np.where(barrel, phi, phi_end),
        radius=np.where(barrel, radius, r_end),
        side=side,
    )


def straight(eta: F, phi: F, z0: F, depth: F) -> Impact:
    """Neutral particles from (0, 0, z0); the impact is ``depth`` cm inside the crystals."""
    slope = np.sinh(eta)
    side = np.where(slope < 0, -1.0, 1.0)
    radius = R_EB + depth / np.cosh(eta)
    safe = np.where(np.abs(slope) < 1e-6, 1e-6, slope)
    r_end = (side * (Z_EE + depth * np.abs(np.tanh(eta))) - z0) / safe
    everywhere = np.ones(len(eta), bool)
    return _impact(radius, z0 + radius * slope, phi, (r_end, phi), side, everywhere)


def helix(pt: F, eta: F, phi: F, charge: F, z0: F, depth: float) -> Impact:
    """Charged particles from (0, 0, z0); positive charge bends to smaller phi."""
    slope = np.sinh(eta)
    side = np.where(slope < 0, -1.0, 1.0)
    rho = pt * CURVATURE_RADIUS
    radius = np.full(len(pt), R_EB + depth)
    half_turn = radius / (2 * rho)
    reaches = half_turn < 1
    angle = np.arcsin(np.minimum(half_turn, 1))
    z = z0 + 2 * rho * angle * slope
    safe = np.where(np.abs(slope) < 1e-6, 1e-6, slope)
    path = (side * Z_EE - z0) / safe  # transverse length to the endcap plane
    turn = path / (2 * rho)
    at_endcap = (np.abs(2 * rho * np.sin(turn)), phi - np.sign(charge) * turn)
    return _impact(radius, z, phi - np.sign(charge) * angle, at_endcap, side, reaches)


@dataclass
class Electrons:
    """Electrons and positrons on their way out: energy, direction and position, (n,) each.

    ``direction`` and ``azimuth`` are the azimuths of the momentum and of the position at
    ``radius``, ``z``.
    """

    energy: F
    eta: F
    direction: F
    charge: F
    azimuth: F
    radius: F
    z: F

    def brake(self, thickness: F, rng: np.random.Generator) -> F:
        """Radiate in ``thickness`` radiation lengths (Bethe-Heitler); photon energies, (n,)."""
        kept = np.exp(-rng.gamma(np.maximum(thickness / np.log(2), 1e-3)))
        radiated = self.energy * (1 - kept)
        self.energy = self.energy * kept
        return radiated

    def photon_impact(self, depth: F) -> Impact:
        """Where photons radiated here and now arrive."""
        off = self.direction - self.azimuth
        goal = R_EB + depth / np.cosh(self.eta)
        phi = self.azimuth + off - np.arcsin(np.clip(self.radius / goal * np.sin(off), -1, 1))
        root = np.sqrt(np.maximum(goal**2 - (self.radius * np.sin(off)) ** 2, 0))
        z = self.z + (root - self.radius * np.cos(off)) * np.sinh(self.eta)
        return _outward(self, phi, z, goal)

    def impact(self, depth: F) -> Impact:
        """Where the electrons, moved to the calorimeter, enter it."""
        return _outward(self, self.azimuth, self.z, np.full(len(self.energy), R_EB) + 0 * depth)

    def move(self, share: float) -> None:
        """Advance by ``share`` of the radial distance that is left, bending on the way."""
        step = (R_EB - self.radius) * share
        pt = np.maximum(self.energy / np.cosh(self.eta), 1e-3)
        bend = -self.charge * step / (pt * CURVATURE_RADIUS)
        curls = np.abs(bend) > 1.2
        bend = np.clip(bend, -1.2, 1.2)
        off = self.direction + bend / 2 - self.azimuth
        along, across = self.radius + step * np.cos(off), step * np.sin(off)
        self.azimuth = self.azimuth + np.arctan2(across, along)
        self.radius = np.minimum(np.hypot(along, across), R_EB)
        self.z = self.z + step * np.sinh(self.eta)
        self.direction = self.direction + bend
        self.energy = np.where(curls, 0.0, self.energy)


def _outward(electrons: Electrons, phi: F, z: F, radius: F) -> Impact:
    slope = np.sinh(electrons.eta)
    side = np.where(slope < 0, -1.0, 1.0)
    r_end = Z_EE / np.maximum(np.abs(slope), 1e-3)
    reaches = np.ones(len(phi), bool)
    return _impact(radius, z, phi, (r_end, phi), side, reaches)
