"""Judge calibrations on photons and pairs of the same detector that none of them saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import bootstrap, relative_sigma_eff
from rl.calibration.prepared import PreparedPairs
from rl.evaluation import statistics
from rl.evaluation.pairs import Floats

NONE, ORACLE, MAPS = "none", "oracle", "maps"
_PERCENT = 100.0

#: Method to (m, 2) changes of log energy after the nominal regression.
Changes = Mapping[str, Floats]


@dataclass(frozen=True)
class Judged:
    """H → γγ and gun pairs of one detector, with every method's changes of them."""

    higgs: PreparedPairs
    higgs_changes: Changes
    gun: PreparedPairs
    gun_changes: Changes


def judge(judged: Judged, replicas: int) -> dict[str, dict[str, dict[str, float]]]:
    """Value and error of every figure of merit per method; without a gun fewer figures.

    `share` is the part of the lost resolution that is recovered: 0 by the nominal regression, 1 by
    the oracle; without an oracle there is none. `minus_maps` is the difference in sigma_eff(m) to
    the maps. Both have the errors of a paired bootstrap over events.
    """
    names = list(judged.higgs_changes)
    found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in names}
    for part in (_higgs, _gun, _significance) if len(judged.gun) else (_higgs,):
        for key, (values, errors) in part(judged, names, replicas).items():
            for name, value, error in zip(names, values, errors, strict=True):
                found[name][key] = {"value": float(value), "error": float(error)}
    return found


Columns = dict[str, tuple[Floats, Floats]]


def _higgs(judged: Judged, names: list[str], replicas: int) -> Columns:
    """Width, its share, peak and pT scale in H → γγ."""
    higgs = judged.higgs
    mass = np.stack([higgs.corrected_mass(judged.higgs_changes[n]) for n in names], axis=1)
    none, maps = names.index(NONE), names.index(MAPS)
    oracle = names.index(ORACLE) if ORACLE in names else None

    def statistic(mass: Floats) -> Floats:
        width = _PERCENT * np.array([relative_sigma_eff(column) for column in mass.T])
        peak = np.array([statistics.peak_shift(column) for column in mass.T])
        rows = [width, width - width[maps], peak]
        if oracle is not None:
            rows.append(_PERCENT * (width[none] - width) / (width[none] - width[oracle]))
        return np.stack(rows)

    keys = ("sigma_eff_mass", "minus_maps", "peak_shift", "share")
    columns = _columns(
        keys[: 3 if oracle is None else 4], statistic, (mass,), higgs.group, replicas
    )
    ratio = _energy_ratios(higgs, judged.higgs_changes, names)
    return columns | _columns(
        ("pt_scale",), _pt_scale, (ratio, higgs.true_pt), higgs.group, replicas
    )


def _gun(judged: Judged, names: list[str], replicas: int) -> Columns:
    """Energy resolution, slope of the mass scale and bump on smooth pairs."""
    gun = judged.gun
    ratio = _energy_ratios(gun, judged.gun_changes, names)
    mass = np.stack([gun.corrected_mass(judged.gun_changes[n]) for n in names], axis=1)

    def energies(ratio: Floats, true_pt: Floats) -> Floats:
        flat = ratio.reshape(-1, ratio.shape[2])
        width = [_PERCENT * relative_sigma_eff(column) for column in flat.T]
        return np.stack([np.array(width), _pt_scale(ratio, true_pt)[0]])

    def shapes(mass: Floats, truth: Floats) -> Floats:
        slope = [statistics.slope(column, truth) for column in mass.T]
        return np.stack([np.array(slope), np.array([statistics.bump(column) for column in mass.T])])

    known = np.isfinite(ratio).all(axis=(1, 2))
    columns = _columns(
        ("sigma_eff_energy", "pt_scale_gun"), energies,
        (ratio[known], gun.true_pt[known]), gun.group[known], replicas,
    )  # fmt: skip
    return columns | _columns(("slope", "bump"), shapes, (mass, gun.true_mass), gun.group, replicas)


def _significance(judged: Judged, names: list[str], replicas: int) -> Columns:
    """S/sqrt(B) over that of the nominal regression; background are the gun's pairs."""
    signal = np.stack([judged.higgs.corrected_mass(judged.higgs_changes[n]) for n in names], axis=1)
    smooth = np.stack([judged.gun.corrected_mass(judged.gun_changes[n]) for n in names], axis=1)
    none = names.index(NONE)

    def gains(signal: Floats, smooth: Floats) -> Floats:
        found = np.array(
            [statistics.significance(s, b) for s, b in zip(signal.T, smooth.T, strict=True)]
        )
        return found / found[none]

    rng = np.random.default_rng(0)

    def drawn(values: Floats) -> Floats:
        return values[rng.integers(0, len(values), len(values))]

    errors = np.std([gains(drawn(signal), drawn(smooth)) for _ in range(replicas)], axis=0, ddof=1)
    return {"significance": (gains(signal, smooth), errors)}


def _energy_ratios(pairs: PreparedPairs, changes: Changes, names: list[str]) -> Floats:
    """(m, 2, methods) of E / E_true."""
    return np.stack([np.exp(changes[name] - pairs.left) for name in names], axis=2)


def _pt_scale(ratio: Floats, true_pt: Floats) -> Floats:
    """(1, methods) median of E / E_true above the upper third of the true pt minus below the lower.

    Per cent.
    """
    low, high = np.quantile(true_pt, (1 / 3, 2 / 3))
    medians = [np.median(ratio[keep], axis=0) for keep in (true_pt > high, true_pt < low)]
    return _PERCENT * (medians[0] - medians[1])[None]


def _columns(
    keys: tuple[str, ...],
    statistic: Callable[..., Floats],
    arrays: tuple[NDArray[Any], ...],
    group: NDArray[np.int64],
    replicas: int,
) -> Columns:
    """Values and bootstrap errors of a statistic with one row per key, one column per method."""
    values = statistic(*arrays)
    errors = bootstrap(statistic, *arrays, groups=group, n=replicas)
    return dict(zip(keys, zip(values, errors, strict=True), strict=True))
