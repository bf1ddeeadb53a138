"""What the three faces of the environment share: sample, spaces, and who starts where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from common.config import build
from envs.config import EnvironmentConfig
from envs.dynamics import ACTION_NAMES, RefinementDynamics
from envs.observation import CLIP, ObservationModel
from envs.sample import read_sample

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


def make_dynamics(sample: str | Path | None, settings: dict[str, Any]) -> RefinementDynamics:
    """Dynamics of a sample (the shipped one for None), its settings overridden by `settings`."""
    table, model, config = read_sample(sample)
    blocks = config.blocks
    config = build(EnvironmentConfig, config.model_dump(), settings)
    if config.blocks != blocks:
        model = ObservationModel.fit(table, config)
    return RefinementDynamics(table, model, config)


def observation_space(dynamics: RefinementDynamics) -> Any:
    """Box of one observation."""
    return spaces.Box(-CLIP, CLIP, (dynamics.observation_size,), np.float32)


def action_space() -> Any:
    """Box of one action."""
    return spaces.Box(-1.0, 1.0, (len(ACTION_NAMES),), np.float32)


def draw_photons(
    seed: NDArray[np.uint64], episode: NDArray[np.uint64], n_photons: int
) -> NDArray[np.int64]:
    """Photon of each environment's episode: a hash of its seed and its count of episodes.

    A counter-based generator (splitmix64) needs no state and no loop over environments, and gives
    an environment the same photons alone as among thousands.
    """
    with np.errstate(over="ignore"):
        x = _splitmix(seed) + episode * _GOLDEN
        return (_splitmix(x) % np.uint64(n_photons)).astype(np.int64)


def _splitmix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * _MIX_A
    x = (x ^ (x >> np.uint64(27))) * _MIX_B
    return x ^ (x >> np.uint64(31))


class Starts:
    """Seeds and episode counts of n environments.

    Parameters
    ----------
    seeds
        (n,) seeds; environment i of a vector gets the vector's seed + i, as Gymnasium and
        stable-baselines3 do.
    """

    def __init__(self, seeds: NDArray[np.integer]) -> None:
        self._seeds = np.asarray(seeds).astype(np.uint64)
        self._episodes = np.zeros(len(self._seeds), dtype=np.uint64)

    def draw(
        self, n_photons: int, which: NDArray[np.bool_] | slice = slice(None)
    ) -> NDArray[np.int64]:
        """Next photon of the chosen environments."""
        photon = draw_photons(self._seeds[which], self._episodes[which], n_photons)
        self._episodes[which] += np.uint64(1)
        return photon
