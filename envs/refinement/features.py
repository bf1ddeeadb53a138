"""Blocks of the observation that stay the same during an episode, in natural units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from data.detector.edges import edge_distances
from data.detector.geometry import eb_eta_phi
from envs.photons.table import PhotonTable

FloatArray = NDArray[np.float64]

_REFERENCE_ENERGY = 60.0  # GeV


def kinematics(table: PhotonTable) -> dict[str, FloatArray]:
    """Energy, place and surroundings: what a classical correction would use."""
    eta, _ = eb_eta_phi(table.u, table.v)
    offset = table.offset
    du, dv = edge_distances(table.u, table.v)
    return {
        "log_energy": np.log(table.energy / _REFERENCE_ENERGY),
        "eta": eta,
        "abs_eta": np.abs(eta),
        "offset_u": offset[:, 0],
        "offset_v": offset[:, 1],
        "module_nearness": np.exp(-np.abs(du)),
        "module_side": np.sign(du) * np.exp(-np.abs(du)),
        "supermodule_nearness": np.exp(-np.abs(dv)),
        "supermodule_side": np.sign(dv) * np.exp(-np.abs(dv)),
        "density": table.density,
    }


def shapes(table: PhotonTable) -> dict[str, FloatArray]:
    """How the shower spreads, beyond its 5x5 window too: conversions, leakage, pile-up."""
    size = table.crop.shape[1]
    steps = np.arange(size) - size // 2
    share = table.crop.astype(np.float64) / np.maximum(table.e5x5, 1.0)[:, None, None]
    middle = size // 2
    rows, columns = share.sum(axis=2), share.sum(axis=1)
    total = np.maximum(share.sum(axis=(1, 2)), 0.1)

    def spread(profile: FloatArray) -> FloatArray:
        mean = profile @ steps / total
        return np.sqrt(np.maximum(profile @ steps**2 / total - mean**2, 0))

    return {
        "r9": table.r9,
        "sigma_ieta_ieta": table.sigma_ieta_ieta,
        "log_h_over_e": np.log10(np.maximum(table.h_over_e, 1e-3)),
        "seed_share": share[:, middle, middle],
        "strip_share": rows[:, middle - 2 : middle + 3].sum(axis=1),
        "around_share": share[:, middle - 3 : middle + 4, middle - 3 : middle + 4].sum(axis=(1, 2)),
        "crop_share": total,
        "spread_u": spread(rows),
        "spread_v": spread(columns),
        "balance_v": columns @ np.sign(steps),
    }


NAMED_BLOCKS: dict[str, Callable[[PhotonTable], dict[str, FloatArray]]] = {
    "kinematics": kinematics,
    "shapes": shapes,
}
REGRESSION_NAMES = ("regression_log_energy", "regression_u", "regression_v")
