"""Is the input blind to the mass? A boosted tree on low-energy hits alone has to find out.

Dividing energies by m_gg moves the zero-suppression floor with the mass, and the lowest hits then
give the mass away: H→γγ has one mass, γγ has many. The tree sees quantiles and counts of the
low-energy hits, first of the mass-blind inputs, then of raw energies with the same cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from common.metrics import auc, bootstrap
from data.store import EventStore
from e2e.config import ClassifyConfig, SplitConfig
from e2e.inputs.images import photon_scale, read_windows
from e2e.inputs.kinematics import Pairs
from e2e.inputs.windows import WindowHits
from e2e.labels import DIPHOTON, HIGGS, Labels
from e2e.training.split import fold_of

FloatArray = NDArray[np.float64]
_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_BINS = 5


def blindness_test(store: EventStore, labels: Labels, config: ClassifyConfig) -> dict[str, Any]:
    """AUC(H/γγ), out of fold, of trees that see little but what could betray the mass.

    Keys: `m_gg` alone; low-energy hits `blind`, `raw` (same cut) and `scaled_uncut` (the trap);
    `kinematics` alone, with the blind hits, and with the raw ones.
    """
    pairs = Pairs.read(store)
    windows = read_windows(store, pairs, config.inputs, 0, len(store))
    limit = config.evaluation.low_energy_limit
    scale, one = photon_scale(pairs, config.inputs), np.ones(2 * len(pairs))
    cuts = config.inputs.cuts
    by_mass = np.repeat(config.inputs.reference_mass / pairs.mass, 2)
    blind = _features(windows, scale, cuts, limit, len(pairs))
    raw = _features(windows, one, cuts, limit, len(pairs))
    uncut = _features(windows, by_mass, dict.fromkeys(cuts, 0.0), limit, len(pairs))
    kinematics = pairs.kinematics().astype(np.float64)
    seen = {
        "m_gg": pairs.mass[:, None],
        "blind": blind,
        "raw": raw,
        "scaled_uncut": uncut,
        "kinematics": kinematics,
        "kinematics_blind": np.concatenate([kinematics, blind], axis=1),
        "kinematics_raw": np.concatenate([kinematics, raw], axis=1),
    }
    return tell_higgs_from_diphoton(
        seen, labels, pairs.complete, config.split, config.evaluation.bootstrap
    )


def tell_higgs_from_diphoton(
    seen: dict[str, FloatArray],
    labels: Labels,
    usable: NDArray[np.bool_],
    split: SplitConfig,
    replicas: int,
) -> dict[str, Any]:
    """AUC(H/γγ), out of fold, of a tree on each of the (N, F) arrays; `blind` minus `raw` too."""
    used = np.flatnonzero(np.isin(labels.label, (DIPHOTON, HIGGS)) & usable)
    fold = fold_of(labels.group, split)[used] % 2
    is_higgs = labels.label[used] == HIGGS
    scores = {name: _out_of_fold(x[used], is_higgs, fold) for name, x in seen.items()}
    return _summary(scores, is_higgs, labels.group[used], replicas)


def _features(
    windows: dict[str, WindowHits],
    scale: FloatArray,
    cuts: dict[str, float],
    limit: float,
    n_events: int,
) -> FloatArray:
    """(N, F) counts, sums and quantiles of each channel's hits between its cut and the limit."""
    columns = []
    for channel, hits in windows.items():
        kept = hits.scaled(scale, cuts[channel])
        low = kept.energy < limit
        event, energy = kept.photon[low] // 2, kept.energy[low]
        columns.append(low_energy_columns(event, energy, cuts[channel], limit, n_events))
    return np.concatenate(columns, axis=1)


def low_energy_columns(
    event: NDArray[np.int64],
    energy: NDArray[np.float32],
    cut: float,
    limit: float,
    n_events: int,
) -> FloatArray:
    """(N, F) count, sum, quantiles and histogram of each event's hits between cut and limit."""
    edges = np.linspace(cut, limit, _BINS + 1)
    order = np.lexsort((energy, event))
    event, energy = event[order], energy[order]
    count = np.bincount(event, minlength=n_events)
    start = np.cumsum(count) - count
    total = np.bincount(event, energy, minlength=n_events)
    columns: list[FloatArray] = [count.astype(np.float64), total.astype(np.float64)]
    padded = np.append(energy, np.nan)
    for quantile in _QUANTILES:
        row = start + np.floor(quantile * (count - 1).clip(min=0)).astype(np.int64)
        columns.append(np.where(count > 0, padded[row.clip(max=len(energy))], np.nan))
    bins = np.searchsorted(edges, energy, side="right") - 1
    for index in range(_BINS):
        columns.append(np.bincount(event[bins == index], minlength=n_events).astype(np.float64))
    return np.stack(columns, axis=1)


def _out_of_fold(
    features: FloatArray, is_signal: NDArray[np.bool_], fold: NDArray[np.int64]
) -> FloatArray:
    score = np.zeros(len(features))
    for held_out in np.unique(fold):
        train = fold != held_out
        tree = HistGradientBoostingClassifier(
            max_iter=60, learning_rate=0.1, max_leaf_nodes=15, early_stopping=False, random_state=0
        )
        varied = _varied(features[train])
        if varied.any():
            tree.fit(features[train][:, varied], is_signal[train])
            score[~train] = tree.predict_proba(features[~train][:, varied])[:, 1]
    return score


def _varied(features: FloatArray) -> NDArray[np.bool_]:
    """(F,) columns with more than one value: scikit-learn cannot bin others."""
    known = np.isfinite(features)
    highest = np.where(known, features, -np.inf).max(axis=0, initial=-np.inf)
    lowest = np.where(known, features, np.inf).min(axis=0, initial=np.inf)
    return highest > lowest


def _summary(
    scores: dict[str, FloatArray],
    is_signal: NDArray[np.bool_],
    group: NDArray[np.int64],
    replicas: int,
) -> dict[str, Any]:
    names = list(scores)

    def statistic(y: NDArray[np.bool_], *columns: FloatArray) -> FloatArray:
        values = np.array([auc(column, y) for column in columns])
        difference = values[names.index("blind")] - values[names.index("raw")]
        return np.append(values, difference)

    value = statistic(is_signal, *scores.values())
    error = bootstrap(statistic, is_signal, *scores.values(), groups=group, n=min(replicas, 50))
    keys = [*names, "blind_minus_raw"]
    return {
        key: {"value": float(v), "error": float(e)}
        for key, v, e in zip(keys, value, error, strict=True)
    }
