"""Train the calibrating agent: one actor for both members of a pair, paid by the masses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from envs.calibration.candidates import Candidates
from envs.calibration.config import CalibrationEnvConfig
from envs.calibration.dynamics import ResonanceDynamics
from envs.calibration.sb3 import SharedActorVecEnv
from rl.calibration.networks import PlaceNetwork
from rl.learning.agents import actor_of, make_agent, vector_steps, warm_up
from rl.learning.config import AgentConfig
from rl.learning.training import CurvePoint, LearningCurve


def train_policy(
    candidates: Candidates,
    config: CalibrationEnvConfig,
    agent_config: AgentConfig,
    seed: int,
    measure: Callable[[PlaceNetwork], Mapping[str, float]],
    points: int,
) -> tuple[PlaceNetwork, list[CurvePoint]]:
    """Train one policy.

    Parameters
    ----------
    measure
        What a point of the learning curve shows, measured `points` times.

    Returns
    -------
    policy
        The deterministic actor.
    curve
        Its learning curve.
    """
    env = SharedActorVecEnv(ResonanceDynamics(candidates, config), agent_config.environments)
    agent = make_agent(env, agent_config, seed)

    def policy() -> PlaceNetwork:
        return _place_network(agent, config, agent_config)

    curve = LearningCurve(lambda _: measure(policy()), max(agent_config.updates // points, 1))
    steps = warm_up(env) + vector_steps(agent_config) * env.num_envs
    # Every step ends thousands of episodes: a log line for every few of them would take longer.
    agent.learn(steps, callback=curve, log_interval=sys.maxsize)
    return policy(), curve.points


def _place_network(
    agent: OffPolicyAlgorithm, config: CalibrationEnvConfig, agent_config: AgentConfig
) -> PlaceNetwork:
    """A copy of the agent's actor, which has the layers of its peers."""
    weights = actor_of(agent).get_submodule("mu").state_dict()
    return PlaceNetwork.of(weights, config, agent_config.hidden)
