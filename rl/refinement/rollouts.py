"""Rollouts of several policies on the same events, as HDF5; see `docs/rollouts.md`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path
from envs.refinement.dynamics import RefinementDynamics
from rl.evaluation.pairs import Pairs
from rl.learning.agents import FloatArray, Policy
from rl.refinement.episodes import Rollout, roll_out
from rl.refinement.products import write_dataset

SCHEMA = "photon-rollouts"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class NamedRollout:
    """A rollout of every photon of the chosen events under one policy."""

    name: str
    rollout: Rollout


def several_rollouts(
    dynamics: RefinementDynamics,
    policies: Mapping[str, Policy],
    noise: float,
    copies: int,
    seed: int,
) -> list[NamedRollout]:
    """Each policy without noise, and the first of them `copies` times with noisy actions.

    They are several possible results for the same event; which of them is best only the truth
    could say, so none is called so.
    """
    found = [NamedRollout(n, roll_out(dynamics, policy)) for n, policy in policies.items()]
    name, policy = next(iter(policies.items()))
    rng = np.random.default_rng(seed)
    for copy in range(copies):
        noisy = roll_out(dynamics, policy, noise=noise, rng=rng)
        found.append(NamedRollout(f"{name} with noise {copy + 1}", noisy))
    return found


def write_rollouts(
    path: Path, pairs: Pairs, rollouts: list[NamedRollout], attributes: Mapping[str, Any]
) -> None:
    """Write E events x R rollouts x 2 photons x K steps.

    Parameters
    ----------
    pairs
        The E pairs; all of their photons, and no others, were rolled out.
    rollouts
        Their rollouts.
    """
    index = np.stack([pairs.first, pairs.second], axis=1)  # (E, 2)
    stacked = {
        name: np.stack([_by_event(getattr(r.rollout, name), index) for r in rollouts], axis=1)
        for name in ("correction", "action", "reward")
    }
    steps = rollouts[0].rollout.correction.shape[0]
    mass = np.stack(
        [[pairs.masses(r.rollout.correction[k]) for k in range(steps)] for r in rollouts]
    )  # (R, K + 1, E)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["rollouts"] = [r.name for r in rollouts]
        file.attrs.update(attributes)
        write_dataset(file, "event/row", pairs.row)
        write_dataset(file, "event/label", pairs.label)
        write_dataset(file, "m_gg", mass.transpose(2, 0, 1).astype(np.float32))
        for name, values in stacked.items():
            write_dataset(file, name, values)


def _by_event(values: FloatArray, index: NDArray[np.int64]) -> FloatArray:
    """(steps, n, ...) to (E, 2, steps, ...)."""
    return np.moveaxis(values[:, index], 0, 2).astype(np.float32)
