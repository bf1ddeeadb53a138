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
BARREL_ETA = 1.479
_STRAIGHT = 1e9  # cm, radius of a straight line
REACHES = 0.95  # an electron stopping below this share of the barrel's radius is lost
ENDCAP_RADII = (32.0, 150.0)

FloatArray = NDArray[np.float64]
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
    eta: FloatArray
    phi: FloatArray
    radius: FloatArray
    side: FloatArray

    def take(self, keep: NDArray) -> Impact:
        """Impacts of a subset."""
        return Impact(
            self.region[keep], self.eta[keep], self.phi[keep], self.radius[keep], self.side[keep]
        )


def _impact(
    radius: FloatArray,
    z: FloatArray,
    phi: FloatArray,
    at_endcap: tuple[FloatArray, FloatArray],
    side: FloatArray,
    reaches: NDArray,
) -> Impact:
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


def to_calorimeter(
    pt: FloatArray,
    eta: FloatArray,
    phi: FloatArray,
    charge: FloatArray,
    z0: FloatArray,
    depth: float = 0.0,
) -> Impact:
    """Helix, or straight line, from (0, 0, z0) to ``depth`` cm behind the front of the barrel.

    Positive charge bends to smaller phi.
    """
    slope = np.sinh(eta)
    side = np.where(slope < 0, -1.0, 1.0)
    rho = np.where(charge != 0, pt * CURVATURE_RADIUS, _STRAIGHT)
    radius = np.full(len(pt), R_EB + depth)
    half_turn = radius / (2 * rho)
    angle = np.arcsin(np.minimum(half_turn, 1))
    z = z0 + 2 * rho * angle * slope
    steep = np.where(np.abs(slope) < 1e-6, 1e-6, slope)
    path = (side * Z_EE - z0) / steep  # transverse length to the endcap plane
    turn = path / (2 * rho)
    at_endcap = (np.abs(2 * rho * np.sin(turn)), phi - np.sign(charge) * turn)
    return _impact(radius, z, phi - np.sign(charge) * angle, at_endcap, side, half_turn < 1)


@dataclass
class Electrons:
    """Electrons and positrons on their way out: energy, direction and position, (n,) each.

    ``direction`` and ``azimuth`` are the azimuths of the momentum and of the position at
    ``radius``, ``z``.  They head for the barrel or, seen along the beam, for ``goal`` cm.
    """

    energy: FloatArray
    eta: FloatArray
    direction: FloatArray
    charge: FloatArray
    azimuth: FloatArray
    radius: FloatArray
    z: FloatArray

    def __post_init__(self) -> None:
        slope = np.sinh(self.eta)
        self.side = np.where(slope < 0, -1.0, 1.0)
        at_barrel = self.z + (R_EB - self.radius) * slope
        self.barrel = np.abs(at_barrel) < R_EB * np.sinh(BARREL_ETA)
        steep = np.where(self.barrel, 1.0, slope)
        at_plane = self.radius + (self.side * Z_EE - self.z) / steep
        self.goal = np.where(self.barrel, R_EB, at_plane)

    def brake(self, thickness: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Radiate in ``thickness`` radiation lengths (Bethe-Heitler); photon energies, (n,)."""
        kept = np.exp(-rng.gamma(np.maximum(thickness / np.log(2), 1e-3)))
        radiated = self.energy * (1 - kept)
        self.energy = self.energy * kept
        return radiated

    def photon_impact(self) -> Impact:
        """Where photons radiated here and now arrive."""
        off = self.direction - self.azimuth
        cos_off = np.cos(off)
        root = np.sqrt(np.maximum(self.goal**2 - (self.radius * np.sin(off)) ** 2, 0))
        # to a cylinder in the barrel, to a plane in the endcap
        path = np.where(self.barrel, root - self.radius * cos_off, self.goal - self.radius)
        along, across = self.radius + path * cos_off, path * np.sin(off)
        z = self.z + path * np.sinh(self.eta)
        phi = self.azimuth + np.arctan2(across, along)
        return self._impact(phi, z, np.hypot(along, across))

    def impact(self) -> Impact:
        """Where the electrons, moved to the calorimeter, enter it."""
        # the steps are chords and end a little short of the barrel
        return self._impact(self.azimuth, self.z, np.where(self.barrel, R_EB, self.radius))

    def move(self, share: float) -> None:
        """Advance by ``share`` of the radial distance that is left, bending on the way."""
        step = (self.goal - self.radius) * share
        pt = np.maximum(self.energy / np.cosh(self.eta), 1e-3)
        bend = -self.charge * step / (pt * CURVATURE_RADIUS)
        curls = np.abs(bend) > 1.2
        bend = np.clip(bend, -1.2, 1.2)
        off = self.direction + bend / 2 - self.azimuth
        along, across = self.radius + step * np.cos(off), step * np.sin(off)
        self.azimuth = self.azimuth + np.arctan2(across, along)
        self.radius = np.minimum(np.hypot(along, across), self.goal)
        self.z = self.z + step * np.sinh(self.eta)
        self.direction = self.direction + bend
        # too soft to get through the field: it curls up in the tracker
        stops = self.barrel & (curls | ((share == 1) & (self.radius < REACHES * R_EB)))
        self.energy = np.where(stops, 0.0, self.energy)

    def _impact(self, phi: FloatArray, z: FloatArray, radius: FloatArray) -> Impact:
        endcap = ~self.barrel & (radius > ENDCAP_RADII[0]) & (radius < ENDCAP_RADII[1])
        length = np.where(self.barrel, z, self.side * Z_EE)
        return Impact(
            region=np.where(self.barrel, BARREL, np.where(endcap, ENDCAP, LOST)),
            eta=np.arcsinh(length / np.maximum(radius, 1e-3)),
            phi=phi,
            radius=radius,
            side=self.side,
        )
