"""Out-of-time pile-up: interactions of the crossings 50 ns apart (2012) before and after.

ECAL.  A crystal's amplitude in 2012 was a weighted sum of its ten samples, 25 ns apart: three
before the pulse and five on it (arXiv:2006.14359, section 4.1).  Here the weights are those of
least noise that give 1 for a pulse in time and 0 for a constant.  A pulse of another crossing then
counts with its own weight: late ones and the last early one are added, earlier ones, on whose
tails the first three samples lie, are taken off.  The pulse is CMS's alpha-beta function with its
reconstruction's public parameters.

HCAL.  The energy is the sum of two samples, and what a pulse leaves in them 50 ns later is an
assumption (12 %), as is that a tower is read out too when the crossing before or after would have
been: data hold many lone towers of 0.1-0.6 GeV, far from any energetic one.

Crossings are drawn once into a library of their sums: an overlay costs as little as one event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import N_EB, N_EE, N_HBHE
from data.simulation import overlay as overlays
from data.simulation.overlay import Overlay, Rows
from data.simulation.profiles import Cells

FloatArray = NDArray[np.float64]

SPACING = 2  # samples of 25 ns between crossings
CROSSINGS = (-6, -5, -4, -3, -2, -1, 1, 2)
PULSE_EB, PULSE_EE = (1.138, 1.655), (1.890, 1.400)  # alpha; beta in samples
SAMPLES = np.array([-5, -4, -3, -1, 0, 1, 2, 3])  # from the peak
HCAL_WEIGHTS = {-2: 0.08, -1: 0.22, 1: 0.25, 2: 0.03}
HCAL_READ_OUT = 0.7  # GeV, below which another crossing's tower cannot pass the threshold

LIBRARY = 64  # sums of crossings, each turned and reflected at every use
FLOOR_EB, FLOOR_EE = 0.06, 0.2  # GeV; smaller sums are within what is called noise
_STREAM = 50


def pulse(samples: FloatArray, shape: tuple[float, float]) -> FloatArray:
    """Height of a pulse ``samples`` after its peak, 1 at the peak."""
    alpha, beta = shape
    rise = np.maximum(1 + samples / (alpha * beta), 0)
    return rise**alpha * np.exp(-samples / beta)


def ecal_weights(shape: tuple[float, float]) -> dict[int, float]:
    """Part of a deposit of each crossing in the amplitude of the crossing in time."""
    height = pulse(SAMPLES.astype(float), shape)
    # minimise the sum of squares with w . height = 1 and w . 1 = 0
    matrix = np.array([[height @ height, height.sum()], [height.sum(), len(SAMPLES)]])
    a, b = np.linalg.solve(matrix, [1.0, 0.0])
    weights = a * height + b
    return {k: float(weights @ pulse(SAMPLES - SPACING * k, shape)) for k in CROSSINGS}


@dataclass
class OutOfTime:
    """Sums of the crossings round one, of which each event gets one, turned and reflected.

    eb, ee : weighted energies
    hbhe : weighted energies, and the largest of any one crossing
    """

    size: int
    eb: Rows
    ee: Rows
    hbhe: Rows

    @classmethod
    def build(cls, eb: Rows, ee: Rows, hbhe: Rows, pileup: float) -> OutOfTime:
        """From a library of interactions; the same for the same library and pile-up."""
        rng = np.random.default_rng([_STREAM, round(1000 * pileup)])
        n = LIBRARY if pileup > 0 else 1
        overlay = {k: Overlay.draw(rng.poisson(pileup, n), len(eb.offsets) - 1, rng)
                   for k in CROSSINGS}  # fmt: skip
        return cls(
            size=n,
            eb=_weighted(eb, overlays.barrel, overlay, ecal_weights(PULSE_EB), n, N_EB, 360,
                         FLOOR_EB),
            ee=_weighted(ee, overlays.endcaps, overlay, ecal_weights(PULSE_EE), n, N_EE, 100,
                         FLOOR_EE),
            hbhe=_towers(hbhe, overlay, n),
        )  # fmt: skip

    def draw(self, n_events: int, rng: np.random.Generator) -> Overlay:
        """One sum of crossings for each event."""
        return Overlay.draw(np.ones(n_events, np.int64), self.size, rng)

    def eb_cells(self, overlay: Overlay) -> Cells:
        """Barrel crystals, energies of either sign."""
        return overlays.barrel(self.eb, overlay)

    def ee_cells(self, overlay: Overlay) -> Cells:
        """Endcap crystals, energies of either sign."""
        return overlays.endcaps(self.ee, overlay)

    def hbhe_cells(self, overlay: Overlay) -> tuple[Cells, Cells]:
        """Energies left in towers, and the largest energy of any one crossing there."""
        left, largest = overlays.towers(self.hbhe, overlay)
        return left, largest


def _weighted(
    library: Rows,
    place: Callable[[Rows, Overlay], Cells],
    overlay: dict[int, Overlay],
    weights: dict[int, float],
    n: int,
    n_cells: int,
    width: int,
    floor: float,
) -> Rows:
    total = np.zeros(n * n_cells)
    for crossing, some in overlay.items():
        cells = place(library, some)
        key = cells.event * n_cells + cells.cell
        total += weights[crossing] * np.bincount(key, cells.energy, len(total))
    key = np.flatnonzero(np.abs(total) > floor)
    energy = total[key].astype(np.float32)
    return Rows.of_cells(key // n_cells, key % n_cells, n, width, energy)


def _towers(library: Rows, overlay: dict[int, Overlay], n: int) -> Rows:
    left, largest = np.zeros(n * N_HBHE), np.zeros(n * N_HBHE)
    for crossing, weight in HCAL_WEIGHTS.items():
        cells = overlays.towers(library, overlay[crossing])[0]
        energy = np.bincount(cells.event * N_HBHE + cells.cell, cells.energy, len(left))
        left += weight * energy
        np.maximum(largest, energy, out=largest)
    key = np.flatnonzero(largest > HCAL_READ_OUT)
    columns = (left[key].astype(np.float32), largest[key].astype(np.float32))
    return Rows.of_cells(key // N_HBHE, key % N_HBHE, n, 72, *columns)
