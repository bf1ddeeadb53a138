"""Who starts where: the same for one environment alone as among thousands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


def draw_starts(
    seed: NDArray[np.uint64], episode: NDArray[np.uint64], n_starts: int
) -> NDArray[np.int64]:
    """Start of each environment's episode: a hash of its seed and its count of episodes.

    A counter-based generator (splitmix64) needs no state and no loop over environments, and gives
    an environment the same starts alone as among thousands.
    """
    with np.errstate(over="ignore"):
        x = _splitmix(seed) + episode * _GOLDEN
        return (_splitmix(x) % np.uint64(n_starts)).astype(np.int64)


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

    Attributes
    ----------
    seeds, episodes
        (n,) their state: with both restored, the same starts follow.
    """

    def __init__(self, seeds: NDArray[np.integer]) -> None:
        self.seeds = np.asarray(seeds).astype(np.uint64)
        self.episodes = np.zeros(len(self.seeds), dtype=np.uint64)

    def draw(
        self, n_starts: int, which: NDArray[np.bool_] | slice = slice(None)
    ) -> NDArray[np.int64]:
        """Next start of the chosen environments."""
        chosen = draw_starts(self.seeds[which], self.episodes[which], n_starts)
        self.episodes[which] += np.uint64(1)
        return chosen
