"""Figures of merit of refined photons and masses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.metrics import ONE_SIGMA, relative_sigma_eff

Floats = NDArray[np.float64]

HIGGS_MASS = 125.0
_FIT_RANGE = (104.0, 156.0)
_BLIND = (120.0, 130.0)
_BIN = 2.0
_MATCHED = 0.1  # |m / m_true - 1| of pairs in the slope


def gain_share(standard: Floats, peer: Floats, method: Floats) -> float:
    """Part of the peer's gain in relative sigma_eff over the standard that a method earns."""
    before = relative_sigma_eff(standard)
    return (before - relative_sigma_eff(method)) / (before - relative_sigma_eff(peer))


def peak_shift(mass: Floats) -> float:
    """Median of m / 125 GeV - 1 of Higgs events, per cent."""
    return 100 * (float(np.median(mass)) / HIGGS_MASS - 1)


def bump(mass: Floats) -> float:
    """Excess of a smooth background at 120-130 GeV over its sidebands, per cent.

    The sidebands, 104-120 and 130-156 GeV, are described by a parabola; NaN where it is not
    positive (too few events).
    """
    edges = np.arange(_FIT_RANGE[0], _FIT_RANGE[1] + _BIN / 2, _BIN)
    counts, _ = np.histogram(mass, edges)
    x = (edges[:-1] + edges[1:]) / 2 - HIGGS_MASS
    blind = (edges[:-1] >= _BLIND[0]) & (edges[1:] <= _BLIND[1])
    expected = np.polyval(np.polyfit(x[~blind], counts[~blind], 2), x[blind]).sum()
    if expected <= 0:
        return float("nan")
    return 100 * (float(counts[blind].sum()) / float(expected) - 1)


def slope(mass: Floats, true_mass: Floats) -> float:
    """Change of m / m_true over 10 GeV of m_true on a smooth background, per cent.

    A method that pulls masses towards one value has a negative slope. NaN for fewer than three
    events.
    """
    ratio = mass / true_mass
    used = (true_mass > _FIT_RANGE[0]) & (true_mass < _FIT_RANGE[1])
    used &= np.abs(ratio - 1) < _MATCHED
    if np.count_nonzero(used) < 3:
        return float("nan")
    return 1000 * float(np.polyfit(true_mass[used], ratio[used], 1)[0])


def signal_window(mass: Floats) -> tuple[float, float]:
    """Narrowest interval that holds 68.3 per cent of the signal."""
    ordered = np.sort(mass)
    count = int(np.ceil(ONE_SIGMA * len(ordered)))
    first = int(np.argmin(ordered[count - 1 :] - ordered[: len(ordered) - count + 1]))
    return float(ordered[first]), float(ordered[first + count - 1])


def significance(signal: Floats, background: Floats) -> float:
    """S / sqrt(B) in the signal's window, both samples as large as they are."""
    low, high = signal_window(signal)
    inside = np.count_nonzero((background >= low) & (background <= high))
    return ONE_SIGMA * len(signal) / max(float(inside), 1.0) ** 0.5
