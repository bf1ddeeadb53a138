"""A photon's shower at a fifth of a crystal: where its energy enters, and how it spreads there.

The profile is the lateral density of the photon's showers, one of the photon itself or several
of a conversion's electrons and their bremsstrahlung, each with the width that it was simulated
with: what a calorimeter without gaps, noise and pile-up would read if its crystals were five times
smaller. It is exact: the density's integral over a cell is elementary (`profiles.corner_integral`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import eb_uv
from data.detector.helix import BARREL, Impact
from data.simulation import profiles

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Cells per crystal and direction, and crystals in eta and phi round the seed.
FINE = 5
CRYSTALS = (5, 11)
#: Cells of a profile, [eta, phi].
SHAPE = (CRYSTALS[0] * FINE, CRYSTALS[1] * FINE)
_SHOWERS_AT_A_TIME = 4096


@dataclass
class Showers:
    """Showers of prompt photons in the barrel, flat: (M,) each.

    event : event of the shower
    u, v : impact in crystals, see `data.detector.geometry.eb_uv`
    energy : GeV
    profile : its width, row of `data.simulation.profiles.EM_WIDTHS`
    """

    event: IntArray
    u: FloatArray
    v: FloatArray
    energy: FloatArray
    profile: IntArray

    def take(self, rows: NDArray) -> Showers:
        """Some of the showers."""
        return Showers(**{name: values[rows] for name, values in vars(self).items()})


@dataclass
class ShowerRecord:
    """Notes down prompt photons' showers while a batch is simulated.

    It draws no random numbers: events are the same with and without it.

    Attributes
    ----------
    conversion_radius : (M,) per particle of the lists, distance from the beam in cm at which a
        photon converted; infinite for all others
    """

    conversion_radius: FloatArray
    _parts: list[Showers] = field(default_factory=list)

    @classmethod
    def of(cls, n_particles: int) -> ShowerRecord:
        """An empty record for lists of n particles."""
        return cls(np.full(n_particles, np.inf))

    def add(
        self,
        event: IntArray,
        impact: Impact,
        energy: FloatArray,
        profile: IntArray,
        prompt: NDArray[np.bool_],
    ) -> None:
        """Note down those of n electromagnetic showers that are prompt and in the barrel."""
        rows = np.flatnonzero(prompt & (impact.region == BARREL) & (energy > 0))
        u, v = eb_uv(impact.eta[rows], impact.phi[rows])
        self._parts.append(
            Showers(event[rows], u, v, energy[rows], profile[rows] - profiles.EM_FIRST)
        )

    def showers(self) -> Showers:
        """All that was noted down."""
        columns = [vars(part) for part in self._parts]
        return Showers(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]})


def shower_shares(
    u: FloatArray, v: FloatArray, profile: IntArray, shape: tuple[int, int] = SHAPE
) -> NDArray[np.float32]:
    """Shares of showers' energy in the cells of a window, exactly.

    Parameters
    ----------
    u, v
        (n,) impacts in crystals from the window's centre.
    profile
        (n,) row of `profiles.EM_WIDTHS`.
    shape
        Cells of the window, in eta and phi.

    Returns
    -------
    ndarray
        (n, *shape); what is missing to 1 falls outside.
    """
    x, y = ((np.arange(cells + 1) - cells / 2) / FINE for cells in shape)
    x, y = x[None, :] - u[:, None], y[None, :] - v[:, None]
    width = np.asarray(profiles.EM_WIDTHS)[profile][:, None, None]
    corner = np.zeros((len(u), len(x[0]), len(y[0])))
    for weight, radius in profiles.EM:
        corner += weight * profiles.corner_integral(x[:, :, None], y[:, None, :], radius * width)
    return np.diff(np.diff(corner, axis=1), axis=2).astype(np.float32)


def profiles_of(
    showers: Showers, photon: IntArray, centre_u: FloatArray, centre_v: FloatArray
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Profiles of n photons, normalised to 1 in their windows, and the share within the window.

    Parameters
    ----------
    showers
        Their showers.
    photon
        (M,) which photon each shower is of, in [0, n).
    centre_u, centre_v
        (n,) centres of the windows: of the seed crystals.

    Returns
    -------
    profile
        (n, 25, 55), indexed [eta, phi]; NaN for a photon without any energy in its window.
    contained
        (n,) part of the photon's energy that is within its window.
    """
    total = np.zeros((len(centre_u), *SHAPE), np.float32)
    order = np.argsort(photon, kind="stable")
    for start in range(0, len(photon), _SHOWERS_AT_A_TIME):
        part = order[start : start + _SHOWERS_AT_A_TIME]
        which = photon[part]
        dv = (showers.v[part] - centre_v[which] + 180.0) % 360.0 - 180.0
        shares = shower_shares(showers.u[part] - centre_u[which], dv, showers.profile[part])
        shares *= showers.energy[part, None, None].astype(np.float32)
        found, first = np.unique(which, return_index=True)
        total[found] += np.add.reduceat(shares, first, axis=0)
    inside = total.sum(axis=(1, 2))
    energy = np.bincount(photon, showers.energy, minlength=len(total))
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / inside[:, None, None], (inside / energy).astype(np.float32)
