"""The parametric detector: stable particles to noise-free cells, tracks and pixel seeds.

Everything is vectorised over the particles of a batch of events.  Constants marked (tuned) were
adjusted to public collision data; the others are the detector's known figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.detector.helix import Impact, to_calorimeter
from data.simulation import profiles
from data.simulation.calorimeter import barrel_cells, endcap_cells, tower_cells
from data.simulation.particles import CHARGE, MASS, PDG_ID, ParticleLists
from data.simulation.profiles import Cells, join
from data.simulation.propagation import Electrons
from data.simulation.shower_profile import ShowerRecord
from data.simulation.tracks import Tracks, join_tracks, reconstruct, smeared, trackable

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# tracker material in radiation lengths against |eta|
_MATERIAL_ETA = [0.0, 0.5, 0.9, 1.2, 1.5, 1.8, 2.1, 2.5, 3.0]
_MATERIAL_X0 = [0.42, 0.50, 0.75, 1.25, 1.75, 1.70, 1.45, 1.15, 1.00]
# where it is: radii in cm of its layers and their share
_LAYER_RADIUS = np.array([4.4, 7.3, 10.2, 26, 34, 42, 50, 61, 69, 78, 87, 97, 108.0])
_LAYER_SHARE = np.array([1.4, 1, 1, 1.1, 1.1, 1, 1, 1, 0.8, 0.8, 0.8, 0.8, 1.0])
_LAYER_CUMULATIVE = np.cumsum(_LAYER_SHARE / _LAYER_SHARE.sum())
RADIATION_STEPS = 3

LEAKAGE, TAIL_FRACTION, TAIL_LEAKAGE = 0.003, 0.03, 0.02  # of an EM shower, out of the rear
MIP_ENERGY = 0.24  # GeV in 25 X0 of lead tungstate
HADRON_INTERACTS = 0.67  # in 1.1 interaction lengths of ECAL
HADRON_ECAL_RESPONSE = 0.75
HADRON_DEPTH = 10.0  # cm
MUON_HCAL = 2.0  # GeV

CONVERSION_TRACKS = ((15.0, 0.6), (60.0, 0.25))  # radius below, efficiency of a leg
PIXEL_SEED_RADIUS, PIXEL_SEED_EFFICIENCY = 5.0, 0.6  # conversions in the first layer


@dataclass
class Response:
    """Noise-free response of a batch.

    n_events : number of events
    eb, ee, hbhe : energies in cells, unordered and repeated
    prompt_eb : the part of ``eb`` that is of prompt photons, their conversions included
    tracks : reconstructed tracks
    pixel_seeds : directions at the vertex that give a pixel seed
    converted : (M,) bool per particle, photons that converted in the tracker
    """

    n_events: int
    eb: Cells
    ee: Cells
    hbhe: Cells
    prompt_eb: Cells
    tracks: Tracks
    pixel_seeds: Tracks
    converted: NDArray[np.bool_]


@dataclass
class _Particles:
    """The columns of particle lists in float64 plus the vertex of each."""

    event: IntArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    energy: FloatArray
    charge: FloatArray
    pdg: IntArray
    z0: FloatArray
    prompt: NDArray[np.bool_]

    def take(self, rows: NDArray) -> _Particles:
        return _Particles(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def at_vertex(self) -> Tracks:
        return Tracks(self.event, self.pt, self.eta, self.phi)


class _Deposits:
    """Collects the cells of successive groups of showers."""

    def __init__(self, rng: np.random.Generator, record: ShowerRecord | None = None) -> None:
        self.rng = rng
        self.record = record
        self.eb: list[Cells] = []
        self.ee: list[Cells] = []
        self.hbhe: list[Cells] = []
        self.prompt_eb: list[Cells] = []

    def electromagnetic(
        self, event: IntArray, impact: Impact, energy: FloatArray, prompt: NDArray[np.bool_]
    ) -> None:
        """EM showers; what leaks out of the rear reaches the HCAL."""
        n = len(energy)
        size = LEAKAGE * (1 + 0.3 * np.log(np.maximum(energy, 5.0) / 50))
        leak = size * self.rng.exponential(size=n)
        leak += (self.rng.random(n) < TAIL_FRACTION) * self.rng.exponential(TAIL_LEAKAGE, n)
        leak = np.minimum(leak, 0.5)
        profile = profiles.EM_FIRST + self.rng.integers(0, profiles.N_EM, n)
        if self.record is not None:
            self.record.add(event, impact, energy, profile, prompt)
        self.ecal(event, impact, energy * (1 - leak), profile, prompt)
        self.hbhe.append(tower_cells(event, impact, energy * leak, 1, self.rng))

    def ecal(
        self,
        event: IntArray,
        impact: Impact,
        energy: FloatArray,
        profile: IntArray,
        prompt: NDArray[np.bool_] | None = None,
    ) -> None:
        """Showers of given profiles in the crystals; those of prompt photons are kept apart too."""
        cells, shower = barrel_cells(event, impact, energy, profile, self.rng)
        self.eb.append(cells)
        if prompt is not None and prompt.any():
            self.prompt_eb.append(cells.take(prompt[shower]))
        self.ee.append(endcap_cells(event, impact, energy, profile, self.rng))


def simulate_response(
    lists: ParticleLists,
    vertex_z: FloatArray,
    rng: np.random.Generator,
    record: ShowerRecord | None = None,
    material: float = 1.0,
) -> Response:
    """Noise-free response to all particles of N events.

    Parameters
    ----------
    lists : N events
    vertex_z : (N,) in cm
    rng : random numbers
    record : where prompt photons' showers are noted down, if wanted
    material : factor on the tracker's material
    """
    species = lists.species
    p = _Particles(
        event=lists.event,
        pt=lists.pt.astype(np.float64),
        eta=lists.eta.astype(np.float64),
        phi=lists.phi.astype(np.float64),
        energy=lists.energy.astype(np.float64),
        charge=CHARGE[species].astype(np.float64),
        pdg=PDG_ID[species].astype(np.int64),
        z0=np.asarray(vertex_z, np.float64)[lists.event],
        prompt=lists.prompt,
    )
    kind = np.abs(p.pdg)
    photon, electron, muon = kind == 22, kind == 11, kind == 13
    hadron = ~(photon | electron | muon)
    deposits = _Deposits(rng, record)

    depth_x0 = material * np.interp(np.abs(p.eta), _MATERIAL_ETA, _MATERIAL_X0)
    # depth of the conversion as a share of the tracker's material; above 1 there is none
    conversion = rng.exponential(9 / 7, len(p.pt)) / depth_x0
    converted = photon & (conversion < 1)

    _unconverted(p.take(photon & ~converted), deposits)
    radius = _LAYER_RADIUS[np.searchsorted(_LAYER_CUMULATIVE, conversion[converted]).clip(0, 12)]
    if record is not None:
        record.conversion_radius[converted] = radius
    ahead = depth_x0[converted] * (1 - conversion[converted])
    legs, leg_tracks, leg_seeds = _conversions(p.take(converted), radius, ahead, rng)
    _radiate_and_stop(*legs, deposits)
    _radiate_and_stop(*_prompt_electrons(p.take(electron), depth_x0[electron]), deposits)
    _hadrons(p.take(hadron), MASS[species][hadron].astype(np.float64), deposits)
    _muons(p.take(muon), deposits)

    charged = p.take(p.charge != 0)
    return Response(
        n_events=len(lists),
        eb=join(deposits.eb),
        ee=join(deposits.ee),
        hbhe=join(deposits.hbhe),
        prompt_eb=join(deposits.prompt_eb),
        tracks=join_tracks([reconstruct(charged.at_vertex, charged.pdg, rng), leg_tracks]),
        pixel_seeds=join_tracks([p.take(electron).at_vertex, leg_seeds]),
        converted=converted,
    )


def _unconverted(p: _Particles, deposits: _Deposits) -> None:
    deposits.electromagnetic(p.event, _impact(p), p.energy, p.prompt)


def _conversions(
    p: _Particles, radius: FloatArray, ahead: FloatArray, rng: np.random.Generator
) -> tuple[tuple[_Particles, Electrons, FloatArray], Tracks, Tracks]:
    """Pairs from conversions at ``radius`` with ``ahead`` radiation lengths to come."""
    share = rng.uniform(0.01, 0.99, len(radius))
    share = np.concatenate([share, 1 - share])
    charge = np.repeat([1.0, -1.0], len(radius))
    both = p.take(np.tile(np.arange(len(radius)), 2))
    r2 = np.tile(radius, 2)
    legs = Electrons(
        energy=both.energy * share,
        eta=both.eta,
        direction=both.phi,
        charge=charge,
        azimuth=both.phi,
        radius=r2,
        z=both.z0 + r2 * np.sinh(both.eta),
    )
    efficiency = np.zeros(len(r2))
    for limit, value in reversed(CONVERSION_TRACKS):
        efficiency[r2 < limit] = value
    pt = smeared(both.pt * share, rng)
    seen = (rng.random(len(r2)) < efficiency) & trackable(pt, both.eta)
    tracks = Tracks(both.event[seen], pt[seen], both.eta[seen], both.phi[seen])
    seeds = (radius < PIXEL_SEED_RADIUS) & (rng.random(len(radius)) < PIXEL_SEED_EFFICIENCY)
    seed_tracks = p.at_vertex.take(seeds)
    return (both, legs, np.tile(ahead, 2)), tracks, seed_tracks


def _prompt_electrons(p: _Particles, ahead: FloatArray) -> tuple[_Particles, Electrons, FloatArray]:
    beam_pipe = np.full(len(p.pt), 3.0)
    electrons = Electrons(
        energy=p.energy,
        eta=p.eta,
        direction=p.phi,
        charge=p.charge,
        azimuth=p.phi,
        radius=beam_pipe,
        z=p.z0 + beam_pipe * np.sinh(p.eta),
    )
    return p, electrons, ahead


def _radiate_and_stop(
    p: _Particles, electrons: Electrons, ahead: FloatArray, deposits: _Deposits
) -> None:
    """Electrons of particles radiate in steps on their curved way; photons and they shower."""
    for step in range(RADIATION_STEPS):
        radiated = electrons.brake(ahead / RADIATION_STEPS, deposits.rng)
        hard = radiated > 0.05
        impact = electrons.photon_impact().take(hard)
        deposits.electromagnetic(p.event[hard], impact, radiated[hard], p.prompt[hard])
        electrons.move(1 / (RADIATION_STEPS - step))
    deposits.electromagnetic(p.event, electrons.impact(), electrons.energy, p.prompt)


def _impact(p: _Particles, depth: float = 0.0) -> Impact:
    return to_calorimeter(p.pt, p.eta, p.phi, p.charge, p.z0, depth)


def _hadrons(p: _Particles, mass: FloatArray, deposits: _Deposits) -> None:
    """Minimum ionising or showering early in the ECAL; the rest of the energy in the HCAL."""
    rng, n = deposits.rng, len(p.pt)
    impact = _impact(p, HADRON_DEPTH)
    kinetic = p.energy - mass
    interacts = rng.random(n) < HADRON_INTERACTS
    early = rng.beta(1.1, 1.7, n) * kinetic
    ionising = np.minimum(MIP_ENERGY * np.exp(0.25 * rng.standard_normal(n)), kinetic)
    ionising = np.where(p.charge != 0, ionising, 0.0)
    spent = np.where(interacts, early, ionising)
    seen = np.where(interacts, early * HADRON_ECAL_RESPONSE, ionising)
    profile = np.where(interacts, profiles.HADRON, profiles.MIP)
    deposits.ecal(p.event, impact, seen, profile)
    # the response to hadrons rises with energy: the electromagnetic part of the shower grows
    response = np.clip(0.40 + 0.11 * np.log(np.maximum(kinetic, 0.3)), 0.1, 0.95)
    behind = np.maximum(kinetic - spent, 0) * response
    behind += rng.standard_normal(n) * 0.8 * np.sqrt(behind)
    deposits.hbhe.append(tower_cells(p.event, impact, behind, 1, rng))


def _muons(p: _Particles, deposits: _Deposits) -> None:
    rng, n = deposits.rng, len(p.pt)
    impact = _impact(p, HADRON_DEPTH)
    ionising = np.minimum(MIP_ENERGY * np.exp(0.25 * rng.standard_normal(n)), p.energy)
    deposits.ecal(p.event, impact, ionising, np.full(n, profiles.MIP))
    in_hcal = np.minimum(MUON_HCAL, np.maximum(p.energy - 1.0, 0))
    deposits.hbhe.append(tower_cells(p.event, impact, in_hcal, 1, rng))
