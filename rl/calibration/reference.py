"""What nominal simulation says of the mass of a pair: data is compared with it, not with the Z."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from envs.calibration.candidates import Candidates
from envs.calibration.config import CalibrationEnvConfig
from rl.calibration.cases import in_window
from rl.calibration.config import CalibrateConfig
from rl.calibration.detectors import kept_folder, key_of
from rl.calibration.networks import PlaceNetwork, train_on_masses, train_on_truth
from rl.calibration.prepared import PreparedPairs

_KEYS = {"environment", "network", "policies", "seed", "window"}


@dataclass(frozen=True)
class Reference:
    """Peak of nominal Z → ee, and how it varies by place.

    Electrons radiate, and more of them do where there is more material: without the part by place
    a calibration would correct photons for the nominal detector's material.

    Attributes
    ----------
    log_mass
        log of the median mass of nominal Z → ee in the window.
    by_mass
        Changes of log energy that would bring nominal Z → ee to that mass everywhere.
    by_truth
        Changes that would bring nominal electrons to their true energies; for the oracle only.
    """

    log_mass: float
    by_mass: list[PlaceNetwork]
    by_truth: list[PlaceNetwork]

    def candidates(self, pairs: PreparedPairs) -> Candidates:
        """Pairs with their log(m / m_ref), which is all a calibration knows."""
        found = pairs.candidates(self.log_mass)
        by_place = np.mean([network(found) for network in self.by_mass], axis=0)
        return found.with_log_mass(found.log_mass + by_place.sum(axis=1) / 2)

    def lesson(self, pairs: PreparedPairs) -> PreparedPairs:
        """Electrons with the true change that is due to the detector, not to their radiation."""
        pairs = pairs.matched()
        seen = pairs.candidates(self.log_mass)
        nominal = np.mean([network(seen) for network in self.by_truth], axis=0)
        return replace(pairs, left=pairs.left - nominal)


def split_nominal(zee: PreparedPairs, share: float) -> tuple[PreparedPairs, PreparedPairs]:
    """Nominal Z → ee of the reference, and those of the closure test."""
    first = round(share * len(zee))
    return zee.take(slice(first)), zee.take(slice(first, None))


def make_reference(zee: PreparedPairs, config: CalibrateConfig, path: Path, key: str) -> Reference:
    """Learn the reference from nominal Z → ee; networks are kept in `path`."""
    settings = config.model_dump(mode="json", include=_KEYS)
    kept = kept_folder(path, key_of(key, len(zee), settings))
    zee = in_window(zee, config.window)
    log_mass = float(np.log(np.median(zee.mass)))
    environment = config.environment.model_copy(update={"blocks": ["position"]})
    networks: dict[str, list[PlaceNetwork]] = {"mass": [], "truth": []}
    for name, found in networks.items():
        for k in range(config.policies):
            file = kept / f"{name}_{k}.pt"
            if not file.is_file():
                _train(name, zee, log_mass, config, environment, k).save(file)
            found.append(PlaceNetwork.load(file))
    return Reference(log_mass, networks["mass"], networks["truth"])


def _train(
    name: str,
    zee: PreparedPairs,
    log_mass: float,
    config: CalibrateConfig,
    environment: CalibrationEnvConfig,
    k: int,
) -> PlaceNetwork:
    if name == "truth":
        zee = zee.matched()
    seen, seed = zee.candidates(log_mass), config.seed + k
    if name == "mass":
        return train_on_masses(seen, environment, config.network, seed)
    left = zee.left.astype(np.float32)
    return train_on_truth(seen, left, environment, config.network, seed)
