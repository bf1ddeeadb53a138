"""The boosted tree's inputs: kinematics, shower shapes and isolation from mass-blind hits.

These are the quantities of a classical photon identification, computed from exactly the hits that
the network sees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import CRYSTAL
from e2e.inputs.kinematics import KINEMATIC_ETAS, KINEMATIC_NAMES, Pairs
from e2e.inputs.windows import TOWER, WindowHits

FloatArray = NDArray[np.float64]

_HALF = 5  # of the 11 x 11 crystals in which shower shapes are measured
_LOG_WEIGHT = 4.7
_RADII = (0.1, 0.2, 0.3, 0.4)
_TRACK_VETO = 0.02  # a photon's own conversion tracks lie closer than this
_STRIP = 2  # rows each side of the seed left out of the ECAL isolation: the photon's own shower

SHAPE_NAMES = (
    "r9", "e1/e9", "e2nd/e1", "e2x2/e25", "e1x5/e25", "e5x1/e25", "e2x5/e25", "e25/e49",
    "e49/e121", "sigma_ieta_ieta", "sigma_iphi_iphi", "cov_ieta_iphi", "eta_width", "phi_width",
    "eta_asymmetry", "phi_asymmetry", "n25", "n121", "h/e",
)  # fmt: skip
ISOLATION_NAMES = (
    *(f"track_{r}" for r in _RADII), "track_max_0.3", "n_track_0.3",
    *(f"ecal_{r}" for r in _RADII), *(f"hcal_{r}" for r in _RADII),
)  # fmt: skip


def feature_names() -> list[str]:
    """Names of the columns of `tabular_features`."""
    per_photon = [f"{name} {slot}" for slot in (1, 2) for name in SHAPE_NAMES + ISOLATION_NAMES]
    return [*KINEMATIC_NAMES, *per_photon]


def odd_columns() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Columns whose sign a mirror in phi, and one in z, changes."""
    odd_in_phi = {
        f"{name} {slot}" for name in ("cov_ieta_iphi", "phi_asymmetry") for slot in (1, 2)
    }
    odd_in_z = {f"{name} {slot}" for name in ("cov_ieta_iphi", "eta_asymmetry") for slot in (1, 2)}
    odd_in_z |= {KINEMATIC_NAMES[column] for column in KINEMATIC_ETAS}
    names = feature_names()
    return (
        tuple(i for i, name in enumerate(names) if name in odd_in_phi),
        tuple(i for i, name in enumerate(names) if name in odd_in_z),
    )


def tabular_features(blind: dict[str, WindowHits], pairs: Pairs) -> NDArray[np.float32]:
    """(N, F) features of N events; a missing channel's columns are NaN."""
    n = len(pairs)
    shapes = shower_shapes(blind, 2 * n).reshape(n, 2, len(SHAPE_NAMES))
    isolated = isolation(blind, 2 * n).reshape(n, 2, len(ISOLATION_NAMES))
    per_photon = np.concatenate([shapes, isolated], axis=2)
    per_photon = per_photon.reshape(n, 2 * per_photon.shape[2])  # -1 would fail without events
    return np.concatenate([pairs.kinematics(), per_photon], axis=1).astype(np.float32)


def shower_shapes(blind: dict[str, WindowHits], n_photons: int) -> FloatArray:
    """(P, 19) shower shapes of each photon from its scaled and cut hits; see `SHAPE_NAMES`."""
    grid = _grid(blind["EB"], n_photons)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = _energy_ratios(grid) + _moments(grid)
        columns.append(_tower_behind(blind, n_photons) / _box(grid, 2, 2))
    shapes = np.stack(columns, axis=1)
    shapes[~np.isfinite(shapes)] = np.nan
    return shapes


def isolation(blind: dict[str, WindowHits], n_photons: int) -> FloatArray:
    """(P, 14) sums of scaled hits round each photon in GeV; see `ISOLATION_NAMES`."""
    missing = [np.full(n_photons, np.nan)]
    columns = missing * (len(_RADII) + 2)
    if "TRK" in blind:
        tracks = blind["TRK"]
        outside = _distance(tracks) > _TRACK_VETO
        columns = [_cone_sum(tracks, r, outside, n_photons) for r in _RADII]
        in_cone = outside & (_distance(tracks) < 0.3)
        highest = np.zeros(n_photons)
        np.maximum.at(highest, tracks.photon[in_cone], tracks.energy[in_cone])
        columns += [highest, np.bincount(tracks.photon[in_cone], minlength=n_photons)]
    strip = np.abs(blind["EB"].du) > _STRIP
    columns += [_cone_sum(blind["EB"], r, strip, n_photons) for r in _RADII]
    if "HBHE" in blind:
        everywhere = np.ones(len(blind["HBHE"].photon), dtype=bool)
        columns += [_cone_sum(blind["HBHE"], r, everywhere, n_photons) for r in _RADII]
    else:
        columns += missing * len(_RADII)
    return np.stack(columns, axis=1)


def _grid(hits: WindowHits, n_photons: int) -> FloatArray:
    """(P, 11, 11) energies round the seed."""
    inside = (np.abs(hits.du) <= _HALF) & (np.abs(hits.dv) <= _HALF)
    grid = np.zeros((n_photons, 2 * _HALF + 1, 2 * _HALF + 1))
    grid[hits.photon[inside], hits.du[inside] + _HALF, hits.dv[inside] + _HALF] = hits.energy[
        inside
    ]
    return grid


def _box(grid: FloatArray, du: int, dv: int) -> FloatArray:
    """(P,) sum within du rows and dv columns of the seed."""
    return grid[:, _HALF - du : _HALF + du + 1, _HALF - dv : _HALF + dv + 1].sum(axis=(1, 2))


def _energy_ratios(grid: FloatArray) -> list[FloatArray]:
    centre = _HALF
    e1, e9, e25 = _box(grid, 0, 0), _box(grid, 1, 1), _box(grid, 2, 2)
    window = grid[:, centre - 2 : centre + 3, centre - 2 : centre + 3]
    second = np.sort(window.reshape(len(grid), 25), axis=1)[:, -2]
    quads = [grid[:, centre - i : centre - i + 2, centre - j : centre - j + 2].sum(axis=(1, 2))
             for i in (0, 1) for j in (0, 1)]  # fmt: skip
    rows = window.sum(axis=2)
    beside = np.maximum(rows[:, 1], rows[:, 3])
    return [
        e9 / e25, e1 / e9, second / e1, np.max(quads, axis=0) / e25, _box(grid, 0, 2) / e25,
        _box(grid, 2, 0) / e25, (rows[:, 2] + beside) / e25, e25 / _box(grid, 3, 3),
        _box(grid, 3, 3) / _box(grid, 5, 5),
    ]  # fmt: skip


def _moments(grid: FloatArray) -> list[FloatArray]:
    window = grid[:, _HALF - 2 : _HALF + 3, _HALF - 2 : _HALF + 3]
    share = window / window.sum(axis=(1, 2), keepdims=True)
    weight = np.maximum(0, _LOG_WEIGHT + np.log(share))
    weight /= weight.sum(axis=(1, 2), keepdims=True)
    steps = np.arange(-2, 3)
    mean_u, mean_v = weight.sum(axis=2) @ steps, weight.sum(axis=1) @ steps
    off_u, off_v = steps - mean_u[:, None], steps - mean_v[:, None]
    wide = grid / grid.sum(axis=(1, 2), keepdims=True)
    along = np.arange(-_HALF, _HALF + 1)
    profile_u, profile_v = wide.sum(axis=2), wide.sum(axis=1)
    spread_u = (profile_u @ along**2) - (profile_u @ along) ** 2
    spread_v = (profile_v @ along**2) - (profile_v @ along) ** 2
    return [
        np.sqrt((weight.sum(axis=2) * off_u**2).sum(axis=1)) * CRYSTAL,
        np.sqrt((weight.sum(axis=1) * off_v**2).sum(axis=1)) * CRYSTAL,
        np.einsum("pij,pi,pj->p", weight, off_u, off_v) * CRYSTAL**2,
        np.sqrt(np.maximum(spread_u, 0)) * CRYSTAL,
        np.sqrt(np.maximum(spread_v, 0)) * CRYSTAL,
        share[:, 3:].sum(axis=(1, 2)) - share[:, :2].sum(axis=(1, 2)),
        share[:, :, 3:].sum(axis=(1, 2)) - share[:, :, :2].sum(axis=(1, 2)),
        (window > 0).sum(axis=(1, 2)).astype(np.float64),
        (grid > 0).sum(axis=(1, 2)).astype(np.float64),
    ]


def _tower_behind(blind: dict[str, WindowHits], n_photons: int) -> FloatArray:
    """(P,) scaled energy of the HCAL tower behind the seed, NaN without HCAL."""
    if "HBHE" not in blind:
        return np.full(n_photons, np.nan)
    shares = blind["HBHE"]
    behind = (shares.du == 0) & (shares.dv == 0)
    tower = np.bincount(shares.photon[behind], shares.energy[behind], n_photons) * TOWER**2
    return tower.astype(np.float64)


def _distance(hits: WindowHits) -> FloatArray:
    return np.hypot(hits.du, hits.dv) * CRYSTAL


def _cone_sum(
    hits: WindowHits, radius: float, keep: NDArray[np.bool_], n_photons: int
) -> FloatArray:
    inside = keep & (_distance(hits) < radius)
    total = np.bincount(hits.photon[inside], hits.energy[inside], minlength=n_photons)
    return total.astype(np.float64)
