"""Train an agent, keeping its learning curve on held-out photons."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypedDict

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from common.metrics import relative_sigma_eff
from envs.dynamics import RefinementDynamics
from envs.sb3_env import PhotonRefinementVecEnv
from rl.agents import FloatArray, make_agent, policy_of, warm_up
from rl.config import AgentConfig
from rl.episodes import roll_out


class CurvePoint(TypedDict):
    """One point of a learning curve."""

    seconds: float
    updates: int
    transitions: int
    sigma_eff_energy: float
    reward: float


def energy_resolution(correction: FloatArray, target: FloatArray) -> float:
    """sigma_eff of E / E_true over its median, for corrections and true corrections (n, 3)."""
    return relative_sigma_eff(np.exp(correction[:, 0].astype(np.float64) - target[:, 0]))


def train_agent(
    train: RefinementDynamics,
    held_out: RefinementDynamics,
    config: AgentConfig,
    seed: int,
    points: int,
    report: Callable[[CurvePoint], None] | None = None,
) -> tuple[OffPolicyAlgorithm, list[CurvePoint]]:
    """Train an agent on `train`; `points` times look at how it does on `held_out`."""
    env = PhotonRefinementVecEnv(config.environments, dynamics=train)
    agent = make_agent(env, config, seed)
    steps = -(-config.updates // config.updates_per_step)
    curve = LearningCurve(agent, held_out, max(config.updates // points, 1), report)
    agent.learn(warm_up(env) + steps * env.num_envs, callback=curve)
    return agent, curve.points


class LearningCurve(BaseCallback):
    """Evaluate the deterministic policy every so many vector steps.

    Parameters
    ----------
    agent
        The agent that learns.
    held_out
        Photons to evaluate on.
    every
        Gradient steps between two points.
    report
        Called with each new point.
    """

    def __init__(
        self,
        agent: OffPolicyAlgorithm,
        held_out: RefinementDynamics,
        every: int,
        report: Callable[[CurvePoint], None] | None,
    ) -> None:
        super().__init__()
        self.points: list[CurvePoint] = []
        self._agent = agent
        self._held_out = held_out
        self._every = every
        self._report = report
        self._started = time.monotonic()

    def _on_rollout_end(self) -> None:
        if self._agent._n_updates // self._every > len(self.points):
            self._add()

    def _on_training_end(self) -> None:
        self._add()

    def _on_step(self) -> bool:
        return True

    def _add(self) -> None:
        dynamics = self._held_out
        rollout = roll_out(dynamics, policy_of(self._agent))
        target = dynamics.table.target
        assert target is not None
        point = CurvePoint(
            seconds=round(time.monotonic() - self._started, 2),
            updates=self._agent._n_updates,
            transitions=self.num_timesteps,
            sigma_eff_energy=energy_resolution(rollout.final, target),
            reward=float(rollout.reward.sum(axis=0).mean()),
        )
        self.points.append(point)
        if self._report is not None:
            self._report(point)
