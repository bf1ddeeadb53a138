"""What an environment has to say for itself; the faces make the rest of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from envs.faces.arrays import like, namespace

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: A dataclass whose attributes are arrays with one row per episode under way.
S = TypeVar("S")


class Dynamics(Protocol[S]):
    """The rules of an environment, on arrays: any number of episodes at once, without a loop.

    Every face (Gymnasium's `Env` and `VectorEnv`, stable-baselines3's `VecEnv`) calls these
    functions, so that an environment is written once. They draw no random numbers: what an episode
    starts from is chosen by the face, by a hash of its seed. Arrays may be tensors of torch where
    the dynamics keeps its own so (`envs.faces.arrays`).

    Attributes
    ----------
    steps
        Steps of an episode.
    start_name
        What an episode starts from, such as "photon": its key in options and infos.
    observation_names, action_names
        Names of the d features and the a actions.
    observation_bound
        Features lie within ± this.
    """

    steps: int
    start_name: str
    observation_names: tuple[str, ...]
    action_names: tuple[str, ...]
    observation_bound: float

    def __len__(self) -> int:
        """Number of things an episode can start from."""

    def start(self, which: IntArray) -> S:
        """Open an episode on each of the given things (m,)."""

    def step(self, state: S, action: NDArray[np.floating]) -> tuple[S, FloatArray, BoolArray]:
        """Act, (m, a) within ±1: the state after it, rewards (m,), and whether it was the last."""

    def observe(self, state: S) -> FloatArray:
        """(m, d) observations."""

    def info(self, state: S) -> Mapping[str, NDArray[Any]]:
        """What infos tell, each with m rows; never the truth."""

    def draw(self, state: S) -> NDArray[np.uint8]:
        """The first episode as an image, (H, W, 3); `envs.faces.pictures` makes one of a figure."""


def rows(state: S, which: NDArray[Any]) -> S:
    """The chosen episodes."""

    def chosen(values: Any) -> Any:
        return values[like(which, values)]

    return replace(state, **{f.name: chosen(getattr(state, f.name)) for f in fields(state)})  # type: ignore[arg-type, type-var]


def merge(state: S, fresh: S, mask: BoolArray) -> S:
    """Episodes with those in the mask replaced by fresh ones."""
    merged = {}
    for field in fields(state):  # type: ignore[arg-type]
        old = getattr(state, field.name)
        values = namespace(old).asarray(old, copy=True)
        values[like(mask, values)] = getattr(fresh, field.name)
        merged[field.name] = values
    return replace(state, **merged)  # type: ignore[type-var]
