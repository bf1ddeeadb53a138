"""Pile-up: a library of simulated minimum-bias events overlaid on hard events.

Two library events stand at the hard vertex in place of multiparton interactions; the others are
interactions of the same crossing, and `out_of_time` adds those of the crossings before and after.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import N_EB, N_EE, N_HBHE
from data.simulation import overlay as overlays
from data.simulation.calorimeter import merge
from data.simulation.out_of_time import OutOfTime
from data.simulation.overlay import Overlay, Rows
from data.simulation.particles import ParticleLists
from data.simulation.profiles import Cells
from data.simulation.response import simulate_response
from data.simulation.tracks import Tracks
from data.simulation.vertices import TrackSums, track_sums

IntArray = NDArray[np.int64]

VERTEX_SPREAD = 5.0  # cm, along the beam
UNDERLYING_EVENTS = 2
LIBRARY_FLOOR, ENDCAP_FLOOR = 0.003, 0.010  # GeV


@dataclass
class MinimumBiasLibrary:
    """Noise-free minimum-bias events, ready to be overlaid.

    vertex_z : (size,) in cm
    sums : of their tracks
    """

    size: int
    eb: Rows
    ee: Rows
    hbhe: Rows
    tracks: Rows
    vertex_z: NDArray[np.float64]
    sums: TrackSums
    _out_of_time: dict[float, OutOfTime] = field(default_factory=dict)

    @classmethod
    def simulate(
        cls, lists: ParticleLists, rng: np.random.Generator, material: float = 1.0
    ) -> MinimumBiasLibrary:
        """Run the detector, with a factor on its material, on minimum-bias particle lists."""
        n = len(lists)
        vertex_z = rng.normal(0, VERTEX_SPREAD, n)
        response = simulate_response(lists, vertex_z, rng, material=material)

        def rows(cells: Cells, n_cells: int, width: int, floor: float = LIBRARY_FLOOR) -> Rows:
            m = merge(cells, n_cells, floor)
            return Rows.of_cells(m.event, m.cell, n, width, m.energy)

        t = response.tracks
        return cls(
            size=n,
            eb=rows(response.eb, N_EB, 360),
            ee=rows(response.ee, N_EE, 100, ENDCAP_FLOOR),
            hbhe=rows(response.hbhe, N_HBHE, 72),
            tracks=Rows.build(t.event, n, t.pt, t.eta, t.phi),
            vertex_z=vertex_z,
            sums=track_sums(lists, rng),
        )

    def draw(self, n_pileup: IntArray, rng: np.random.Generator) -> Overlay:
        """Library events for events with ``n_pileup`` (N,) interactions beside the hard one.

        The first two of each event stand at the hard vertex.
        """
        return Overlay.draw(n_pileup + UNDERLYING_EVENTS, self.size, rng)

    def out_of_time(self, pileup: float) -> OutOfTime:
        """Crossings before and after, with ``pileup`` interactions each on average."""
        if pileup not in self._out_of_time:
            self._out_of_time[pileup] = OutOfTime.build(self.eb, self.ee, self.hbhe, pileup)
        return self._out_of_time[pileup]

    def eb_cells(self, overlay: Overlay) -> Cells:
        """Overlaid barrel crystals."""
        return overlays.barrel(self.eb, overlay)

    def hbhe_cells(self, overlay: Overlay) -> Cells:
        """Overlaid HBHE towers."""
        return overlays.towers(self.hbhe, overlay)[0]

    def ee_cells(self, overlay: Overlay) -> Cells:
        """Overlaid endcap crystals."""
        return overlays.endcaps(self.ee, overlay)

    def overlaid_tracks(self, overlay: Overlay) -> Tracks:
        """Overlaid tracks."""
        which, (pt, eta, phi) = self.tracks.gather(overlay.index)
        eta = np.where(overlay.flip[which], -eta, eta)
        return Tracks(overlay.event[which], pt, eta, phi + overlay.angle[which])
