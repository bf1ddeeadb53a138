"""Matching of clusters to photons and of true photons to clusters, on arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.kinematics import delta_phi

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

MAX_DELTA_R = 0.1
MAX_CRYSTALS = 3.0


def pad(event: IntArray, n_events: int) -> IntArray:
    """Rows of each event as (N, K), -1 beyond its last; rows are sorted by event."""
    count = np.bincount(event, minlength=n_events)
    width = int(count.max(initial=0))
    position = (np.cumsum(count) - count)[:, None] + np.arange(width)
    return np.where(np.arange(width) < count[:, None], position, -1)


def nearest_in_eta_phi(
    event: IntArray, eta: FloatArray, phi: FloatArray,
    other: IntArray, other_eta: FloatArray, other_phi: FloatArray, limit: float = MAX_DELTA_R,
) -> tuple[IntArray, FloatArray]:  # fmt: skip
    """For each of M directions the row of the nearest other one of its event, and the distance.

    Parameters
    ----------
    event, eta, phi
        (M,) event and direction.
    other
        (N, K) rows of the others per event, -1 for none (see `pad`).
    other_eta, other_phi
        Directions of the others.
    limit
        Largest distance.

    Returns
    -------
    row, delta_r
        (M,) -1 and infinity where nothing lies within the limit.
    """
    rows = other[event]
    if rows.size == 0:
        return np.full(len(event), -1), np.full(len(event), np.inf)
    distance = np.hypot(other_eta[rows] - eta[:, None], delta_phi(other_phi[rows], phi[:, None]))
    return _nearest(rows, np.where(rows >= 0, distance, np.inf), limit)


def nearest_in_crystals(
    u: FloatArray, v: FloatArray, other: IntArray, other_u: FloatArray, other_v: FloatArray
) -> tuple[IntArray, FloatArray]:
    """For each slot (N, 2) the row of the nearest impact of its event within 3 crystals.

    u, v and other_u, other_v are crystal coordinates; v wraps at 360. NaN slots match nothing.
    """
    if other.shape[1] == 0 or len(other_u) == 0:
        return np.full(u.shape, -1), np.full(u.shape, np.inf)
    dv = (other_v[other][:, None, :] - v[:, :, None] + 180.0) % 360.0 - 180.0
    distance = np.hypot(other_u[other][:, None, :] - u[:, :, None], dv)
    usable = (other >= 0)[:, None, :] & np.isfinite(distance)
    rows = np.broadcast_to(other[:, None, :], distance.shape)
    return _nearest(rows, np.where(usable, distance, np.inf), MAX_CRYSTALS)


def without_sharing(row: IntArray, distance: FloatArray) -> IntArray:
    """Where both slots (N, 2) chose the same row, leave it to the nearer one."""
    shared = (row[:, 0] == row[:, 1]) & (row[:, 0] >= 0)
    loser = (distance[:, 1] >= distance[:, 0]).astype(np.int64)
    result = row.copy()
    result[shared, loser[shared]] = -1
    return result


def _nearest(rows: IntArray, distance: FloatArray, limit: float) -> tuple[IntArray, FloatArray]:
    best = np.argmin(distance, axis=-1)[..., None]
    closest = np.take_along_axis(distance, best, axis=-1)[..., 0]
    row = np.take_along_axis(rows, best, axis=-1)[..., 0]
    inside = closest < limit
    return np.where(inside, row, -1), np.where(inside, closest, np.inf)
