"""What makes one crystal unlike the next: gaps, calibration, dead channels.

The maps are one fixed detector, the same for every sample (drawn once from a fixed seed).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.detector.geometry import N_EB

_DETECTOR_SEED = 2012
INTERCALIBRATION = 0.005  # relative spread of the crystals' constants
DEAD_FRACTION = 0.002  # of single crystals
DEAD_TOWERS = 6  # trigger towers, 5 x 5 crystals, whose data link is dead

#: Barrel rows where modules meet (\\|ieta\\| 25/26, 45/46, 65/66) and the gap at eta = 0.
MODULE_ROWS = np.array([20.0, 40.0, 60.0, 110.0, 130.0, 150.0])
CENTRE_ROW = 85.0
#: Peak loss and half width in crystals of the gaps.
MODULE_GAP, CENTRE_GAP, SUPERMODULE_GAP = (0.10, 0.40), (0.12, 0.45), (0.08, 0.40)
CRYSTAL_GAP = (0.012, 0.06)


def _crystal_maps() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rng = np.random.default_rng(_DETECTOR_SEED)
    gain = 1 + INTERCALIBRATION * rng.standard_normal(N_EB)
    dead = rng.random(N_EB) < DEAD_FRACTION
    tower = rng.choice(34 * 72, DEAD_TOWERS, replace=False)
    row, column = np.divmod(np.arange(N_EB), 360)
    dead |= np.isin(row // 5 * 72 + column // 5, tower)
    return gain.astype(np.float32), dead


GAIN, DEAD = _crystal_maps()
#: Response of every barrel crystal; dead ones are 0.
RESPONSE: NDArray[np.float32] = np.where(DEAD, 0, GAIN).astype(np.float32)


def _loss(distance: NDArray[np.float64], gap: tuple[float, float]) -> NDArray[np.float64]:
    depth, width = gap
    return depth * np.exp(-0.5 * (distance / width) ** 2)


def gap_transmission(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of a shower's energy that is not lost in the gaps at its impact point.

    Parameters
    ----------
    u, v : (n,) impact in barrel crystal coordinates
    """
    nearest = np.abs(u[:, None] - MODULE_ROWS).min(axis=1)
    around_sector = np.abs((v + 10) % 20 - 10)
    lost = (
        _loss(nearest, MODULE_GAP)
        + _loss(u - CENTRE_ROW, CENTRE_GAP)
        + _loss(around_sector, SUPERMODULE_GAP)
        + _loss(np.abs((u + 0.5) % 1 - 0.5), CRYSTAL_GAP)
        + _loss(np.abs((v + 0.5) % 1 - 0.5), CRYSTAL_GAP)
    )
    return 1 - lost
