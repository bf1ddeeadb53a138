"""From predicted resolutions and scores to events that can be put into categories."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError, InputError
from data.store import EventStore
from e2e.labels import DIPHOTON, GAMMA_JET, HIGGS, Labels
from e2e.low_level.regression import fold_of
from envs.categories.events import CategoryEvents
from envs.categories.significance import Floats
from rl.categories.config import CategoriseConfig
from rl.uncertainty.products import RESOLUTIONS, read_product

_TINY = 1e-9
_BINS = 200  # of pt/m


@dataclass(frozen=True)
class Inputs:
    """Events and all that a categorisation may see of them.

    Attributes
    ----------
    events
        n events.
    features
        (n, f) mass-blind: the score, the logarithm of the predicted resolution, and R9 and |eta|
        of both photons.
    """

    events: CategoryEvents
    features: Floats

    def take(self, rows: NDArray) -> Inputs:
        """The events of the given rows, or of a mask."""
        return Inputs(self.events.take(rows), self.features[rows])

    def shuffled(self, rng: np.random.Generator) -> Inputs:
        """Events that look like other events: nothing that is seen says anything any more."""
        order = rng.permutation(len(self.events))
        seen = self.events.take(order)
        events = replace(self.events, score=seen.score, resolution=seen.resolution)
        return Inputs(events, self.features[order])

    def halves(self, seed: int) -> tuple[Inputs, Inputs]:
        """Two halves by parton event, their yields doubled to be those of the whole."""
        half = fold_of(self.events.group, 2, seed)
        first, second = (self.take(np.flatnonzero(half == k)) for k in (0, 1))
        return first.doubled(), second.doubled()

    def doubled(self) -> Inputs:
        """The same events with twice their weight."""
        events = replace(self.events, weight=2 * self.events.weight)
        return Inputs(events, self.features)


def read_inputs(config: CategoriseConfig) -> Inputs:
    """Events that the classifier did not see, weighted to the expected yields.

    Raises
    ------
    InputError
        If the resolutions were not predicted for this store.
    ConfigError
        If there is no such method, or no event of a class.
    """
    path = config.resolutions / "resolutions.h5"
    columns, _ = read_product(path, RESOLUTIONS)
    if f"sigma_m/{config.method}" not in columns:
        raise ConfigError(f"{path}: no resolutions by {config.method}")
    with EventStore(config.store) as store:
        labels = Labels.read(store)
        if not np.array_equal(store.event("event"), columns["event/event"]):
            raise InputError(path, f"not of {config.store}", "run `uncertainty` on this store")
        pt = _pair_pt(store)
    used = (columns["event/unseen"] == 1) & np.isfinite(columns["m_gg"]) & ~labels.overlap
    weight = _expected(labels, used, config)
    if config.match_pt:
        rows = np.flatnonzero(used)
        ratio = pt[rows] / columns["m_gg"][rows]
        weight[rows] = matched(weight[rows], ratio, labels.label[rows] == HIGGS)
    resolution = columns[f"sigma_m/{config.method}"].astype(np.float64)
    scores = np.maximum(columns["scores"].astype(np.float64), _TINY)
    score = _score(scores, config)
    events = CategoryEvents(
        score=score,
        resolution=resolution,
        mass=columns["m_gg"].astype(np.float64),
        label=labels.label,
        weight=weight,
        group=labels.group,
    )
    features = np.column_stack(
        [
            score,
            np.log(resolution),
            columns["photons/r9"].astype(np.float64),
            np.abs(columns["photons/eta"].astype(np.float64)),
        ]
    )
    rows = np.flatnonzero(used)
    return Inputs(events.take(rows), features[rows])


def _score(scores: Floats, config: CategoriseConfig) -> Floats:
    """(N,) logarithm of a likelihood ratio.

    The classifier was trained on equal parts of all classes, so that its outputs (N, 3) are
    densities up to a common factor.
    """
    if config.score == "prompt":
        return np.log(scores[:, HIGGS] + scores[:, DIPHOTON]) - np.log(scores[:, GAMMA_JET])
    yields = np.array([config.diphoton_yield, config.gamma_jet_yield])
    background = scores[:, [DIPHOTON, GAMMA_JET]] @ (yields / yields.sum())
    return np.log(scores[:, HIGGS]) - np.log(background)


def matched(weight: Floats, value: Floats, is_signal: NDArray[np.bool_]) -> Floats:
    """(n,) weights with the signal's distribution of a value made that of the backgrounds.

    In bins that hold equal parts of the backgrounds; the signal keeps its yield.
    """
    edges = np.quantile(value[~is_signal], np.arange(1, _BINS) / _BINS)
    place = np.searchsorted(edges, value)
    signal, background = (
        np.bincount(place[part], weight[part], minlength=_BINS) for part in (is_signal, ~is_signal)
    )
    factor = np.where(signal > 0, background / np.maximum(signal, _TINY), 0.0)
    found = np.where(is_signal, weight * factor[place], weight)
    found[is_signal] *= weight[is_signal].sum() / max(found[is_signal].sum(), _TINY)
    return found


def _pair_pt(store: EventStore) -> Floats:
    """(N,) transverse momentum of the pairs of standard photons, GeV."""
    pt, phi = store.clusters("pt").astype(np.float64), store.clusters("phi").astype(np.float64)
    return np.hypot((pt * np.cos(phi)).sum(axis=1), (pt * np.sin(phi)).sum(axis=1))


def _expected(labels: Labels, used: NDArray[np.bool_], config: CategoriseConfig) -> Floats:
    weight = labels.weight.astype(np.float64) * used
    yields = {
        DIPHOTON: config.diphoton_yield,
        HIGGS: config.higgs_yield,
        GAMMA_JET: config.gamma_jet_yield,
    }
    for label, expected in yields.items():
        here = labels.label == label
        if not weight[here].any():
            raise ConfigError(f"{config.store}: no event of class {label} that may be used")
        weight[here] *= expected / weight[here].sum()
    return weight
