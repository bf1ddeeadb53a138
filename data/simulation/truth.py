"""What is known of simulated photons: the photons, and their part of every barrel crystal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits
from data.detector.geometry import N_EB, detector_eta, eb_uv
from data.detector.helix import to_calorimeter
from data.simulation.calorimeter import merge
from data.simulation.particles import ParticleLists
from data.simulation.profiles import Cells

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TRUE_PHOTON_PT = 10.0
#: Crystals with less of their energy from prompt photons are left out.
MIN_SHARE = 0.005


@dataclass
class TruePhotons:
    """Prompt photons with pt > 10 GeV, flat: at the vertex, and their impact (u, v).

    In simulated Z to two electrons they are these electrons, after they radiated photons at the
    collision and before they do so in the tracker; their impact is where they would arrive if they
    did not.
    """

    event: IntArray
    energy: FloatArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    u: FloatArray
    v: FloatArray
    converted: NDArray[np.bool_]


@dataclass
class TrueCrystals:
    """Barrel crystals that hold energy of prompt photons, flat and sorted.

    event, cell : (M,) event and flat EB cell
    energy : (M,) noise-free energy of prompt photons, conversions and bremsstrahlung included, GeV
    share : (M,) of the crystal's whole noise-free energy, in (0.005, 1]
    """

    event: IntArray
    cell: IntArray
    energy: NDArray[np.float32]
    share: NDArray[np.float32]


def true_photons(
    lists: ParticleLists, vertex_z: FloatArray, converted: NDArray[np.bool_]
) -> TruePhotons:
    """The prompt particles of particle lists; ``converted`` (M,) goes with the particles."""
    rows = np.flatnonzero(lists.prompt & (lists.pt > TRUE_PHOTON_PT))
    event = lists.event[rows]
    eta, phi = lists.eta[rows].astype(np.float64), lists.phi[rows].astype(np.float64)
    pt = lists.pt[rows].astype(np.float64)
    u, v = eb_uv(detector_eta(eta, vertex_z[event]), phi)
    bent = np.flatnonzero(lists.charge[rows] != 0)
    if len(bent):
        impact = to_calorimeter(
            pt[bent], eta[bent], phi[bent], lists.charge[rows[bent]].astype(np.float64),
            vertex_z[event[bent]],
        )  # fmt: skip
        u[bent], v[bent] = eb_uv(impact.eta, impact.phi)
    return TruePhotons(event, pt * np.cosh(eta), pt, eta, phi, u, v, converted[rows])


def prompt_shares(prompt: Cells, total: NDArray[np.float32]) -> TrueCrystals:
    """Prompt photons' energy and share in all crystals where it matters.

    Parameters
    ----------
    prompt : deposits of prompt photons, repeated crystals are summed
    total : (N * 61200,) noise-free energies of all deposits
    """
    mine = merge(prompt, N_EB, 0.0)
    whole = total[mine.event * N_EB + mine.cell]
    # other deposits' fluctuations may be negative and leave less than the photons' own energy
    share = mine.energy / np.maximum(whole, mine.energy)
    rows = np.flatnonzero(share > MIN_SHARE)
    return TrueCrystals(mine.event[rows], mine.cell[rows], mine.energy[rows], share[rows])


def read_out(crystals: TrueCrystals, hits: Hits) -> TrueCrystals:
    """Those of the crystals that have a rechit."""
    key = hits.event * N_EB + hits.cell
    kept = np.isin(crystals.event * N_EB + crystals.cell, key, assume_unique=True)
    return TrueCrystals(**{name: values[kept] for name, values in vars(crystals).items()})
