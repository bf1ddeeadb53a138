"""Calorimeter jets of simulated events, and the parton that each comes from.

Jets are what a calorimeter alone gives: anti-kt with R = 0.5 (CMS's AK5 of 2012) over towers of
ECAL and HCAL, seen from the origin, with an average response correction.  Clustering needs the
optional package ``fastjet`` (arXiv:1111.6097).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from common.errors import PipelineError
from data.batch import Hits
from data.detector.geometry import EE_TO_HBHE, HBHE_ETA, N_HBHE, detector_eta, eb_to_hbhe
from data.detector.jets import jet_seeds
from data.reconstruction.matching import nearest_in_eta_phi, pad
from data.simulation.particles import HardPartons, ParticleLists

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

RADIUS = 0.5
TOWER_ET = 0.3  # GeV, of towers that are clustered
RAW_PT, JET_PT, JET_ETA = 10.0, 20.0, 2.5  # GeV: clustered above; kept above, corrected
HARD_JET_PT = 60.0  # GeV: an event without such a jet is not written
PARTON_RADIUS = 0.4  # as the analyser of arXiv:1902.08276
PARTON_SHARE = (0.5, 2.0)  # of a jet's pt over its parton's
GENERATED_RADIUS, GENERATED_PT = 0.25, 10.0
#: pt of a jet over that of the generated one, a + b ln(pt / 80 GeV), below each |eta|: printed by
#: ``python -m data.simulation.jet_response``.
RESPONSE: tuple[tuple[float, float, float], ...] = (
    (0.9, 0.584, 0.156),
    (1.5, 0.634, 0.145),
    (np.inf, 0.759, 0.077),
)
_HBHE_PHI = np.deg2rad((np.arange(72) - 1.5) * 5.0)
LIGHT_QUARKS, GLUON = (1, 2, 3), 21


@dataclass
class Jets:
    """Jets of N events, flat, hardest first in each event.

    event : (M,)
    pt, eta, phi, mass : (M,) GeV and radians, as seen from the origin; pt and mass corrected
    seed_row, seed_column : (M,) HBHE tower that the jet's image is centred at
    is_quark : (M,) 1 for u, d and s quarks, 0 for gluons, -1 for c, b and unmatched jets; truth
    pdg_id : (M,) absolute PDG id of the parton, 0 for none; truth
    parton_pt, generated_pt : (M,) of the parton, and of the jet of generated particles; NaN for
        none; truth
    """

    event: IntArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    mass: FloatArray
    seed_row: IntArray
    seed_column: IntArray
    is_quark: IntArray
    pdg_id: IntArray
    parton_pt: FloatArray
    generated_pt: FloatArray

    @classmethod
    def none(cls) -> Jets:
        """No jets at all."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(whole, real, real, real, real, whole, whole, whole, whole, real, real)


def import_fastjet() -> Any:
    """The fastjet module.

    Raises
    ------
    PipelineError
        with the remedy, when the optional extra is not installed.
    """
    try:
        import fastjet
    except ImportError as problem:
        raise PipelineError(
            "clustering jets needs FastJet: pip install 'cms-e2e-rl[jets]', or simulate no dijets"
        ) from problem
    return fastjet


def find_jets(lists: ParticleLists, hits: dict[str, Hits], vertex_z: FloatArray) -> Jets:
    """The jets of N events with their truth; none for processes without hard quarks or gluons.

    Parameters
    ----------
    lists : the hard events
    hits : rechits by channel
    vertex_z : (N,) in cm, of the hard vertex
    """
    if lists.partons is None or not _is_hadronic(lists.partons):
        return Jets.none()
    event, pt, eta, phi, mass = calorimeter_jets(hits)
    seed_row, seed_column = jet_seeds(hits["HBHE"], event, eta, phi)
    is_quark, pdg_id, parton_pt = _matched_partons(lists.partons, vertex_z, event, pt, eta, phi)
    generated_pt = _matched_generated(lists, vertex_z, event, eta, phi)
    return Jets(
        event, pt, eta, phi, mass, seed_row, seed_column, is_quark, pdg_id, parton_pt, generated_pt
    )


def _is_hadronic(partons: HardPartons) -> bool:
    return bool(np.any(np.isin(np.abs(partons.pdg_id), (*range(1, 7), GLUON))))


def hard_jet_events(jets: Jets, n_events: int) -> NDArray[np.bool_]:
    """(N,) whether an event has a jet above 60 GeV."""
    return np.bincount(jets.event[jets.pt > HARD_JET_PT], minlength=n_events) > 0


def calorimeter_jets(
    hits: dict[str, Hits],
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Corrected jets above 20 GeV: event, pt, eta, phi and mass, (M,) each."""
    event, cell, energy = _towers(hits)
    eta, phi = HBHE_ETA[cell // 72], _HBHE_PHI[cell % 72]
    et = energy / np.cosh(eta)
    used = et > TOWER_ET
    event, raw, eta, phi, mass = cluster(
        event[used], len(hits["EB"]), et[used], eta[used], phi[used], energy[used], RAW_PT
    )
    pt = corrected(raw, eta)
    kept = np.flatnonzero((pt > JET_PT) & (np.abs(eta) < JET_ETA))
    kept = kept[np.lexsort((-pt[kept], event[kept]))]
    return event[kept], pt[kept], eta[kept], phi[kept], (mass * pt / raw)[kept]


def generated_jets(
    lists: ParticleLists,
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Jets of the stable visible particles, as seen from the vertex: columns as above."""
    eta, phi = lists.eta.astype(np.float64), lists.phi.astype(np.float64)
    pt, energy = lists.pt.astype(np.float64), lists.energy.astype(np.float64)
    return cluster(lists.event, len(lists), pt, eta, phi, energy, GENERATED_PT)


def cluster(
    event: IntArray,
    n_events: int,
    pt: FloatArray,
    eta: FloatArray,
    phi: FloatArray,
    energy: FloatArray,
    min_pt: float,
) -> tuple[IntArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Anti-kt jets of objects (M,) sorted by event: event, pt, eta, phi, mass, hardest first."""
    fastjet = import_fastjet()
    objects = ak.zip(
        {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta), "E": energy},
        with_name="Momentum4D",
    )
    events = ak.unflatten(objects, np.bincount(event, minlength=n_events))
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, RADIUS)
    found = fastjet.ClusterSequence(events, definition).inclusive_jets(min_pt=min_pt)
    owner = np.repeat(np.arange(n_events), ak.to_numpy(ak.num(found)))
    px, py, pz, e = (
        ak.to_numpy(ak.flatten(found[name])).astype(np.float64) for name in ("px", "py", "pz", "E")
    )
    jet_pt = np.hypot(px, py)
    mass = np.sqrt(np.maximum(e**2 - jet_pt**2 - pz**2, 0))
    order = np.lexsort((-jet_pt, owner))
    columns = (jet_pt, np.arcsinh(pz / jet_pt), np.arctan2(py, px), mass)
    jet_pt, jet_eta, jet_phi, mass = (column[order] for column in columns)
    return owner[order], jet_pt, jet_eta, jet_phi, mass


def corrected(raw_pt: FloatArray, eta: FloatArray) -> FloatArray:
    """pt of generated jets that give ``raw_pt`` on average: the response, inverted to 0.2 %."""
    bins = np.searchsorted([limit for limit, _, _ in RESPONSE[:-1]], np.abs(eta))
    a, b = (np.array([row[k] for row in RESPONSE])[bins] for k in (1, 2))
    pt = raw_pt / a
    for _ in range(5):
        pt = raw_pt / np.clip(a + b * np.log(pt / 80.0), 0.3, 1.2)
    return pt


def _towers(hits: dict[str, Hits]) -> tuple[IntArray, IntArray, FloatArray]:
    """Event, HBHE cell and energy of all towers with the crystals before them, sorted."""
    eb, ee, hbhe = hits["EB"], hits["EE"], hits["HBHE"]
    cell = [eb_to_hbhe(eb.cell), EE_TO_HBHE[ee.cell], hbhe.cell.astype(np.int64)]
    event = np.concatenate([h.event for h in (eb, ee, hbhe)])
    energy = np.concatenate([h.energy for h in (eb, ee, hbhe)])
    key, inverse = np.unique(event * N_HBHE + np.concatenate(cell), return_inverse=True)
    total = np.bincount(inverse, weights=energy, minlength=len(key)).astype(np.float64)
    return key // N_HBHE, key % N_HBHE, total


def _matched_partons(
    partons: HardPartons,
    vertex_z: FloatArray,
    event: IntArray,
    pt: FloatArray,
    eta: FloatArray,
    phi: FloatArray,
) -> tuple[IntArray, IntArray, FloatArray]:
    """Flavour, PDG id and pt of the hard parton nearest to each jet."""
    rows = np.arange(partons.pt.size).reshape(partons.pt.shape)
    parton_eta = detector_eta(partons.eta, vertex_z[:, None]).ravel()
    row, _ = nearest_in_eta_phi(
        event, eta, phi, rows, parton_eta, partons.phi.ravel().astype(np.float64), PARTON_RADIUS
    )
    parton_pt = partons.pt.ravel()[row].astype(np.float64)
    share = pt / parton_pt
    matched = (row >= 0) & (share > PARTON_SHARE[0]) & (share < PARTON_SHARE[1])
    parton_pt[~matched] = np.nan
    pdg_id = np.where(matched, np.abs(partons.pdg_id.ravel()[row]), 0).astype(np.int64)
    is_light, is_gluon = np.isin(pdg_id, LIGHT_QUARKS), pdg_id == GLUON
    is_quark = np.where(is_light, 1, np.where(is_gluon, 0, -1)).astype(np.int64)
    return is_quark, pdg_id, parton_pt


def _matched_generated(
    lists: ParticleLists, vertex_z: FloatArray, event: IntArray, eta: FloatArray, phi: FloatArray
) -> FloatArray:
    """pt of the generated jet nearest to each jet."""
    owner, pt, generated_eta, generated_phi, _ = generated_jets(lists)
    seen_eta = detector_eta(generated_eta, vertex_z[owner])
    row, _ = nearest_in_eta_phi(
        event, eta, phi, pad(owner, len(lists)), seen_eta, generated_phi, GENERATED_RADIUS
    )
    # One more value for jets without a match: row -1.
    return np.append(pt, np.nan)[row]
