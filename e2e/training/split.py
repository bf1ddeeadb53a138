"""Which events train, validate and test: decided by a hash of the group, so siblings stay together.

The hash makes the split a property of the parton event: it depends neither on the order of the
events nor on how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from e2e.config import SplitConfig


@dataclass(frozen=True)
class Split:
    """Row numbers of one fold."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def uniform_hash(group: NDArray[np.integer], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each group, the same on every machine (splitmix64)."""
    with np.errstate(over="ignore"):
        x = group.astype(np.uint64) + np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) / 2.0**53


def fold_of(group: NDArray[np.integer], config: SplitConfig) -> NDArray[np.int64]:
    """(N,) fold in 0..folds-1 of each event."""
    return (uniform_hash(group, config.seed) * config.folds).astype(np.int64)


def make_split(
    group: NDArray[np.integer], usable: NDArray[np.bool_], fold: int, config: SplitConfig
) -> Split:
    """Rows that train, validate and test the model of one fold; unusable events are in none."""
    held_out = fold_of(group, config) == fold
    # A second hash, so that validation groups are a random share of every other fold.
    validation = ~held_out & (uniform_hash(group, config.seed + 1000003) < config.validation)
    train = ~held_out & ~validation
    return Split(*(np.flatnonzero(part & usable) for part in (train, validation, held_out)))
