"""The agent that moves edges: trained on resampled halves, followed on the half as it is."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.files import atomic_path, write_json
from envs.categories.dynamics import CategoryDynamics
from rl.categories.config import CategoriseConfig
from rl.categories.search import Found
from rl.learning.agents import ALGORITHMS, Policy, policy_of, save_agent
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
    dynamics: CategoryDynamics, config: CategoriseConfig, seed: int, measure: Measure, path: Path
) -> TrainedAgent:
    """Train one agent on the samples of a dynamics, or read it where an earlier run left it.

    Parameters
    ----------
    path
        Of its files, without suffix.
    """
    weights, record = path.with_suffix(".zip"), path.with_suffix(".json")
    if not (weights.is_file() and record.is_file()):
        started = time.monotonic()
        agent, curve = train_agent(dynamics, config.agent, seed, measure, _POINTS)
        seconds = time.monotonic() - started
        with atomic_path(weights) as temporary:
            save_agent(agent, temporary)
        steps = agent.num_timesteps
        evaluations = steps + steps // dynamics.steps  # episodes begin with one
        write_json(record, {"curve": curve, "evaluations": evaluations, "seconds": seconds})
    policy = policy_of(ALGORITHMS[config.agent.algorithm].load(weights, device="cpu"))
    return TrainedAgent(policy=policy, **json.loads(record.read_text(encoding="utf-8")))


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
