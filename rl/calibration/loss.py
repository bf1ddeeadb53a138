"""The one loss of all methods: how far a mass is from the reference, capped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.calibration.config import CalibrationEnvConfig


def mean_distance(log_mass: NDArray[np.floating], config: CalibrationEnvConfig) -> float:
    """Mean of min(|log(m / m_ref)| / scale, cap) of (m,) log masses."""
    return float(np.minimum(np.abs(log_mass) / config.scale, config.cap).mean())
