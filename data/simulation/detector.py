"""From particle lists to reconstructed events: one call for a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits, concatenate_hits
from data.detector.geometry import N_EB, N_ECAL, ecal_cell
from data.reconstruction import Clusters, find_photons
from data.simulation import vertices
from data.simulation.conditions import NOMINAL, Detector
from data.simulation.imperfections import DEAD
from data.simulation.jets import Jets, find_jets
from data.simulation.overlay import Overlay
from data.simulation.particles import ParticleLists
from data.simulation.pileup import UNDERLYING_EVENTS, VERTEX_SPREAD, MinimumBiasLibrary
from data.simulation.profiles import join
from data.simulation.readout import read_barrel, read_endcap, read_hcal, total_energy
from data.simulation.response import Response, simulate_response
from data.simulation.shower_profile import ShowerRecord
from data.simulation.tracks import Tracks
from data.simulation.truth import (
    TrueCrystals,
    TruePhotons,
    prompt_shares,
    read_out,
    true_photons,
)
from data.simulation.vertices import track_sums

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SEED_MATCH_ETA, SEED_MATCH_PHI, SEED_MATCH_PT = 0.03, 0.1, 0.3


@dataclass
class SimulatedEvents:
    """N events as the detector delivers them, with their truth.

    ``photons`` are the standard photons, ``pixel_seed`` (M,) goes with them; ``vertex_z`` is of
    the vertex that they are seen from, ``true_z`` of the hard interaction.
    """

    hits: dict[str, Hits]
    photons: Clusters
    pixel_seed: NDArray[np.bool_]
    vertex_z: FloatArray
    true_z: FloatArray
    n_vertices: IntArray
    n_pileup: IntArray
    group: IntArray
    n_prompt: NDArray[np.int32]
    truth: TruePhotons
    crystals: TrueCrystals
    jets: Jets

    def __len__(self) -> int:
        return len(self.vertex_z)


def select_events(parts: list[tuple[SimulatedEvents, NDArray[np.bool_]]]) -> SimulatedEvents:
    """Join the events of several batches for which their mask (N,) is true."""
    batches = [_selected(events, keep) for events, keep in parts]
    shifts = np.cumsum([0] + [len(b) for b in batches])

    def flat(name: str) -> dict[str, NDArray]:
        rows = [getattr(b, name) for b in batches]
        columns = {f: np.concatenate([getattr(r, f) for r in rows]) for f in vars(rows[0])}
        columns["event"] = np.concatenate(
            [r.event + shift for r, shift in zip(rows, shifts[:-1], strict=True)]
        )
        return columns

    def column(name: str) -> NDArray:
        return np.concatenate([getattr(b, name) for b in batches])

    return SimulatedEvents(
        hits={c: concatenate_hits([b.hits[c] for b in batches]) for c in batches[0].hits},
        photons=Clusters(**flat("photons")),
        truth=TruePhotons(**flat("truth")),
        crystals=TrueCrystals(**flat("crystals")),
        jets=Jets(**flat("jets")),
        **{name: column(name) for name in ("pixel_seed", *_PER_EVENT)},
    )


def _selected(events: SimulatedEvents, keep: NDArray[np.bool_]) -> SimulatedEvents:
    new_index = np.cumsum(keep) - 1

    def flat(rows: Clusters | TruePhotons | TrueCrystals | Jets) -> dict[str, NDArray]:
        kept = keep[rows.event]
        columns = {name: values[kept] for name, values in vars(rows).items()}
        columns["event"] = new_index[columns["event"]]
        return columns

    return SimulatedEvents(
        hits={name: hits.select(keep) for name, hits in events.hits.items()},
        photons=Clusters(**flat(events.photons)),
        pixel_seed=events.pixel_seed[keep[events.photons.event]],
        truth=TruePhotons(**flat(events.truth)),
        crystals=TrueCrystals(**flat(events.crystals)),
        jets=Jets(**flat(events.jets)),
        **{name: getattr(events, name)[keep] for name in _PER_EVENT},
    )


_PER_EVENT = ("vertex_z", "true_z", "n_vertices", "n_pileup", "group", "n_prompt")


def simulate_events(
    lists: ParticleLists,
    library: MinimumBiasLibrary,
    pileup: float,
    rng: np.random.Generator,
    vertex_z: FloatArray | None = None,
    *,
    choose: bool = True,
    record: ShowerRecord | None = None,
    detector: Detector = NOMINAL,
    barrel_only: bool = False,
) -> SimulatedEvents:
    """Simulate N events with their pile-up and reconstruct the standard photons.

    Parameters
    ----------
    lists : the hard events
    library : minimum-bias events, simulated with the detector's material
    pileup : mean number of further interactions (Poisson) of every crossing
    rng : random numbers
    vertex_z : (N,) in cm, drawn when absent
    choose : whether photons are seen from the vertex chosen by its tracks, or from the true one
    record : where prompt photons' showers are noted down, if wanted
    detector : its conditions
    barrel_only : leave out the hits of endcaps and tracks, which barrel photons do not need; the
        rest comes out with other random numbers
    """
    n = len(lists)
    if vertex_z is None:
        vertex_z = rng.normal(0, VERTEX_SPREAD, n)
    response = simulate_response(lists, vertex_z, rng, record, detector.material)
    n_pileup = rng.poisson(pileup, n)
    overlay = library.draw(n_pileup, rng)
    hits, crystals = _read_out(response, library, overlay, pileup, rng, detector, barrel_only)
    found = vertices.reconstruct(
        track_sums(lists, rng), vertex_z, library.sums, library.vertex_z, overlay,
        UNDERLYING_EVENTS, rng,
    )  # fmt: skip
    seen_from = vertex_z
    if choose:
        photons = find_photons(hits["EB"], hits["HBHE"], np.zeros(n))
        seen_from = vertices.choose(found, photons, n)
    photons = find_photons(hits["EB"], hits["HBHE"], seen_from)
    return SimulatedEvents(
        hits=hits,
        photons=photons,
        pixel_seed=_has_pixel_seed(photons, response.pixel_seeds, n),
        vertex_z=seen_from,
        true_z=vertex_z,
        n_vertices=np.bincount(found.event, minlength=n),
        n_pileup=n_pileup,
        group=lists.group,
        n_prompt=lists.n_prompt,
        truth=true_photons(lists, vertex_z, response.converted),
        crystals=crystals,
        jets=find_jets(lists, hits, vertex_z),
    )


def _read_out(
    response: Response,
    library: MinimumBiasLibrary,
    overlay: Overlay,
    pileup: float,
    rng: np.random.Generator,
    detector: Detector,
    barrel_only: bool,
) -> tuple[dict[str, Hits], TrueCrystals]:
    """Hits of a batch with its pile-up in and out of time, and prompt photons' crystals."""
    n = response.n_events
    around = library.out_of_time(pileup)
    crossing = around.draw(n, rng)
    energy = total_energy(
        join([response.eb, library.eb_cells(overlay), around.eb_cells(crossing)]), n, N_EB
    )
    crystals = prompt_shares(response.prompt_eb, energy)
    if (factor := detector.response) is not None:
        energy.reshape(n, N_EB)[:] *= factor
    eb = read_barrel(energy, DEAD, rng, detector.noise)
    ee = tracks = Hits.empty(n)
    if not barrel_only:
        ee = read_endcap(
            join([response.ee, library.ee_cells(overlay), around.ee_cells(crossing)]), n, rng
        )
        tracks = _track_hits([response.tracks, library.overlaid_tracks(overlay)], n)
    left, largest = around.hbhe_cells(crossing)
    hbhe = read_hcal(join([response.hbhe, library.hbhe_cells(overlay), left]), largest, n, rng)
    return {"EB": eb, "EE": ee, "HBHE": hbhe, "TRK": tracks}, read_out(crystals, eb)


def _track_hits(parts: list[Tracks], n_events: int) -> Hits:
    """Tracks binned in the stitched ECAL image at their direction at the vertex, pt summed."""
    event = np.concatenate([t.event for t in parts])
    cell = ecal_cell(np.concatenate([t.eta for t in parts]), np.concatenate([t.phi for t in parts]))
    pt = np.concatenate([t.pt for t in parts])
    key, inverse = np.unique(event * N_ECAL + cell, return_inverse=True)
    total = np.bincount(inverse, weights=pt, minlength=len(key)).astype(np.float32)
    offsets = np.searchsorted(key, np.arange(n_events + 1) * N_ECAL).astype(np.int64)
    return Hits(offsets, (key % N_ECAL).astype(np.uint32), total)


def _has_pixel_seed(photons: Clusters, seeds: Tracks, n_events: int) -> NDArray[np.bool_]:
    """Whether an electron or early conversion points at the photon and carries its momentum."""
    order = np.argsort(seeds.event, kind="stable")
    first = np.searchsorted(seeds.event[order], np.arange(n_events + 1))
    count = np.diff(first)[photons.event]
    photon = np.repeat(np.arange(len(count)), count)
    start = np.cumsum(count) - count
    seed = order[np.arange(count.sum()) + np.repeat(first[photons.event] - start, count)]
    dphi = (seeds.phi[seed] - photons.phi[photon] + np.pi) % (2 * np.pi) - np.pi
    match = (
        (np.abs(seeds.eta[seed] - photons.eta[photon]) < SEED_MATCH_ETA)
        & (np.abs(dphi) < SEED_MATCH_PHI)
        & (seeds.pt[seed] > SEED_MATCH_PT * photons.pt[photon])
    )
    return np.bincount(photon[match], minlength=len(count)) > 0
