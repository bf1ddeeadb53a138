"""Generator-level preselection: does an event hold two isolated electromagnetic candidates?

It is looser than the diphoton selection on reconstructed photons and applied alike to every
hard process, so that detector time and list space go to events that may be selected.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from data.kinematics import delta_phi, diphoton_mass
from data.simulation.particles import CODE_OF

MIN_CANDIDATE_PT = 20.0  # GeV
MIN_SEED_PT = 6.0
MAX_CANDIDATE_ETA = 1.46
HALF_ETA, HALF_PHI = 0.045, 0.12  # the window is 0.09 x 0.24
ISOLATION_CONE, MAX_HADRONS = 0.15, 0.2
MIN_MASS = 85.0
SCALE_MARGIN = 0.95  # on the pt/m cuts of the selection

_ELECTROMAGNETIC = np.array([CODE_OF[22], CODE_OF[11], CODE_OF[-11]])
_MUONS = np.array([CODE_OF[13], CODE_OF[-13]])


def candidates(
    species: NDArray[np.uint8],
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Isolated EM candidates of one event, (n, 3): pt, eta, phi, leading first.

    Photons and electrons are summed in a window of 0.09 x 0.24 in (eta, phi) round the hardest
    unused one; hadrons within 0.15 must stay below a fifth of the sum.
    """
    em = np.isin(species, _ELECTROMAGNETIC)
    hadron = ~em & ~np.isin(species, _MUONS)
    e_pt, e_eta, e_phi = pt[em], eta[em], phi[em]
    used = np.zeros(len(e_pt), bool)
    found = []
    for seed in np.argsort(-e_pt):
        if e_pt[seed] < MIN_SEED_PT:
            break
        if used[seed]:
            continue
        dphi = delta_phi(e_phi, e_phi[seed])
        inside = (np.abs(e_eta - e_eta[seed]) < HALF_ETA) & (np.abs(dphi) < HALF_PHI) & ~used
        used |= inside
        total = e_pt[inside].sum()
        centre = (e_pt[inside] * e_eta[inside]).sum() / total
        if total < MIN_CANDIDATE_PT or abs(centre) > MAX_CANDIDATE_ETA:
            continue
        near = np.hypot(delta_phi(phi[hadron], e_phi[seed]), eta[hadron] - e_eta[seed])
        if pt[hadron][near < ISOLATION_CONE].sum() > MAX_HADRONS * total:
            continue
        found.append((total, centre, e_phi[seed] + (e_pt[inside] * dphi[inside]).sum() / total))
    found.sort(reverse=True)
    return np.array(found).reshape(-1, 3)


def passes(found: NDArray[np.float64], min_mass: float = MIN_MASS) -> bool:
    """Whether the two leading candidates may make a selected pair above a mass."""
    if len(found) < 2:
        return False
    lead, sub = found[0], found[1]
    mass = diphoton_mass(*found[:2].T)
    return bool(
        mass > min_mass and lead[0] > SCALE_MARGIN * mass / 3 and sub[0] > SCALE_MARGIN * mass / 4
    )


def electrons_pass(electrons: Iterable[tuple[float, float]]) -> bool:
    """Whether electrons, each pt and eta, are all hard and in the barrel."""
    return all(pt > MIN_CANDIDATE_PT and abs(eta) < MAX_CANDIDATE_ETA for pt, eta in electrons)
