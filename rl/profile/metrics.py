"""How good a profile is, photon by photon, and what it is worth having for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.simulation.shower_profile import FINE, SHAPE
from envs.photons.table import PhotonTable
from envs.profile.distance import l1, wasserstein
from envs.profile.finder import crystals_of

FloatArray = NDArray[np.float32]

#: Directions of the sliced Wasserstein distance.
_ANGLES = np.arange(8) * np.pi / 8
_LOG_WEIGHT = 4.7  # of sigma_iphiiphi, as of the standard position
_MIN_LEG = 0.005  # share of a leg
_AT_A_TIME = 2048

_U, _V = (
    ((np.arange(cells) + 0.5 - cells / 2) / FINE).astype(np.float32) for cells in SHAPE
)  # cells' centres, crystals from the seed's


def compare(profile: NDArray[np.floating], truth: NDArray[np.floating]) -> dict[str, FloatArray]:
    """Distances (n,) of profiles from true ones (n, 25, 55), in crystals but for `l1` (0 to 2)."""
    parts = [
        _compare(profile[k : k + _AT_A_TIME], truth[k : k + _AT_A_TIME])
        for k in range(0, len(profile), _AT_A_TIME)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _compare(profile: NDArray, truth: NDArray) -> dict[str, FloatArray]:
    a, b = _normalised(profile), _normalised(truth)
    return {
        "l1": l1(a, b),
        "wasserstein_eta": wasserstein(a, b, 1),
        "wasserstein_phi": wasserstein(a, b, 2),
        "sliced": sliced_wasserstein(a, b),
    }


def sliced_wasserstein(a: FloatArray, b: FloatArray) -> FloatArray:
    """(m,) mean of the Wasserstein distances of projections on 8 directions, crystals."""
    difference = (a - b).reshape(len(a), -1)
    total = np.zeros(len(a), dtype=np.float32)
    for angle in _ANGLES:
        place = (np.cos(angle) * _U[:, None] + np.sin(angle) * _V[None, :]).ravel()
        order = np.argsort(place, kind="stable")
        between = np.cumsum(difference[:, order], axis=1)[:, :-1]
        total += np.abs(between) @ np.diff(place[order]).astype(np.float32)
    mean: FloatArray = total / np.float32(len(_ANGLES))
    return mean


def describe(profile: NDArray[np.floating]) -> dict[str, FloatArray]:
    """Numbers (n,) that a profile gives, the same for true and for reconstructed ones.

    width
        RMS in phi.
    distance, fraction
        Of the two legs: the projection on phi is cut where the two sides are most apart (as in
        Otsu's threshold); distance of their means, and share of the larger.
    spread
        RMS of the two legs' means: distance times the root of the product of their shares.
    u, v
        Mean place.
    """
    profile = _normalised(profile)
    along_v, along_u = (profile.sum(axis=k, dtype=np.float64) for k in (1, 2))
    v, u = along_v @ _V, along_u @ _U
    width = np.sqrt(np.maximum(along_v @ _V**2 - v**2, 0))
    share = np.cumsum(along_v, axis=1)[:, :-1].clip(1e-9, 1 - 1e-9)
    moment = np.cumsum(along_v * _V, axis=1)[:, :-1]
    apart = (v[:, None] - moment) / (1 - share) - moment / share
    between = apart**2 * share * (1 - share)
    cut = np.where(np.minimum(share, 1 - share) > _MIN_LEG, between, -1).argmax(axis=1)
    rows = np.arange(len(cut))
    left = share[rows, cut]
    found = {
        "width": width,
        "distance": apart[rows, cut],
        "fraction": np.maximum(left, 1 - left),
        "spread": np.sqrt(between[rows, cut]),
        "u": u,
        "v": v,
    }
    return {name: values.astype(np.float32) for name, values in found.items()}


def _normalised(profile: NDArray[np.floating]) -> FloatArray:
    """Of the sum 1, which half precision keeps to a few 1e-4 only."""
    single = profile.astype(np.float32)
    return single / single.sum(axis=(1, 2), keepdims=True)


def sigma_iphi_iphi(table: PhotonTable) -> FloatArray:
    """(n,) spread in phi of the 5x5 crystals round the seed, in crystals, weights as for eta."""
    window = crystals_of(table)[:, :, 3:8].astype(np.float64)
    with np.errstate(divide="ignore"):
        weight = np.maximum(
            0, _LOG_WEIGHT + np.log(window / window.sum(axis=(1, 2))[:, None, None])
        )
    total = weight.sum(axis=(1, 2))
    steps = np.arange(-2, 3)
    along = weight.sum(axis=1)
    mean = along @ steps / total
    return np.sqrt(np.maximum(along @ steps**2 / total - mean**2, 0)).astype(np.float32)
