"""Expected significance of a search for H→γγ in categories, from their contents alone.

Signal and background are weighted to the yields that one expects. In each category the signal is
counted in bins of 1 GeV, and the background's density there follows from an exponential with the
category's number and mean mass of background events over 100-180 GeV: a fit to all of them, as an
experiment would make, and not a count of the few simulated ones under the peak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    typical
        (..., 2) weight of a simulated background event, and mass above 100 GeV: means of the whole
        sample that the categories are cut from, the same for all of them.
    """

    signal: Floats
    background: Floats
    mass_sum: Floats
    simulated: Floats
    typical: Floats


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
    smooth = in_range(mass) & ~is_signal
    typical = typical_event(
        weight[smooth].sum(), weight[smooth] @ mass[smooth], np.count_nonzero(weight[smooth])
    )
    smooth &= category >= 0
    where, w = category[smooth], weight[smooth]

    def total(values: Floats) -> Floats:
        return np.bincount(where, values, minlength=n_categories).astype(np.float64)

    above = mass[smooth] - MASS_RANGE[0]
    simulated = total((w > 0).astype(np.float64))
    return Contents(signal, total(w), total(w * above), simulated, typical)


def typical_event(weight: Any, weighted_mass: Any, simulated: Any) -> Floats:
    """(..., 2) mean weight, and mean mass above 100 GeV, from sums over background events."""
    weight = np.asarray(weight, dtype=np.float64)
    mean = weighted_mass / np.maximum(weight, _TINY)
    return np.stack([weight / np.maximum(simulated, 1.0), mean - MASS_RANGE[0]], axis=-1)


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
    return np.maximum(2 * ((signal + b) * np.log1p(signal / b) - signal), 0.0)


def cautious(contents: Contents) -> Contents:
    """The same with each category's background raised to its upper limit at 84 %.

    n simulated events count as n + sqrt(n + 3/4) + 1 (Gehrels, Astrophys. J. 303 (1986) 336,
    equation 7), the added ones being typical of the sample: where the simulation has no
    background, an experiment would have some, and edges must not be drawn round the few events
    there are.
    """
    n = contents.simulated
    unit, mean = contents.typical[..., 0], contents.typical[..., 1]
    weight = np.where(n > 0, contents.background / np.maximum(n, 1.0), unit)
    added = weight * (np.sqrt(n + 0.75) + 1)
    return Contents(
        contents.signal,
        contents.background + added,
        contents.mass_sum + added * mean,
        n,
        contents.typical,
    )


def squared(contents: Contents) -> Floats:
    """(..., c) squared significance of each of c categories, with cautious backgrounds."""
    known = cautious(contents)
    return asimov(known.signal, background_bins(known)).sum(axis=-1)


def significance(contents: Contents) -> Floats:
    """(...) significance of all categories (the last axis) together, summed in quadrature."""
    return np.sqrt(squared(contents).sum(axis=-1))
