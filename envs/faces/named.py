"""Environments that `gym.make` knows by name: a dynamics made from a sample and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gymnasium.vector import AutoresetMode

from envs.faces.dynamics import Dynamics
from envs.faces.single import DynamicsEnv
from envs.faces.vector import DynamicsVectorEnv


class NamedEnv(DynamicsEnv):
    """A `DynamicsEnv` with the arguments of `gym.make`; subclasses say what it is about.

    Parameters
    ----------
    render_mode
        As for `DynamicsEnv`.
    sample
        File that episodes start from; None: the one shipped with the project.
    dynamics
        Rules to use instead of a sample.
    **settings
        Override the sample's.
    """

    @staticmethod
    def make_dynamics(sample: str | Path | None, settings: dict[str, Any]) -> Dynamics[Any]:
        """The rules of a sample, its settings overridden by `settings`."""
        raise NotImplementedError

    def __init__(
        self,
        render_mode: str | None = None,
        sample: str | Path | None = None,
        dynamics: Dynamics[Any] | None = None,
        **settings: Any,
    ) -> None:
        rules = self.make_dynamics(sample, settings) if dynamics is None else dynamics
        super().__init__(rules, render_mode)


class NamedVectorEnv(DynamicsVectorEnv):
    """A `DynamicsVectorEnv` with the arguments of `gym.make_vec`.

    Parameters
    ----------
    num_envs, render_mode, autoreset_mode
        As for `DynamicsVectorEnv`.
    sample, dynamics, **settings
        As for `NamedEnv`.
    """

    single: type[NamedEnv]

    def __init__(
        self,
        num_envs: int = 1,
        render_mode: str | None = None,
        sample: str | Path | None = None,
        dynamics: Dynamics[Any] | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        **settings: Any,
    ) -> None:
        rules = self.single.make_dynamics(sample, settings) if dynamics is None else dynamics
        super().__init__(rules, num_envs, render_mode, autoreset_mode)
