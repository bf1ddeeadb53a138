"""Figures of merit of simulated events: where the mass peaks, and how often the vertex is right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.simulation.detector import SimulatedEvents
from data.simulation.writer import pair_columns

FloatArray = NDArray[np.float64]

PEAK_SHARE = 0.4  # of the events, in the interval whose mean is called the peak
RIGHT_VERTEX = 1.0  # cm


def peak(mass: FloatArray) -> float:
    """Mean of the narrowest interval that holds 40 % of the masses."""
    ordered = np.sort(mass)
    n = int(PEAK_SHARE * len(ordered))
    low = int(np.argmin(ordered[n:] - ordered[:-n]))
    return float(ordered[low : low + n].mean())


def vertex_efficiency(events: SimulatedEvents) -> float:
    """Share of the events with two photons whose chosen vertex is within 1 cm of the true one."""
    with_pair = pair_columns(events)["m0"] > 0
    return float(np.mean(np.abs(events.vertex_z - events.true_z)[with_pair] < RIGHT_VERTEX))
