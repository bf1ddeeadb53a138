"""What categories of predicted mass resolution are worth, and what they do to the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import relative_sigma_eff, with_error
from envs.categories.significance import Contents, fill, significance
from rl.evaluation import statistics
from rl.evaluation.pairs import Floats

IntArray = NDArray[np.int64]
HIGGS = 1
_R9, _ETA = 0.94, 1.0

#: Categories (n,) and how many there are, from events.
Scheme = Callable[["MassEvents"], tuple[IntArray, int]]


@dataclass(frozen=True)
class MassEvents:
    """m events with two photons.

    Attributes
    ----------
    mass, true_mass
        (m,) GeV; the true one NaN where unknown, read by metrics only.
    label, group
        (m,) class and parton event.
    weight
        (m,) expected events that an event stands for.
    r9, abs_eta
        (m,) lower R9 and larger |eta| of the two photons.
    resolution
        Method to (m,) predicted sigma_m / m.
    """

    mass: Floats
    true_mass: Floats
    label: IntArray
    group: IntArray
    weight: Floats
    r9: Floats
    abs_eta: Floats
    resolution: Mapping[str, Floats]

    @property
    def is_signal(self) -> NDArray[np.bool_]:
        """(m,) H→γγ."""
        return self.label == HIGGS


def inclusive(events: MassEvents) -> tuple[IntArray, int]:
    """One category."""
    return np.zeros(len(events.mass), dtype=np.int64), 1


def r9_and_eta(events: MassEvents) -> tuple[IntArray, int]:
    """Four: both photons of high R9 or not, both central or not, as in cut-based analyses."""
    wide = (events.r9 < _R9).astype(np.int64)
    return 2 * wide + (events.abs_eta > _ETA), 4


def by_resolution(method: str, n_categories: int) -> Scheme:
    """Categories that hold equal parts of the signal, by a predicted resolution."""

    def scheme(events: MassEvents) -> tuple[IntArray, int]:
        value = events.resolution[method]
        parts = np.linspace(0, 1, n_categories + 1)[1:-1]
        return np.searchsorted(np.quantile(value[events.is_signal], parts), value), n_categories

    return scheme


def gains(events: MassEvents, schemes: Mapping[str, Scheme], replicas: int) -> dict[str, Any]:
    """Significance of each scheme over the inclusive one's, errors by a paired bootstrap.

    Parameters
    ----------
    schemes
        By name; `inclusive` and `r9_eta` are what the others are compared with.
    """
    categories = {name: scheme(events) for name, scheme in schemes.items()}
    _, group = np.unique(events.group, return_inverse=True)
    rng = np.random.default_rng(0)

    def values(weight: Floats) -> dict[str, float]:
        return {
            name: float(significance(_contents(events, found, n, weight)))
            for name, (found, n) in categories.items()
        }

    value = values(events.weight)
    drawn = [
        values(events.weight * rng.poisson(1.0, group.max() + 1)[group]) for _ in range(replicas)
    ]
    return {
        name: {
            "significance": value[name],
            **{
                f"over_{other}": {
                    "value": _ratio(value[name], value[other]),
                    "error": float(np.std([_ratio(d[name], d[other]) for d in drawn], ddof=1)),
                }
                for other in ("inclusive", "r9_eta")
            },
        }
        for name in schemes
    }


def sculpting(events: MassEvents, scheme: Scheme, replicas: int) -> list[dict[str, Any]]:
    """Per category: resolution, share of the signal, and the background's bump and slope."""
    category, n_categories = scheme(events)
    rows = []
    for k in range(n_categories):
        signal = events.is_signal & (category == k)
        smooth = np.flatnonzero(~events.is_signal & (category == k))
        known = smooth[np.isfinite(events.true_mass[smooth])]
        rows.append(
            {
                "signal_share": float(
                    events.weight[signal].sum() / events.weight[events.is_signal].sum()
                ),
                "sigma_eff": 100 * relative_sigma_eff(events.mass[signal]),
                "bump": with_error(statistics.bump, events.mass[smooth], n=replicas)._asdict(),
                "slope": with_error(
                    statistics.slope, events.mass[known], events.true_mass[known], n=replicas
                )._asdict(),
                "background": len(smooth),
            }
        )
    return rows


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else float("nan")


def _contents(events: MassEvents, category: IntArray, n: int, weight: Floats) -> Contents:
    return fill(category, n, events.mass, events.is_signal, weight)
