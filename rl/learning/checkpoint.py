"""Checkpoints of a training: everything that its rest depends on, in one file.

A training that is killed and goes on from its last checkpoint ends with the same bits as one that
was left alone.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from common.errors import InputError
from common.files import atomic_path
from envs.faces.sb3 import DynamicsVecEnv
from envs.faces.starts import Starts
from rl.learning.noise import BatchNoise

_FORMAT = 1
_COUNTERS = (
    "num_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining",
    "_total_timesteps", "_num_timesteps_at_start",
)  # fmt: skip
_COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


@dataclass(frozen=True)
class Checkpoint:
    """Where a training's state is kept, and what it belongs to.

    Attributes
    ----------
    path
        The file.
    identity
        What has to be the same for a training to go on, by what it is called in a message:
        configuration, seed, checksum of the classifier, ...
    every
        Gradient steps between two writings.
    normalisation
        Arrays that turn raw features into the agent's observation. They are not needed to go on,
        but a policy taken from the file is of no use without them.
    """

    path: Path
    identity: Mapping[str, Any]
    every: int = 1000
    normalisation: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def write(self, agent: OffPolicyAlgorithm, curve: list[dict[str, float]]) -> None:
        """Write the training's state, atomically."""
        content = {
            "format": _FORMAT,
            "identity": _plain(self.identity),
            "agent": _parameters(agent),
            "counters": {name: getattr(agent, name) for name in _COUNTERS},
            "buffer": _buffer_state(agent),
            "environments": _environment_state(agent),
            "random": _random_state(agent),
            "normalisation": {n: _tensor_or_list(a) for n, a in self.normalisation.items()},
            "curve": curve,
        }
        with atomic_path(self.path) as temporary:
            torch.save(content, temporary)

    def restore(self, agent: OffPolicyAlgorithm) -> list[dict[str, float]]:
        """Bring a new agent of the same configuration to the state of the file; its curve so far.

        Raises
        ------
        InputError
            If the file is damaged, or is of another training.
        """
        content = self._read()
        try:
            _restore_parameters(agent, content["agent"])
            for name, value in content["counters"].items():
                setattr(agent, name, value)
            _restore_buffer(agent, content["buffer"])
            _restore_environments(agent, content["environments"])
            _restore_random(agent, content["random"])
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise InputError(self.path, f"damaged checkpoint ({error})", "delete it") from error
        return content["curve"]

    def _read(self) -> dict[str, Any]:
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            found, known = content["identity"], _plain(self.identity)
        except (OSError, EOFError, KeyError, RuntimeError, TypeError, pickle.PickleError) as error:
            raise InputError(
                self.path, f"not a readable checkpoint ({error})", "delete it to start afresh"
            ) from error
        if content.get("format") != _FORMAT:
            raise InputError(
                self.path, f"format {content.get('format')}, this program reads {_FORMAT}",
                "delete it to start afresh",
            )  # fmt: skip
        for name in sorted({*found, *known}):
            if found.get(name) != known.get(name):
                raise InputError(
                    self.path,
                    f"a training with another {name}: {_short(found.get(name))} there, "
                    f"{_short(known.get(name))} here",
                    "give it what it was trained with, or delete it to start afresh",
                )
        return content


def checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 of arrays and their names, for a checkpoint's identity."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


class CheckpointWriter(BaseCallback):
    """Write a checkpoint every so many gradient steps.

    Parameters
    ----------
    checkpoint
        Where to.
    points
        The learning curve, which grows meanwhile.
    """

    def __init__(self, checkpoint: Checkpoint, points: list[dict[str, float]]) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._points = points
        self._written = 0

    def _on_training_start(self) -> None:
        self._written = self._updates

    def _on_rollout_start(self) -> None:
        # Between the gradient steps before and the environments' step after: nothing is half done.
        if self._updates - self._written >= self._checkpoint.every:
            assert isinstance(self.model, OffPolicyAlgorithm)
            self._checkpoint.write(self.model, self._points)
            self._written = self._updates

    def _on_step(self) -> bool:
        return True

    @property
    def _updates(self) -> int:
        assert isinstance(self.model, OffPolicyAlgorithm)
        return self.model._n_updates


def _parameters(agent: OffPolicyAlgorithm) -> dict[str, Any]:
    """Networks and optimisers, as stable-baselines3 saves them; SAC's entropy coefficient too."""
    state = dict(agent.get_parameters())
    log_coefficient = getattr(agent, "log_ent_coef", None)
    if log_coefficient is not None:
        state["log_ent_coef"] = log_coefficient.detach()
    return state


def _restore_parameters(agent: OffPolicyAlgorithm, state: dict[str, Any]) -> None:
    log_coefficient = state.pop("log_ent_coef", None)
    if log_coefficient is not None:
        with torch.no_grad():
            agent.log_ent_coef.copy_(log_coefficient)  # type: ignore[attr-defined]
    agent.set_parameters(state, exact_match=True, device="cpu")


def _buffer_state(agent: OffPolicyAlgorithm) -> dict[str, Any]:
    buffer = agent.replay_buffer
    assert isinstance(buffer, ReplayBuffer)
    # One row more than is filled: with optimised memory it holds the last next observation.
    rows = buffer.buffer_size if buffer.full else min(buffer.pos + 1, buffer.buffer_size)
    columns = {
        n: torch.from_numpy(c[:rows]) for n in _COLUMNS if (c := _column(buffer, n)) is not None
    }
    return {"position": buffer.pos, "full": buffer.full, "columns": columns}


def _restore_buffer(agent: OffPolicyAlgorithm, state: dict[str, Any]) -> None:
    buffer = agent.replay_buffer
    assert isinstance(buffer, ReplayBuffer)
    for name, values in state["columns"].items():
        column = _column(buffer, name)
        assert column is not None
        column[: len(values)] = values.numpy()
    buffer.pos, buffer.full = state["position"], state["full"]


def _column(buffer: ReplayBuffer, name: str) -> NDArray[Any] | None:
    return getattr(buffer, name, None)


def _environment_state(agent: OffPolicyAlgorithm) -> dict[str, Any]:
    """Seeds and counts that starts are drawn from, and the episodes under way."""
    env = _environments(agent)
    starts, state = env.vector_env._starts, env.vector_env._state
    assert starts is not None
    assert agent._last_obs is not None
    return {
        "seeds": torch.from_numpy(starts.seeds.view(np.int64)),
        "episodes": torch.from_numpy(starts.episodes.view(np.int64)),
        "state": {f.name: torch.as_tensor(getattr(state, f.name)) for f in fields(state)},
        "observation": torch.from_numpy(np.asarray(agent._last_obs)),
    }


def _restore_environments(agent: OffPolicyAlgorithm, state: dict[str, Any]) -> None:
    env = _environments(agent)
    starts = Starts(state["seeds"].numpy().view(np.uint64))
    starts.episodes = state["episodes"].numpy().view(np.uint64)
    like = env.vector_env.dynamics.start(np.zeros(1, dtype=np.int64))
    env.vector_env._starts = starts
    env.vector_env._state = replace(like, **{n: v.numpy() for n, v in state["state"].items()})
    agent._last_obs = state["observation"].numpy()
    agent._last_original_obs = None


def _environments(agent: OffPolicyAlgorithm) -> DynamicsVecEnv:
    assert isinstance(agent.env, DynamicsVecEnv)
    return agent.env


def _random_state(agent: OffPolicyAlgorithm) -> dict[str, Any]:
    """Of torch, NumPy (the replay buffer draws from its global generator) and the exploration."""
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    assert isinstance(keys, np.ndarray)
    noise = agent.action_noise
    return {
        "torch": torch.get_rng_state(),
        "numpy": [torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "noise": noise.state() if isinstance(noise, BatchNoise) else "",
        "actions": json.dumps(agent.action_space.np_random.bit_generator.state),
    }


def _restore_random(agent: OffPolicyAlgorithm, state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    keys, *rest = state["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    if isinstance(agent.action_noise, BatchNoise):
        agent.action_noise.restore(state["noise"])
    agent.action_space.np_random.bit_generator.state = json.loads(state["actions"])


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it, so that a file's is equal to the one it was written from."""
    return json.loads(json.dumps(dict(identity)))


def _tensor_or_list(values: NDArray[Any]) -> Any:
    return torch.from_numpy(values) if values.dtype.kind in "fiub" else values.tolist()


def _short(value: Any) -> str:
    text = "none" if value in (None, "") else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
