"""The photons of a run with their first peaks, split for training and for judging."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path
from e2e.low_level.regression import fold_of
from envs.profile.dynamics import ProfileDynamics, fitted
from envs.profile.finder import crystals_of, find_peaks
from envs.profile.observation import ProfileInputs
from envs.profile.photons import ProfilePhotons
from envs.profile.simulate import make_profiles
from rl.profile.config import ProfileConfig

FloatArray = NDArray[np.float32]

PEAKS_FILE, PHOTONS_FOLDER = "peaks.npz", "photons"


@dataclass(frozen=True)
class Half:
    """Photons for training, or for judging.

    Attributes
    ----------
    photons
        Photons with their true profiles.
    found
        (n, 10) peaks of the finder, on its grid.
    dynamics
        The environment's rules on these photons, from the configured start.
    """

    photons: ProfilePhotons
    found: FloatArray
    dynamics: ProfileDynamics


@dataclass(frozen=True)
class Study:
    """Both halves."""

    train: Half
    test: Half


def prepare(config: ProfileConfig) -> None:
    """Simulate the photons and find their first peaks, unless that is done."""
    photons = _photons(config, config.workers)
    path = config.output / PEAKS_FILE
    if path.is_file():
        with np.load(path) as archive:
            if len(archive["found"]) == len(photons):
                return
    energy = crystals_of(photons.photons)
    found = find_peaks(energy)
    with atomic_path(path) as temporary:
        np.savez(temporary, found=found, fitted=fitted(energy, found))


@lru_cache(maxsize=1)
def load_study(settings: str) -> Study:
    """The study of a configuration (as JSON), kept in memory by every process."""
    config = ProfileConfig.model_validate_json(settings)
    photons = _photons(config, 1)
    with np.load(config.output / PEAKS_FILE) as archive:
        found, first = archive["found"], archive["fitted"]
    if config.environment.start == "finder":
        first = found
    folds = round(1 / config.test_fraction)
    held_out = fold_of(photons.photons.group, folds, config.seed) == 0
    inputs = ProfileInputs.fit(photons.photons.take(np.flatnonzero(~held_out)))

    def half(rows: NDArray[np.int64]) -> Half:
        some = photons.take(rows)
        dynamics = ProfileDynamics(
            some.photons, inputs, config.environment, some.profile, first[rows]
        )
        return Half(some, found[rows], dynamics)

    return Study(half(np.flatnonzero(~held_out)), half(np.flatnonzero(held_out)))


def photons_folder(config: ProfileConfig) -> Path:
    """Where the simulated photons are."""
    return config.photons or config.output / PHOTONS_FOLDER


def _photons(config: ProfileConfig, workers: int) -> ProfilePhotons:
    folder = photons_folder(config)
    return make_profiles(folder, config.events, config.pileup, config.seed, workers)
