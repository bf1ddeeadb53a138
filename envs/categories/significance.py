"""Expected significance of a search for H→γγ in categories, from their contents alone.

Signal and background are weighted to the yields that one expects. In each category the signal is
counted in bins of 1 GeV, and the background's density there follows from an exponential with the
category's number and mean mass of background events over 100-180 GeV: a fit to all of them, as an
experiment would make, and not a count of the few simulated ones under the peak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
IntArray = NDArray[np.int64]

MASS_RANGE = (100.0, 180.0)  # GeV, of the background
SIGNAL_EDGES = np.arange(115.0, 136.0)  # GeV
_WIDTH = MASS_RANGE[1] - MASS_RANGE[0]
_CENTRES = (SIGNAL_EDGES[:-1] + SIGNAL_EDGES[1:]) / 2 - MASS_RANGE[0]
_RATES = np.linspace(-0.08, 0.4, 2401)  # 1/GeV
_TINY = 1e-12


def _mean_of_rate(rate: Floats) -> Floats:
    """Mean of x - 100 GeV of an exponential with that rate, cut off at 180 GeV."""
    t = np.where(np.abs(rate) < 1e-6, 1e-6, rate) * _WIDTH
    return _WIDTH * (1 / t - 1 / np.expm1(t))


_MEANS = _mean_of_rate(_RATES)  # falls with the rate


@dataclass(frozen=True)
class Contents:
    """What categories hold; every array may have further axes in front.

    Attributes
    ----------
    signal
        (..., 20) expected signal events per GeV bin.
    background
        (...,) expected background events at 100-180 GeV.
    mass_sum
        (...,) their summed masses above 100 GeV, GeV.
    simulated
        (...,) simulated background events behind them.
    """

    signal: Floats
    background: Floats
    mass_sum: Floats
    simulated: Floats

    def merged(self) -> Contents:
        """All categories (the last axis) as one."""
        return Contents(
            self.signal.sum(axis=-2),
            self.background.sum(axis=-1),
            self.mass_sum.sum(axis=-1),
            self.simulated.sum(axis=-1),
        )


def fill(
    category: IntArray,
    n_categories: int,
    mass: Floats,
    is_signal: NDArray[np.bool_],
    weight: Floats,
) -> Contents:
    """Contents of `n_categories` categories; events of category -1 are not accepted.

    Parameters
    ----------
    category, mass, is_signal, weight
        (n,) category, diphoton mass (GeV), class, and expected events that an event stands for.
    """
    signal = np.zeros((n_categories, len(SIGNAL_EDGES) - 1))
    chosen, place = signal_bins(mass, is_signal & (category >= 0))
    np.add.at(signal, (category[chosen], place), weight[chosen])
    smooth = in_range(mass) & ~is_signal & (category >= 0)
    where, w = category[smooth], weight[smooth]

    def total(values: Floats) -> Floats:
        return np.bincount(where, values, minlength=n_categories).astype(np.float64)

    above = mass[smooth] - MASS_RANGE[0]
    return Contents(signal, total(w), total(w * above), total((w > 0).astype(np.float64)))


def in_range(mass: Floats) -> NDArray[np.bool_]:
    """Whether events take part as background."""
    return (mass > MASS_RANGE[0]) & (mass < MASS_RANGE[1])


def signal_bins(mass: Floats, chosen: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """Rows of the chosen events within the signal's bins, and their bins."""
    rows = np.flatnonzero(chosen & (mass >= SIGNAL_EDGES[0]) & (mass < SIGNAL_EDGES[-1]))
    return rows, np.searchsorted(SIGNAL_EDGES, mass[rows], side="right") - 1


def background_bins(contents: Contents) -> Floats:
    """(..., 20) expected background in the signal's bins, of the exponential with their mean mass.

    The mean determines an exponential's maximum-likelihood rate.
    """
    mean = contents.mass_sum / np.maximum(contents.background, _TINY)
    rate = np.interp(-mean, -_MEANS, _RATES)[..., None]
    rate = np.where(np.abs(rate) < 1e-6, 1e-6, rate)
    density = rate * np.exp(-rate * _CENTRES) / -np.expm1(-rate * _WIDTH)
    return contents.background[..., None] * density


def asimov(signal: Floats, background: Floats) -> Floats:
    """Squared expected significance of a count: 2 ((s + b) ln(1 + s / b) - s).

    Cowan, Cranmer, Gross and Vitells, Eur. Phys. J. C 71 (2011) 1554, equation 97, squared.
    """
    b = np.maximum(background, _TINY)
    return 2 * ((signal + b) * np.log1p(signal / b) - signal)


def squared(contents: Contents, least: float) -> Floats:
    """(...,) squared significance of each category; 0 where the background is not known.

    Parameters
    ----------
    least
        Simulated background events below which nothing can be said of a category.
    """
    value = asimov(contents.signal, background_bins(contents)).sum(axis=-1)
    return np.where(contents.simulated >= least, value, 0.0)


def significance(contents: Contents, least: float) -> Floats:
    """(...) significance of all categories (the last axis) together, summed in quadrature."""
    return np.sqrt(squared(contents, least).sum(axis=-1))
