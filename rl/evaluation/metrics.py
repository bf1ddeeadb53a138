"""Judge corrections on photons and pairs that no training saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import relative_sigma_eff, with_error
from data.detector.edges import edge_distances
from envs.photons.table import FloatArray, PhotonTable
from rl.evaluation import statistics
from rl.evaluation.pairs import Floats, Pairs

Corrections = Mapping[str, FloatArray]
STANDARD, PEER = "standard", "peer"
HIGGS, DIPHOTON, GUN = 1, 0, 3
_PERCENT = 100.0
_NEAR = 1.0  # crystals


@dataclass(frozen=True)
class Sample:
    """Photons to judge on, with every method's correction of them.

    Attributes
    ----------
    table
        n photons.
    vertex_z
        (N,) vertices of the store's events, cm.
    corrections
        Method to (n, 3) correction.
    """

    table: PhotonTable
    vertex_z: Floats
    corrections: Corrections

    def matched(self, label: int | None = None) -> Sample:
        """The photons whose truth is known, of one class or all."""
        assert self.table.target is not None
        keep = np.isfinite(self.table.target).all(axis=1)
        if label is not None:
            keep &= self.table.label == label
        rows = np.flatnonzero(keep)
        return Sample(
            self.table.take(rows),
            self.vertex_z,
            {name: c[rows] for name, c in self.corrections.items()},
        )

    @property
    def pairs(self) -> Pairs:
        """The pairs of these photons."""
        return Pairs.of(self.table, self.vertex_z)

    def energy_ratios(self) -> dict[str, Floats]:
        """E / E_true per method, (n,)."""
        assert self.table.target is not None
        truth = self.table.target[:, 0].astype(np.float64)
        return {name: np.exp(c[:, 0] - truth) for name, c in self.corrections.items()}

    def masses(self) -> dict[str, Floats]:
        """Diphoton masses per method, (m,)."""
        pairs = self.pairs
        return {name: pairs.masses(c) for name, c in self.corrections.items()}


def photon_metrics(sample: Sample, replicas: int) -> dict[str, dict[str, Any]]:
    """Energy and position resolution per method.

    The errors resample events, since the photons of one event share its pile-up.
    """
    table, target = sample.table, sample.table.target
    assert target is not None
    du, dv = edge_distances(table.u, table.v)
    parts = {
        "all": np.ones(len(table), dtype=bool),
        "compact": table.r9 > 0.94,
        "wide": table.r9 <= 0.94,
        "near_edge": (np.abs(du) < _NEAR) | (np.abs(dv) < _NEAR),
    }
    found: dict[str, dict[str, Any]] = {}
    for name, ratio in sample.energy_ratios().items():
        correction = sample.corrections[name]
        error = np.abs(correction - target)
        found[name] = {
            "sigma_eff_energy": _estimate(
                lambda x: _PERCENT * relative_sigma_eff(x), ratio, group=table.group, n=replicas
            ),
            "median_energy": _PERCENT * (float(np.median(ratio)) - 1),
            "mean_abs_u": float(error[:, 1].mean()),
            "mean_abs_v": float(error[:, 2].mean()),
        } | {
            f"sigma_eff_energy_{part}": _PERCENT * relative_sigma_eff(ratio[keep])
            for part, keep in parts.items()
            if part != "all" and keep.sum() > 1
        }
    return found


def mass_metrics(
    higgs: Sample, background: Mapping[str, Sample], replicas: int
) -> dict[str, dict[str, Any]]:
    """Width, shift, bump, slope and S/sqrt(B) per method.

    Parameters
    ----------
    higgs
        Photons of Higgs events.
    background
        Samples of smooth background; S/sqrt(B) uses the one called `diphoton`.
    """
    signal = higgs.masses()
    masses = {name: sample.masses() for name, sample in background.items()}
    truth = np.concatenate([sample.pairs.true_masses() for sample in background.values()])
    group = higgs.pairs.group
    found: dict[str, dict[str, Any]] = {}
    for name, mass in signal.items():
        smooth = np.concatenate([masses[key][name] for key in background])
        found[name] = {
            "sigma_eff_mass": _estimate(
                lambda x: _PERCENT * relative_sigma_eff(x), mass, group=group, n=replicas
            ),
            "peak_shift": _estimate(statistics.peak_shift, mass, group=group, n=replicas),
            "bump": _estimate(statistics.bump, smooth, n=replicas),
            "slope": _estimate(statistics.slope, smooth, truth, n=replicas),
        }
        if "diphoton" in masses:
            found[name]["significance"] = _relative_significance(
                signal[STANDARD], mass, masses["diphoton"][STANDARD],
                masses["diphoton"][name], replicas,
            )  # fmt: skip
    return found


def gain_shares(
    values: Mapping[str, Floats], group: NDArray[np.int64], replicas: int
) -> dict[str, dict[str, float]]:
    """Share of the peer's gain over the standard, per method, with a paired bootstrap's error."""
    return {
        name: _estimate(
            statistics.gain_share, values[STANDARD], values[PEER], found, group=group, n=replicas
        )
        for name, found in values.items()
        if name not in (STANDARD, PEER)
    }


def _relative_significance(
    before: Floats, after: Floats, smooth_before: Floats, smooth_after: Floats, replicas: int
) -> dict[str, float]:
    """S/sqrt(B) over the standard reconstruction's; signal and background drawn apart."""
    rng = np.random.default_rng(0)

    def ratio(s: NDArray[np.int64], b: NDArray[np.int64]) -> float:
        return statistics.significance(after[s], smooth_after[b]) / statistics.significance(
            before[s], smooth_before[b]
        )

    n_signal, n_background = len(before), len(smooth_before)
    drawn = [
        ratio(rng.integers(0, n_signal, n_signal), rng.integers(0, n_background, n_background))
        for _ in range(replicas)
    ]
    value = ratio(np.arange(n_signal), np.arange(n_background))
    return {"value": value, "error": float(np.std(drawn, ddof=1))}


def _estimate(
    statistic: Callable[..., float],
    *arrays: NDArray[Any],
    group: NDArray[np.int64] | None = None,
    n: int,
) -> dict[str, float]:
    return with_error(statistic, *arrays, groups=group, n=n)._asdict()
