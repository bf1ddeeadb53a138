"""Kinematics of photon pairs, each formula once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def diphoton_mass(pt: ArrayLike, eta: ArrayLike, phi: ArrayLike) -> FloatArray:
    """Invariant mass of two massless particles.

    Parameters
    ----------
    pt, eta, phi
        (..., 2) transverse momentum in GeV, pseudorapidity and azimuth of the pair.

    Returns
    -------
    (...) mass in GeV; NaN where either photon is NaN.
    """
    pt, eta, phi = (np.asarray(a, dtype=np.float64) for a in (pt, eta, phi))
    opening = np.cosh(eta[..., 0] - eta[..., 1]) - np.cos(phi[..., 0] - phi[..., 1])
    return np.sqrt(np.maximum(2.0 * pt[..., 0] * pt[..., 1] * opening, 0.0))


def delta_phi(phi_a: ArrayLike, phi_b: ArrayLike) -> FloatArray:
    """Azimuthal difference in [-pi, pi)."""
    difference = np.asarray(phi_a, dtype=np.float64) - np.asarray(phi_b, dtype=np.float64)
    return (difference + np.pi) % (2.0 * np.pi) - np.pi
