"""What the agent, and every method that is compared with it, knows of a photon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.photons.table import PhotonTable
from envs.refinement.features import kinematics
from envs.refinement.shower import residual_image

FloatArray = NDArray[np.float32]

CLIP = 6.0


@dataclass(frozen=True)
class ProfileInputs:
    """Constant features of photons: place, surroundings, and the crystals of the crop.

    Attributes
    ----------
    mean, std
        (10,) of the places' features, of the training photons.
    """

    mean: FloatArray
    std: FloatArray

    @classmethod
    def fit(cls, table: PhotonTable) -> ProfileInputs:
        """Measure the training photons."""
        values = _places(table)
        return cls(values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6))

    def __call__(self, table: PhotonTable) -> FloatArray:
        """(n, 131) features within ±6: 10 of the place, 121 crystals."""
        places = (_places(table) - self.mean) / self.std
        crop = table.crop.reshape(len(table), -1) / table.energy[:, None]
        crystals = log_scaled(crop)
        return np.concatenate([places, crystals], axis=1).clip(-CLIP, CLIP).astype(np.float32)

    @staticmethod
    def names(table: PhotonTable) -> tuple[str, ...]:
        """Names of the features."""
        size = table.crop[0].size
        return (*kinematics(table.take(np.arange(1))), *(f"crystal_{k}" for k in range(size)))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As arrays for a NumPy archive."""
        return {"mean": self.mean, "std": self.std}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ProfileInputs:
        """Inverse of `to_arrays`."""
        return cls(arrays["mean"], arrays["std"])


def log_scaled(share: FloatArray) -> FloatArray:
    """Shares, or differences of shares, (n, k) on the log scale of the residual images."""
    return residual_image(share, np.zeros_like(share), np.zeros(len(share), np.float32))


def _places(table: PhotonTable) -> FloatArray:
    return np.stack(list(kinematics(table).values()), axis=1).astype(np.float32)
