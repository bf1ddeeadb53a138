"""Scales and maps from a resonance: what experiments do, as one linear least-squares problem.

A pair's log(m / m_ref) is half the sum of its members' errors, and a member's error the sum of one
constant for its eta ring, its supermodule, its tower and its crystal. Constants are shrunk by a
prior deviation each (a mixed-effects model), so that a crystal with few electrons stays near 0; the
deviations of towers and crystals are chosen by the masses of left-out pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, cg

from data.detector.geometry import EB_SHAPE
from envs.calibration.candidates import Candidates
from envs.calibration.config import CalibrationEnvConfig
from envs.calibration.features import N_SUPERMODULES, supermodule
from rl.calibration.loss import mean_distance

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

_TOWER = 5  # crystals a side
_ROWS, _COLUMNS = EB_SHAPE
SIZES = {
    "ring": _ROWS,
    "supermodule": N_SUPERMODULES,
    "tower": (_ROWS // _TOWER) * (_COLUMNS // _TOWER),
    "crystal": _ROWS * _COLUMNS,
}
_PRIOR = {"ring": 0.05, "supermodule": 0.02}
#: Prior deviations that are tried.
TOWER_PRIORS = (0.002, 0.005, 0.01)
CRYSTAL_PRIORS = (0.003, 0.007, 0.012)
_CORE = 0.01  # |log m / m_ref| below which a pair's weight no longer grows
_REWEIGHTINGS = 5


def places(u: NDArray[np.floating], v: NDArray[np.floating]) -> dict[str, Index]:
    """Ring, supermodule, tower and crystal of impact points (any shape), in crystals."""
    row = np.clip(u, 0, _ROWS - 1).astype(np.int64)
    column = (v % _COLUMNS).astype(np.int64) % _COLUMNS
    return {
        "ring": row,
        "supermodule": supermodule(u, v),
        "tower": row // _TOWER * (_COLUMNS // _TOWER) + column // _TOWER,
        "crystal": row * _COLUMNS + column,
    }


@dataclass(frozen=True)
class Maps:
    """Corrections of log energy by place.

    Attributes
    ----------
    values
        Per level of `SIZES` (some or all), the correction of each of its places.
    """

    values: Mapping[str, Floats]

    def __call__(self, u: NDArray[np.floating], v: NDArray[np.floating]) -> Floats:
        """Change of log energy at impact points of any shape."""
        index = places(u, v)
        return np.sum([table[index[level]] for level, table in self.values.items()], axis=0)


def fit_scales(candidates: Candidates, config: CalibrationEnvConfig) -> Maps:
    """Standard practice: one constant per eta ring and per supermodule."""
    return _fit(candidates, config, _PRIOR)


def fit_maps(
    candidates: Candidates, config: CalibrationEnvConfig, priors: Mapping[str, float]
) -> Maps:
    """Scales, with towers and crystals on top, of the given prior deviations."""
    return _fit(candidates, config, {**_PRIOR, **priors})


def choose_priors(
    candidates: Candidates, config: CalibrationEnvConfig, seed: int
) -> dict[str, float]:
    """Prior deviations of towers and crystals by the masses of a third that is left out."""
    left_out = np.random.default_rng(seed).random(len(candidates)) < 1 / 3
    fitted, judged = candidates.take(~left_out), candidates.take(left_out)

    def left(priors: dict[str, float]) -> float:
        change = fit_maps(fitted, config, priors)(judged.u, judged.v)
        return mean_distance(judged.log_mass + change.sum(axis=1) / 2, config)

    tried = [
        {"tower": tower, "crystal": crystal}
        for tower, crystal in product(TOWER_PRIORS, CRYSTAL_PRIORS)
    ]
    return min(tried, key=left)


def _fit(candidates: Candidates, config: CalibrationEnvConfig, priors: Mapping[str, float]) -> Maps:
    """Reweighted least squares: the absolute distance, capped, as in the agent's reward."""
    levels = tuple(priors)
    design = _design(candidates, levels)
    y = candidates.log_mass.astype(np.float64)
    deviation = np.concatenate([np.full(SIZES[level], priors[level]) for level in levels])
    found = np.zeros(design.shape[1])
    squared = design.copy()
    squared.data **= 2
    for _ in range(_REWEIGHTINGS):
        left = y + design @ found
        weight = np.where(
            np.abs(left) < config.cap * config.scale, _CORE / np.maximum(np.abs(left), _CORE), 0.0
        )
        noise = (weight * left**2).sum() / max(weight.sum(), 1.0)
        found = _solve(design, weight, y, noise / deviation**2, squared.T @ weight, found)
    edges = np.cumsum([SIZES[level] for level in levels])[:-1]
    return Maps(dict(zip(levels, np.split(found, edges), strict=True)))


def _solve(
    design: sparse.csr_matrix,
    weight: Floats,
    y: Floats,
    ridge: Floats,
    diagonal: Floats,
    start: Floats,
) -> Floats:
    """Minimum of sum weight (y + design @ x)^2 + sum ridge x^2, by conjugate gradients."""

    def normal(x: Floats) -> Floats:
        return design.T @ (weight * (design @ x)) + ridge * x

    size = len(start)
    operator = LinearOperator((size, size), matvec=normal, dtype=np.float64)
    scaled = sparse.diags(1 / (diagonal + ridge))
    found, _ = cg(operator, -(design.T @ (weight * y)), x0=start, rtol=1e-3, maxiter=200, M=scaled)
    return np.asarray(found)


def _design(candidates: Candidates, levels: tuple[str, ...]) -> sparse.csr_matrix:
    """(m, constants): a half for every constant of both members."""
    index = places(candidates.u, candidates.v)
    starts = np.cumsum([0, *(SIZES[level] for level in levels)])
    columns = np.concatenate(
        [index[level] + start for level, start in zip(levels, starts, strict=False)], axis=1
    )
    m, entries = columns.shape
    rows = np.repeat(np.arange(m), entries)
    data = np.full(rows.size, 0.5)
    return sparse.coo_matrix((data, (rows, columns.ravel())), (m, int(starts[-1]))).tocsr()
