"""Conditions of a simulated detector: the nominal one, and distorted ones that stand for data.

A real detector differs from its simulation: constants of crystals are known to some precision,
crystals lose light where radiation is high, there is more material in front and more noise than
thought, and supermodules are off as a whole or tilted.  A `Detector` holds the sizes of these
effects and a seed, from which its map of the barrel is drawn; the standard reconstruction knows
nothing of it.  "Data" made so are simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from data.detector.geometry import EB_SHAPE

FloatArray = NDArray[np.float64]

Conditions = Literal["nominal", "strong", "weak"]

SUPERMODULE_COLUMNS = 20  # crystals in phi; 85 in eta
_HALF = EB_SHAPE[0] // 2
_STREAM = 8000


@dataclass(frozen=True)
class Detector:
    """One detector; every number of the nominal one leaves the simulation as it is.

    Attributes
    ----------
    intercalibration
        Relative spread of the crystals' constants, beyond what the nominal detector has.
    eta_loss
        Share of the response that is lost at the barrel's ends, growing with the square of eta.
    material
        Factor on the tracker's material.
    noise
        Factor on the barrel crystals' noise.
    supermodule_offset
        Relative spread of the supermodules' energy scales.
    supermodule_tilt
        Relative spread of the change of scale from a supermodule's centre to its edge, in eta and
        in phi.
    seed
        Of the maps.
    """

    intercalibration: float = 0.0
    eta_loss: float = 0.0
    material: float = 1.0
    noise: float = 1.0
    supermodule_offset: float = 0.0
    supermodule_tilt: float = 0.0
    seed: int = 0

    @property
    def response(self) -> NDArray[np.float32] | None:
        """(61200,) factor on the energy in every barrel crystal; None where it is 1 everywhere."""
        sizes = (
            self.intercalibration, self.eta_loss, self.supermodule_offset, self.supermodule_tilt,
        )  # fmt: skip
        return _map_of(self) if any(sizes) else None


NOMINAL = Detector()
_SIZES: dict[str, dict[str, float]] = {
    "nominal": {},
    "strong": {
        "intercalibration": 0.015, "eta_loss": 0.05, "material": 1.5, "noise": 1.5,
        "supermodule_offset": 0.008, "supermodule_tilt": 0.008,
    },
    "weak": {
        "intercalibration": 0.005, "eta_loss": 0.015, "material": 1.15, "noise": 1.15,
        "supermodule_offset": 0.003, "supermodule_tilt": 0.003,
    },
}  # fmt: skip


def detector_of(conditions: Conditions, seed: int = 0) -> Detector:
    """The detector of the given conditions; other seeds have other maps of the same sizes."""
    return Detector(**_SIZES[conditions], seed=seed) if _SIZES[conditions] else NOMINAL


def detector_named(name: str) -> Detector:
    """The detector of a name such as nominal, strong_0 or weak_2: its conditions and its seed.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    conditions, _, seed = name.partition("_")
    known: dict[str, Conditions] = {"strong": "strong", "weak": "weak"}
    if name == "nominal":
        return NOMINAL
    if conditions not in known or not seed.isdecimal():
        raise ConfigError(f"no detector {name!r}: known are nominal, strong_0, weak_0, strong_1, …")
    return detector_of(known[conditions], int(seed))


@lru_cache(maxsize=8)
def _map_of(detector: Detector) -> NDArray[np.float32]:
    rng = np.random.default_rng([_STREAM, detector.seed])
    rows, columns = EB_SHAPE
    crystals = 1 + detector.intercalibration * rng.standard_normal(EB_SHAPE)
    modules = (2, columns // SUPERMODULE_COLUMNS)
    offset = detector.supermodule_offset * rng.standard_normal(modules)
    tilt_eta = detector.supermodule_tilt * rng.standard_normal(modules)
    tilt_phi = detector.supermodule_tilt * rng.standard_normal(modules)
    row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
    side, module = row // _HALF, column // SUPERMODULE_COLUMNS
    along = (row % _HALF + 0.5) / (_HALF / 2) - 1  # -1 to 1 across the supermodule
    across = (column % SUPERMODULE_COLUMNS + 0.5) / (SUPERMODULE_COLUMNS / 2) - 1
    scale = 1 + offset[side, module] + tilt_eta[side, module] * along
    scale = scale + tilt_phi[side, module] * across
    distance = np.abs(row + 0.5 - _HALF) / _HALF  # in |eta|, 0 at the centre, 1 at the ends
    light = 1 - detector.eta_loss * distance**2
    response = (crystals * scale * light).astype(np.float32).ravel()
    response.setflags(write=False)
    return response
