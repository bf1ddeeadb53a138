"""The agent that moves edges: trained on resampled halves, followed on the half as it is."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from envs.categories.dynamics import CategoryDynamics
from rl.categories.config import CategoriseConfig
from rl.categories.search import Found
from rl.learning.agents import Policy, policy_of
from rl.learning.training import CurvePoint, Measure, train_agent

_POINTS = 12


@dataclass(frozen=True)
class TrainedAgent:
    """An agent, what it learned of, and what that cost.

    Attributes
    ----------
    policy
        Its deterministic policy.
    curve
        Significance along the training.
    evaluations
        Significances that the training asked for.
    seconds
        Wall time of the training.
    """

    policy: Policy
    curve: list[CurvePoint]
    evaluations: int
    seconds: float


def train_edge_agent(
    dynamics: CategoryDynamics, config: CategoriseConfig, seed: int, measure: Measure
) -> TrainedAgent:
    """Train one agent on the samples of a dynamics."""
    started = time.monotonic()
    agent, curve = train_agent(dynamics, config.agent, seed, measure, _POINTS)
    seconds = time.monotonic() - started
    steps = agent.num_timesteps
    return TrainedAgent(policy_of(agent), curve, steps + steps // dynamics.steps, seconds)


def follow(dynamics: CategoryDynamics, policy: Policy, replica: int = 0) -> Found:
    """The best edges that the policy visits on a sample, by their significance there."""
    state = dynamics.start(np.array([replica]))
    edges, values = [state.edges[0]], [float(state.value[0])]
    for _ in range(dynamics.steps):
        state, _, _ = dynamics.step(state, policy(dynamics.observe(state)))
        edges.append(state.edges[0])
        values.append(float(state.value[0]))
    best = int(np.argmax(values))
    return Found(edges[best], values[best], len(values))
