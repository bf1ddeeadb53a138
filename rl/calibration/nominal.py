"""The nominal regression of photons, which every calibration corrects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.files import atomic_path
from e2e.low_level import regression
from e2e.low_level.regression import Regression, RegressionConfig
from envs.photons.table import FloatArray, PhotonTable
from envs.refinement.config import EnvironmentConfig
from envs.refinement.observation import ObservationModel

#: Kinematics and shower shapes; the classifier's outputs add nothing to the energy.
_ENVIRONMENT = EnvironmentConfig(blocks=["kinematics", "shapes"])


@dataclass(frozen=True)
class PhotonRegression:
    """Corrections of log energy, u and v of photons, and of electrons as if they were photons.

    Attributes
    ----------
    inputs
        Features with the training photons' standardisation.
    network
        What predicts from them.
    """

    inputs: ObservationModel
    network: Regression

    def __call__(self, photons: PhotonTable) -> FloatArray:
        """(n, 3) corrections."""
        return self.network.predict(self.inputs.constant(photons))

    def save(self, folder: Path) -> None:
        """Write `inputs.npz` and `network.pt`."""
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "inputs.npz") as temporary:
            arrays: dict[str, Any] = self.inputs.to_arrays()
            np.savez(temporary, **arrays)
        self.network.save(folder / "network.pt")

    @classmethod
    def load(cls, folder: Path) -> PhotonRegression:
        """Read what `save` wrote."""
        with np.load(folder / "inputs.npz") as archive:
            arrays = {name: archive[name] for name in archive.files}
        return cls(ObservationModel.from_arrays(arrays), Regression.load(folder / "network.pt"))


def train_regression(photons: PhotonTable, config: RegressionConfig, seed: int) -> PhotonRegression:
    """Teach it the truth of a gun's photons, flat in pt and eta."""
    photons = photons.matched()
    assert photons.target is not None
    inputs = ObservationModel.fit(photons, _ENVIRONMENT)
    seen = inputs.constant(photons)
    networks = [
        regression.train(seen, photons.target, _ENVIRONMENT, config, seed + k)
        for k in range(config.folds)
    ]
    return PhotonRegression(inputs, regression.mean(networks))
