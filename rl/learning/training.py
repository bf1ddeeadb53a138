"""Train an agent on any dynamics, keeping its learning curve."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from envs.faces.dynamics import Dynamics
from envs.faces.sb3 import DynamicsVecEnv
from rl.learning.agents import Policy, make_agent, policy_of, vector_steps, warm_up
from rl.learning.checkpoint import Checkpoint, CheckpointWriter
from rl.learning.config import AgentConfig

#: One point of a learning curve: seconds, updates, transitions, and what was measured.
CurvePoint = dict[str, float]
#: How good a policy is, on what it did not learn from.
Measure = Callable[[Policy], Mapping[str, float]]


def train_agent(
    dynamics: Dynamics[Any],
    config: AgentConfig,
    seed: int,
    measure: Measure,
    points: int,
    *,
    checkpoint: Checkpoint | None = None,
) -> tuple[OffPolicyAlgorithm, list[CurvePoint]]:
    """Train an agent; `points` times along the way, and at the end, measure its policy.

    Parameters
    ----------
    checkpoint
        Where its state is kept meanwhile; if there is one already, training goes on from it, with
        the same result as if it had never stopped.

    Raises
    ------
    InputError
        If the checkpoint there belongs to another training.
    """
    env = DynamicsVecEnv(dynamics, config.environments)
    agent = make_agent(env, config, seed)
    curve = LearningCurve(measure, max(config.updates // points, 1))
    callbacks: list[BaseCallback] = [curve]
    if checkpoint is not None:
        if checkpoint.path.is_file():
            curve.resume(checkpoint.restore(agent))
        callbacks.append(CheckpointWriter(checkpoint, curve.points))
    steps = warm_up(env) + vector_steps(config) * env.num_envs
    agent.learn(
        steps - agent.num_timesteps,
        callback=callbacks,
        reset_num_timesteps=agent.num_timesteps == 0,
    )
    return agent, curve.points


class LearningCurve(BaseCallback):
    """Measure the deterministic policy every so many gradient steps.

    Parameters
    ----------
    measure
        What to measure.
    every
        Gradient steps between two points.
    """

    def __init__(self, measure: Measure, every: int) -> None:
        super().__init__()
        self.points: list[CurvePoint] = []
        self._measure = measure
        self._every = every
        self._started = time.monotonic()

    def resume(self, points: list[CurvePoint]) -> None:
        """Go on after the points of a training that was interrupted."""
        self.points[:] = points
        if points:
            self._started = time.monotonic() - points[-1]["seconds"]

    def _on_rollout_end(self) -> None:
        if self._updates // self._every > len(self.points):
            self._add()

    def _on_training_end(self) -> None:
        self._add()

    def _on_step(self) -> bool:
        return True

    @property
    def _updates(self) -> int:
        assert isinstance(self.model, OffPolicyAlgorithm)
        return self.model._n_updates

    def _add(self) -> None:
        assert isinstance(self.model, OffPolicyAlgorithm)
        point = {
            "seconds": round(time.monotonic() - self._started, 2),
            "updates": self._updates,
            "transitions": self.num_timesteps,
        }
        self.points.append(point | dict(self._measure(policy_of(self.model))))
