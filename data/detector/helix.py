"""From the vertex to the calorimeter's face: straight lines and helices.

Lengths in cm, momenta in GeV, the solenoid's field is uniform and along z. Positions are returned
as an :class:`Impact`: barrel impacts as seen from the origin, endcap impacts in the transverse
plane. The simulation and the images of propagated tracks share this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import R_EB, Z_EE

FIELD = 3.8  # tesla
CURVATURE_RADIUS = 100.0 / (0.3 * FIELD)  # cm per GeV of pt
BARREL_ETA = 1.479
ENDCAP_RADII = (32.0, 150.0)
_STRAIGHT = 1e9  # cm, radius of a straight line

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
    side = _side(slope)
    rho = _radius_of_curvature(pt, charge)
    radius = np.full(len(pt), R_EB + depth)
    half_turn = radius / (2 * rho)
    angle = np.arcsin(np.minimum(half_turn, 1))
    z = z0 + 2 * rho * angle * slope
    turn = half_angle_at_endcap(pt, eta, charge, z0)
    at_endcap = (np.abs(2 * rho * np.sin(turn)), phi - np.sign(charge) * turn)
    return _impact(radius, z, phi - np.sign(charge) * angle, at_endcap, side, half_turn < 1)


def half_angle_at_endcap(
    pt: FloatArray, eta: FloatArray, charge: FloatArray, z0: FloatArray
) -> FloatArray:
    """Half of the angle by which a particle has turned at the endcap's plane, radians.

    Beyond pi / 2 it has been farthest from the beam and is on its way back.
    """
    slope = np.sinh(eta)
    side = _side(slope)
    steep = np.where(np.abs(slope) < 1e-6, side * 1e-6, slope)
    path = (side * Z_EE - z0) / steep  # transverse length to the endcap plane
    return path / (2 * _radius_of_curvature(pt, charge))


def _side(slope: FloatArray) -> FloatArray:
    return np.where(slope < 0, -1.0, 1.0)


def _radius_of_curvature(pt: FloatArray, charge: FloatArray) -> FloatArray:
    # Without the bound an infinite pt would turn into not-a-number.
    return np.where(charge != 0, np.minimum(pt * CURVATURE_RADIUS, _STRAIGHT), _STRAIGHT)


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
