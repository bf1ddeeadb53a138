"""Showers to cells: ECAL crystals with their fluctuations, and HCAL towers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import EE_VALID, eb_uv, hbhe_cell
from data.detector.helix import BARREL, ENDCAP, Impact
from data.simulation import profiles
from data.simulation.imperfections import RESPONSE, gap_transmission
from data.simulation.profiles import Cells, join

FloatArray = NDArray[np.float64]

#: Scale of the ECAL: the H -> gamma gamma peak of the standard reconstruction is at 125.0 GeV.
ECAL_SCALE = 1.0143
STOCHASTIC_EB, CONSTANT_EB = 0.028, 0.007  # per crystal, energy in GeV
STOCHASTIC_EE, CONSTANT_EE = 0.03, 0.01
CELL_FLOOR_EB, CELL_FLOOR_EE = 0.002, 0.004  # GeV
MIN_SHOWER = 0.01  # GeV
EE_PITCH = 2.98  # cm

HCAL_SPREAD = 0.04  # of the pieces of a hadron shower, in eta and phi
COARSE_HCAL_ROW = 20  # towers beyond are 10 degrees wide: half the energy in each column


def _fluctuate(
    energy: NDArray[np.float32], stochastic: float, constant: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    sigma = np.sqrt(stochastic**2 * energy + (constant * energy) ** 2)
    return energy + rng.standard_normal(len(energy), dtype=np.float32) * sigma


def barrel_cells(
    event: NDArray[np.int64],
    impact: Impact,
    energy: FloatArray,
    profile: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[Cells, NDArray[np.int64]]:
    """Noise-free barrel crystals of showers, and which shower each is of.

    Showers outside the barrel are skipped.
    """
    keep = np.flatnonzero((impact.region == BARREL) & (energy > MIN_SHOWER))
    u, v = eb_uv(impact.eta[keep], impact.phi[keep])
    u = np.clip(u, 0, 169.999)
    seen = energy[keep] * ECAL_SCALE * gap_transmission(u, v)
    shower, row, column, deposit = profiles.spread(
        profiles.BARREL, profile[keep], u, v, seen, CELL_FLOOR_EB
    )
    inside = (row >= 0) & (row < 170)
    shower, deposit = shower[inside], deposit[inside]
    cell = row[inside] * 360 + column[inside] % 360
    deposit = _fluctuate(deposit, STOCHASTIC_EB, CONSTANT_EB, rng) * RESPONSE[cell]
    shower = keep[shower]
    return Cells(event[shower], cell, deposit), shower


def endcap_cells(
    event: NDArray[np.int64],
    impact: Impact,
    energy: FloatArray,
    profile: NDArray[np.int64],
    rng: np.random.Generator,
) -> Cells:
    """Noise-free endcap crystals of showers."""
    keep = (impact.region == ENDCAP) & (energy > MIN_SHOWER)
    radius, phi = impact.radius[keep], impact.phi[keep]
    x = radius * np.cos(phi) / EE_PITCH + 50
    y = radius * np.sin(phi) / EE_PITCH + 50
    shower, ix, iy, deposit = profiles.spread(
        profiles.ENDCAP, profile[keep], x, y, energy[keep] * ECAL_SCALE, CELL_FLOOR_EE
    )
    inside = (ix >= 0) & (ix < 100) & (iy >= 0) & (iy < 100)
    inside[inside] = EE_VALID[iy[inside], ix[inside]]
    shower = shower[inside]
    side = (impact.side[keep][shower] > 0).astype(np.int64)
    cell = side * 10000 + iy[inside] * 100 + ix[inside]
    deposit = _fluctuate(deposit[inside], STOCHASTIC_EE, CONSTANT_EE, rng)
    return Cells(event[keep][shower], cell, deposit)


def tower_cells(
    event: NDArray[np.int64],
    impact: Impact,
    energy: FloatArray,
    split: int,
    rng: np.random.Generator,
) -> Cells:
    """HBHE towers of hadronic deposits, each in ``split`` pieces scattered round the impact."""
    keep = (impact.region >= 0) & (energy > 0.02)
    event, energy = np.repeat(event[keep], split), np.repeat(energy[keep], split) / split
    width = HCAL_SPREAD
    eta = np.repeat(impact.eta[keep], split) + width * rng.standard_normal(len(energy))
    phi = np.repeat(impact.phi[keep], split) + width * rng.standard_normal(len(energy))
    cell = hbhe_cell(eta, phi)
    inside = cell >= 0
    event, cell, energy = event[inside], cell[inside], energy[inside]
    return _halve_wide_towers(Cells(event, cell, energy.astype(np.float32)))


def _halve_wide_towers(cells: Cells) -> Cells:
    """Towers 10 degrees wide fill two columns with half the energy each."""
    row, column = cells.cell // 72, cells.cell % 72
    wide = (row < 28 - COARSE_HCAL_ROW) | (row >= 28 + COARSE_HCAL_ROW)
    half = (cells.energy[wide] / 2).astype(np.float32)
    # iphi 1-2, 3-4 ... share a tower: columns 2-3, 4-5 ..., so the partner differs in bit 0
    partner = row[wide] * 72 + (column[wide] ^ 1)
    narrow = Cells(cells.event[~wide], cells.cell[~wide], cells.energy[~wide])
    return join(
        [
            narrow,
            Cells(cells.event[wide], cells.cell[wide], half),
            Cells(cells.event[wide], partner, half),
        ]
    )


def merge(cells: Cells, n_cells: int, floor: float) -> Cells:
    """Sum repeated cells, drop sums below ``floor`` GeV, and sort by event and cell."""
    key, inverse = np.unique(cells.event * n_cells + cells.cell, return_inverse=True)
    energy = np.bincount(inverse, weights=cells.energy, minlength=len(key)).astype(np.float32)
    keep = energy > floor
    return Cells(key[keep] // n_cells, key[keep] % n_cells, energy[keep])
