"""From the vertex to the calorimeter: radiating electrons.

Lengths in cm, momenta in GeV; the helix of other particles is in `data.detector.helix`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import R_EB, Z_EE
from data.detector.helix import (
    BARREL,
    BARREL_ETA,
    CURVATURE_RADIUS,
    ENDCAP,
    ENDCAP_RADII,
    LOST,
    Impact,
)

REACHES = 0.95  # an electron stopping below this share of the barrel's radius is lost

FloatArray = NDArray[np.float64]


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
