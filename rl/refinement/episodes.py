"""Follow a policy from the standard reconstruction to its last hypothesis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.metrics import relative_sigma_eff
from envs.refinement.dynamics import RefinementDynamics
from rl.learning.agents import FloatArray, Policy
from rl.learning.training import Measure

_PHOTONS_AT_A_TIME = 16384


@dataclass(frozen=True)
class Rollout:
    """Episodes of n photons.

    Attributes
    ----------
    correction
        (K + 1, n, 3) hypotheses: change of log energy, u, v; the first is the start.
    action
        (K, n, 3) actions, in units of the largest step.
    reward
        (K, n) rewards; 0 without truth.
    """

    correction: FloatArray
    action: FloatArray
    reward: FloatArray

    @property
    def final(self) -> FloatArray:
        """(n, 3) last hypotheses."""
        return self.correction[-1]


def roll_out(
    dynamics: RefinementDynamics,
    policy: Policy,
    photon: NDArray[np.int64] | None = None,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Rollout:
    """Play one episode on each photon (default: all of the dynamics' table).

    Parameters
    ----------
    noise, rng
        Deviation of Gaussian noise on the actions, and its generator.
    """
    if photon is None:
        photon = np.arange(len(dynamics))
    parts = [
        _play(dynamics, policy, photon[start : start + _PHOTONS_AT_A_TIME], noise, rng)
        for start in range(0, max(len(photon), 1), _PHOTONS_AT_A_TIME)
    ]
    return Rollout(
        *(
            np.concatenate([getattr(part, name) for part in parts], axis=1)
            for name in ("correction", "action", "reward")
        )
    )


def measure(dynamics: RefinementDynamics) -> Measure:
    """What a learning curve shows of a policy: its energy resolution and reward on photons."""
    target = dynamics.table.target
    assert target is not None

    def measured(policy: Policy) -> dict[str, float]:
        rollout = roll_out(dynamics, policy)
        return {
            "sigma_eff_energy": energy_resolution(rollout.final, target),
            "reward": float(rollout.reward.sum(axis=0).mean()),
        }

    return measured


def energy_resolution(correction: FloatArray, target: FloatArray) -> float:
    """sigma_eff of E / E_true over its median, for corrections and true corrections (n, 3)."""
    return relative_sigma_eff(np.exp(correction[:, 0].astype(np.float64) - target[:, 0]))


def _play(
    dynamics: RefinementDynamics,
    policy: Policy,
    photon: NDArray[np.int64],
    noise: float,
    rng: np.random.Generator | None,
) -> Rollout:
    state = dynamics.start(photon)
    corrections, actions, rewards = [state.correction], [], []
    for _ in range(dynamics.steps):
        action = policy(dynamics.observe(state))
        if noise and rng is not None:
            action = action + noise * rng.standard_normal(action.shape, dtype=np.float32)
        action = np.clip(action, -1, 1)
        state, reward, _ = dynamics.step(state, action)
        corrections.append(state.correction)
        actions.append(action)
        rewards.append(reward)
    return Rollout(np.stack(corrections), np.stack(actions), np.stack(rewards))
