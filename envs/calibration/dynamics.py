"""The dynamics of in-situ calibration: a pair, two corrections, one mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.calibration.candidates import Candidates
from envs.calibration.config import CalibrationEnvConfig
from envs.calibration.features import BOUND, features

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class CalibratedPairs:
    """m episodes under way.

    Attributes
    ----------
    pair
        (m,) row of the candidates.
    correction
        (m, 2) change of log energy of both members.
    """

    pair: IntArray
    correction: FloatArray

    def __len__(self) -> int:
        return len(self.pair)


class ResonanceDynamics:
    """One step: both members of a pair get a correction, and the pair's mass pays for it.

    Directions stay as they are, so that log m moves by half the sum of the corrections.

    Parameters
    ----------
    candidates
        Pairs to draw from.
    config
        Observation, range and reward.
    """

    def __init__(self, candidates: Candidates, config: CalibrationEnvConfig) -> None:
        self.steps = 1
        self.start_name = "pair"
        self.action_names: tuple[str, ...] = ("log_energy_1", "log_energy_2")
        self.observation_bound = BOUND
        self.candidates = candidates
        self.config = config
        self.photon_names, self.features = features(candidates, config)
        self.observation_names = tuple(
            f"{name}_{member}" for member in (1, 2) for name in self.photon_names
        )
        self._log_mass = candidates.log_mass.astype(np.float32)

    def __len__(self) -> int:
        return len(self.candidates)

    def start(self, which: IntArray) -> CalibratedPairs:
        """Open an episode on each of the given pairs."""
        return CalibratedPairs(which, np.zeros((len(which), 2), dtype=np.float32))

    def step(
        self, state: CalibratedPairs, action: NDArray[np.floating]
    ) -> tuple[CalibratedPairs, FloatArray, BoolArray]:
        """Correct both members by their actions, (m, 2) in units of the range, clipped to ±1.

        The reward is what the pair as a whole gains. The sum of the members' counterfactual
        rewards would not do for one actor that moves both: two corrections that cancel would earn
        without changing the mass.
        """
        bounded = np.clip(action, -1, 1).astype(np.float32) * np.float32(self.config.range)
        after = CalibratedPairs(state.pair, state.correction + bounded)
        reward = self._distance(state.pair, state.correction.sum(axis=1)) - self._distance(
            state.pair, after.correction.sum(axis=1)
        )
        return after, reward, np.ones(len(state), dtype=bool)

    def photon_rewards(self, state: CalibratedPairs) -> FloatArray:
        """(m, 2) counterfactual rewards: distance without a member's own correction, minus with it.

        The partner's correction is as played, so its share of luck and blame cancels.
        """
        total = state.correction.sum(axis=1)
        played = self._distance(state.pair, total)
        without = [self._distance(state.pair, total - state.correction[:, k]) for k in (0, 1)]
        return np.stack(without, axis=1) - played[:, None]

    def observe(self, state: CalibratedPairs) -> FloatArray:
        """(m, 2 d) what is seen of the first and of the second member."""
        return self.features[state.pair].reshape(len(state), -1)

    def info(self, state: CalibratedPairs) -> dict[str, NDArray[Any]]:
        """Pairs, corrections, and what each member's correction earned."""
        return {
            "pair": state.pair,
            "correction": state.correction,
            "photon_reward": self.photon_rewards(state),
        }

    def draw(self, state: CalibratedPairs) -> NDArray[np.uint8]:
        """Impact points in the barrel and the mass of the first episode, (H, W, 3)."""
        from envs.calibration.render import draw_pair

        return draw_pair(self, state)

    def mass_ratio(self, state: CalibratedPairs) -> FloatArray:
        """(m,) mass over the reference, corrected so far."""
        return np.exp(self._log_mass[state.pair] + state.correction.sum(axis=1) / 2)

    def _distance(self, pair: IntArray, total: FloatArray) -> FloatArray:
        """(m,) capped distances of the masses, for sums (m,) of the members' corrections."""
        config = self.config
        off = np.abs(self._log_mass[pair] + total / np.float32(2)) / np.float32(config.scale)
        return np.minimum(off, np.float32(config.cap))
