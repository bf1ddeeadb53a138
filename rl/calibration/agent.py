"""Train the calibrating agent: one actor for both members of a pair, paid by the masses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from envs.calibration.candidates import Candidates
from envs.calibration.config import CalibrationEnvConfig
from envs.calibration.dynamics import ResonanceDynamics
from envs.calibration.sb3 import SharedActorVecEnv
from rl.calibration.networks import PlaceNetwork
from rl.learning.agents import BatchNoise, make_agent, warm_up
from rl.learning.config import AgentConfig
from rl.learning.training import CurvePoint, LearningCurve

FloatArray = NDArray[np.float32]


class DecayingNoise(BatchNoise):
    """Gaussian exploration that falls linearly to a share of its first deviation.

    Parameters
    ----------
    sigma, shape, seed
        As for `BatchNoise`.
    steps
        Draws until the last deviation is reached.
    last
        The last deviation over the first.
    """

    def __init__(
        self, sigma: float, shape: tuple[int, int], seed: int, steps: int, last: float
    ) -> None:
        super().__init__(sigma, shape, seed)
        self._first, self._steps, self._last = sigma, steps, last
        self._drawn = 0

    def __call__(self) -> FloatArray:
        done = min(self._drawn / self._steps, 1.0)
        self.sigma = self._first * (1 - (1 - self._last) * done)
        self._drawn += 1
        return super().__call__()


def train_policy(
    candidates: Candidates,
    config: CalibrationEnvConfig,
    agent_config: AgentConfig,
    noise_left: float,
    seed: int,
    measure: Callable[[PlaceNetwork], Mapping[str, float]],
    points: int,
) -> tuple[PlaceNetwork, list[CurvePoint]]:
    """Train one policy.

    Parameters
    ----------
    noise_left
        Exploration at the end over that at the start.
    measure
        What a point of the learning curve shows, measured `points` times.

    Returns
    -------
    policy
        The deterministic actor.
    curve
        Its learning curve.
    """
    dynamics = ResonanceDynamics(candidates, config)
    env = SharedActorVecEnv(dynamics, agent_config.environments)
    agent = make_agent(env, agent_config, seed)
    steps = -(-agent_config.updates // agent_config.updates_per_step)
    agent.action_noise = DecayingNoise(
        agent_config.noise, (env.num_envs, 1), seed, steps, noise_left
    )
    curve = LearningCurve(
        lambda _: measure(actor_of(agent, config, agent_config)),
        max(agent_config.updates // points, 1),
    )
    agent.learn(warm_up(env) + steps * env.num_envs, callback=curve)
    return actor_of(agent, config, agent_config), curve.points


def actor_of(
    agent: OffPolicyAlgorithm, config: CalibrationEnvConfig, agent_config: AgentConfig
) -> PlaceNetwork:
    """A copy of the agent's actor, which has the layers of its peers."""
    weights: dict[str, Any] = agent.policy.actor.mu.state_dict()  # type: ignore[union-attr]
    return PlaceNetwork.of(weights, config, agent_config.hidden)
