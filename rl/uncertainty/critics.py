"""What a critic says of a result: minus the expected distance left after an action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from e2e.low_level.regression import RegressionConfig
from envs.photons.table import FloatArray
from envs.refinement.dynamics import RefinementDynamics
from rl.learning.agents import Policy
from rl.uncertainty.heads import Floats, Head, train_head

_ROWS = 65536


class AgentCritic:
    """The critic as the agent leaves it."""

    def __init__(self, agent: OffPolicyAlgorithm) -> None:
        self._critic: Any = agent.policy.critic

    def predict(self, observation: FloatArray, action: FloatArray) -> Floats:
        """(n,) expected distances after actions (n, 3); never negative."""
        parts = []
        with torch.no_grad():
            for start in range(0, max(len(observation), 1), _ROWS):
                rows = slice(start, start + _ROWS)
                values = self._critic(
                    torch.from_numpy(observation[rows]), torch.from_numpy(action[rows])
                )
                parts.append(-values[0][:, 0])
        return np.maximum(torch.cat(parts).numpy().astype(np.float64), 1e-3)


@dataclass(frozen=True)
class FittedCritic:
    """A critic of the same inputs and layers, fitted to the end on transitions of a fixed policy.

    With a discount of 0 a critic's target is the reward itself: this is what the agent's own
    critic would become, were there no actor to follow and no replay.
    """

    head: Head

    def predict(self, observation: FloatArray, action: FloatArray) -> Floats:
        """(n,) expected distances after actions (n, 3)."""
        return self.head.predict(np.concatenate([observation, action], axis=1))


def fit_critic(
    dynamics: RefinementDynamics,
    policy: Policy,
    noise: float,
    actions: int,
    config: RegressionConfig,
    seed: int,
) -> FittedCritic:
    """Fit a critic on `actions` transitions per photon, half near the policy, half anywhere.

    Parameters
    ----------
    dynamics
        Of one step, paying minus the distance that is left.
    noise
        Of the actions near the policy's.
    """
    rng = np.random.default_rng(seed)
    state = dynamics.start(np.arange(len(dynamics)))
    observation = dynamics.observe(state)
    best = policy(observation)
    features, errors = [], []
    for k in range(actions):
        near = best + noise * rng.standard_normal(best.shape, dtype=np.float32)
        anywhere = rng.uniform(-1, 1, best.shape).astype(np.float32)
        action = np.clip(near if k % 2 == 0 else anywhere, -1, 1)
        _, reward, _ = dynamics.step(state, action)
        features.append(np.concatenate([observation, action], axis=1))
        errors.append(-reward)
    # Every photon is there `actions` times, so that fewer passes do.
    epochs = max(1, round(3 * config.epochs / actions))
    settings = config.model_copy(update={"epochs": epochs})
    return FittedCritic(
        train_head(np.concatenate(features), np.concatenate(errors), "squares", settings, seed)
    )


def still(n: int) -> FloatArray:
    """(n, 3) actions that leave a result as it is."""
    return np.zeros((n, 3), dtype=np.float32)


def energy_actions(energy: FloatArray) -> FloatArray:
    """(n, 3) actions that move the energy alone, by `energy` (n,)."""
    return np.stack([energy, np.zeros_like(energy), np.zeros_like(energy)], axis=1)
