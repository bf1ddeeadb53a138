"""Rollouts of several policies on the same events, in Minari's format; see `docs/rollouts.md`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path, write_json
from envs.faces.single import action_space, observation_space
from envs.photons.table import PhotonTable
from envs.refinement.dynamics import Hypotheses, RefinementDynamics
from rl.evaluation.pairs import Pairs
from rl.learning.agents import FloatArray, Policy
from rl.refinement.episodes import Rollout, roll_out

SCHEMA = "photon-rollouts"
SCHEMA_VERSION = 2
_DATA, _METADATA = Path("data") / "main_data.hdf5", Path("data") / "metadata.json"
#: Version of Minari whose format this is.
_MINARI = "0.5.3"
_STEPWISE = ("observations", "actions", "rewards")
_INFOS = ("correction", "m_gg")
_CONSTANT = ("row", "slot", "label")


@dataclass(frozen=True)
class NamedRollout:
    """A rollout of every photon of the chosen events under one policy.

    Attributes
    ----------
    name
        Of the policy.
    rollout
        Its episodes, one of each of the n photons of the dynamics.
    dynamics
        What it was played in.
    """

    name: str
    rollout: Rollout
    dynamics: RefinementDynamics

    def observations(self) -> FloatArray:
        """(K + 1, n, d) what the policy saw, and what it would have seen after the last step."""
        photon = np.arange(len(self.dynamics))
        unknown = np.zeros(len(photon), dtype=np.float32)
        return np.stack(
            [
                self.dynamics.observe(
                    Hypotheses(photon, correction, np.full_like(photon, step), unknown)
                )
                for step, correction in enumerate(self.rollout.correction)
            ]
        )


@dataclass(frozen=True)
class Rollouts:
    """E events x R policies x 2 photons x K steps.

    Attributes
    ----------
    policies
        Names of the R policies.
    observation_names
        Names of the d features.
    row, label
        (E,) row of the event store, and class of the event.
    photon
        (E, 2) row of the photon in the table that was rolled out.
    observations
        (E, R, 2, K + 1, d).
    correction
        (E, R, 2, K + 1, 3) hypotheses: change of log energy, u, v from the standard reconstruction.
    actions
        (E, R, 2, K, 3) in units of the largest step.
    rewards
        (E, R, 2, K).
    m_gg
        (E, R, K + 1) mass of the pair if both photons stopped at that step, GeV.
    """

    policies: tuple[str, ...]
    observation_names: tuple[str, ...]
    row: NDArray[np.int64]
    label: NDArray[np.int64]
    photon: NDArray[np.int64]
    observations: FloatArray
    correction: FloatArray
    actions: FloatArray
    rewards: FloatArray
    m_gg: FloatArray


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
    found = [
        NamedRollout(name, roll_out(dynamics, policy), dynamics)
        for name, policy in policies.items()
    ]
    name, policy = next(iter(policies.items()))
    rng = np.random.default_rng(seed)
    for copy in range(copies):
        noisy = roll_out(dynamics, policy, noise=noise, rng=rng)
        found.append(NamedRollout(f"{name} with noise {copy + 1}", noisy, dynamics))
    return found


def write_rollouts(
    folder: Path, pairs: Pairs, rollouts: list[NamedRollout], attributes: Mapping[str, Any]
) -> None:
    """Write one episode per event, policy and photon, in this order.

    Parameters
    ----------
    folder
        Folder to write; `minari.MinariDataset(folder / "data")` opens it.
    pairs
        The E pairs; all of their photons, and no others, were rolled out.
    rollouts
        Their rollouts.
    attributes
        Provenance, kept with the metadata.
    """
    (folder / _METADATA).unlink(missing_ok=True)
    played = [(named, named.observations(), _masses(pairs, named)) for named in rollouts]
    count = 0
    with atomic_path(folder / _DATA) as temporary, h5py.File(temporary, "w") as file:
        for event in range(len(pairs)):
            for named, seen, mass in played:
                for photon in (int(pairs.first[event]), int(pairs.second[event])):
                    group = file.create_group(f"episode_{count}")
                    group.attrs["id"] = count
                    infos = _infos(pairs.table, photon, named) | {"m_gg": mass[:, event]}
                    _write_episode(group, named.rollout, photon, seen[:, photon], infos)
                    count += 1
    write_json(folder / _METADATA, _metadata(rollouts, count) | dict(attributes))


def read_rollouts(folder: Path) -> Rollouts:
    """Read what `write_rollouts` wrote, event by event; Minari is not needed.

    Raises
    ------
    InputError
        If the folder holds no rollouts of this project.
    """
    if not (folder / _METADATA).is_file():
        raise InputError(folder, "no rollouts in this folder", "give `rollouts` of an `rl` run")
    metadata = json.loads((folder / _METADATA).read_text(encoding="utf-8"))
    if (metadata.get("schema"), metadata.get("schema_version")) != (SCHEMA, SCHEMA_VERSION):
        raise InputError(folder, f"not {SCHEMA} of version {SCHEMA_VERSION}")
    policies = tuple(metadata["policies"])
    with h5py.File(folder / _DATA) as file:
        episodes = [file[f"episode_{k}"] for k in range(metadata["total_episodes"])]

        def stacked(name: str) -> NDArray[Any]:
            values = np.stack([episode[name][()] for episode in episodes])
            return values.reshape(-1, len(policies), 2, *values.shape[1:])

        found = {name: stacked(name) for name in _STEPWISE}
        found |= {name: stacked(f"infos/{name}") for name in _INFOS}
        constant = {n: stacked(f"infos/{n}")[:, 0, :, 0] for n in ("row", "label", "photon")}
    return Rollouts(
        policies=policies,
        observation_names=tuple(metadata["observation_names"]),
        row=constant["row"][:, 0],
        label=constant["label"][:, 0],
        photon=constant["photon"],
        **{**found, "m_gg": found["m_gg"][:, :, 0]},
    )


def _masses(pairs: Pairs, named: NamedRollout) -> FloatArray:
    """(K + 1, E) masses if both photons stopped at a step."""
    masses = [pairs.masses(correction) for correction in named.rollout.correction]
    return np.stack(masses).astype(np.float32)


def _infos(table: PhotonTable, photon: int, named: NamedRollout) -> dict[str, NDArray[Any]]:
    """What is told of an episode, a line per observation: the first has one too."""
    correction = named.rollout.correction[:, photon]
    lines = len(correction)
    constant = {name: np.full(lines, getattr(table, name)[photon]) for name in _CONSTANT}
    policy = np.array([named.name] * lines, dtype=h5py.string_dtype())
    return {"correction": correction, "photon": np.full(lines, photon), "policy": policy} | constant


def _write_episode(
    group: h5py.Group,
    rollout: Rollout,
    photon: int,
    seen: FloatArray,
    infos: Mapping[str, NDArray[Any]],
) -> None:
    steps = len(rollout.action)
    ends = np.arange(1, steps + 1) == steps
    group.attrs["total_steps"] = steps
    group.create_dataset("observations", data=seen, compression="gzip", shuffle=True)
    group["actions"] = rollout.action[:, photon]
    group["rewards"] = rollout.reward[:, photon]
    group["terminations"] = ends
    group["truncations"] = np.zeros_like(ends)
    for name, values in infos.items():
        group[f"infos/{name}"] = values


def _metadata(rollouts: list[NamedRollout], episodes: int) -> dict[str, Any]:
    dynamics = rollouts[0].dynamics
    return {
        "dataset_id": "rollouts",
        "minari_version": _MINARI,
        "data_format": "hdf5",
        "jpeg_encoding": False,
        "total_episodes": episodes,
        "total_steps": episodes * dynamics.steps,
        "observation_space": _box(observation_space(dynamics)),
        "action_space": _box(action_space(dynamics)),
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "policies": [named.name for named in rollouts],
        "observation_names": list(dynamics.observation_names),
    }


def _box(space: Box) -> str:
    """A space as Minari writes it."""
    limits = {"low": space.low.tolist(), "high": space.high.tolist()}
    content = {"type": "Box", "dtype": str(space.dtype), "shape": list(space.shape), **limits}
    return json.dumps(content)
