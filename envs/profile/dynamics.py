"""The dynamics of the shower-profile environment: peaks that are moved towards a true profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from data.simulation.shower_profile import CRYSTALS
from envs.photons.table import PhotonTable
from envs.profile.config import ProfileEnvironmentConfig
from envs.profile.distance import distance
from envs.profile.finder import crystals_of, find_peaks
from envs.profile.fit import fit_peaks
from envs.profile.observation import CLIP, ProfileInputs, log_scaled
from envs.profile.peaks import N_PEAKS, NAMES, draw_crystals, draw_profiles, in_crystals, shares

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

#: Largest distance of a peak from the seed's centre in u and v: the window's half sides.
_REACH = (CRYSTALS[0] / 2, CRYSTALS[1] / 2)
_LARGEST_LOG_WIDTH = 0.5
_CORRECTION_SCALE = np.float32(3.0)
_PEAK_SCALE = np.array([*([1.0, 2.0, 1.0] * N_PEAKS), 10.0], dtype=np.float32)


@dataclass(frozen=True)
class Peaks:
    """m episodes under way.

    Attributes
    ----------
    photon
        (m,) row of the photon table.
    peaks
        (m, 10) columns of `envs.profile.peaks.NAMES`.
    residual
        (m, 55) observed minus drawn shares of the crystals under the profile.
    step
        (m,) steps taken.
    distance
        (m,) distance to the true profile; 0 without truth. Not part of the observation.
    """

    photon: IntArray
    peaks: FloatArray
    residual: FloatArray
    step: IntArray
    distance: FloatArray

    def __len__(self) -> int:
        return len(self.photon)


class ProfileDynamics:
    """Start, observe and step any number of episodes at once.

    Parameters
    ----------
    table
        Photons to draw from.
    inputs
        Fitted features.
    config
        Steps, ranges and reward.
    truth
        (n, 25, 55) true profiles; without them rewards are 0.
    start
        (n, 10) first peaks; found in the crystals when absent.

    Raises
    ------
    ConfigError
        If there are not as many true profiles as photons.
    """

    def __init__(
        self,
        table: PhotonTable,
        inputs: ProfileInputs,
        config: ProfileEnvironmentConfig,
        truth: NDArray[np.floating] | None = None,
        start: FloatArray | None = None,
    ) -> None:
        if truth is not None and len(truth) != len(table):
            raise ConfigError(f"{len(truth)} true profiles for {len(table)} photons")
        self.start_name = "photon"
        self.action_names: tuple[str, ...] = NAMES
        self.observation_bound = CLIP
        self.table = table
        self.inputs = inputs
        self.config = config
        self.steps = config.steps
        self.truth = truth
        each = (config.share_range, config.u_range, config.v_range)
        self.ranges = np.array([*(each * N_PEAKS), config.width_range], dtype=np.float32)
        self.largest_step = self.ranges * np.float32(
            1.0 if config.steps == 1 else config.margin / config.steps
        )
        energy = crystals_of(table)
        self.first_peaks = first_peaks(energy, config) if start is None else start
        flat = energy.reshape(len(table), -1)
        self._observed = flat / np.maximum(flat.sum(axis=1, keepdims=True), 1e-6)
        self._constant = inputs(table)
        self.observation_names = (
            *inputs.names(table),
            *NAMES,
            *(f"moved_{name}" for name in NAMES),
            "step",
            *(f"residual_{k}" for k in range(CRYSTALS[0] * CRYSTALS[1])),
        )

    def __len__(self) -> int:
        return len(self.table)

    def start(self, which: IntArray) -> Peaks:
        """Open an episode on each of the given photons."""
        return self._state(which, self.first_peaks[which], np.zeros(len(which), dtype=np.int64))

    def step(
        self, state: Peaks, action: NDArray[np.floating]
    ) -> tuple[Peaks, FloatArray, NDArray[np.bool_]]:
        """Move the peaks by actions, (m, 10) in units of the largest step, clipped to ±1.

        Returns
        -------
        state, reward (m,), terminated (m,)
        """
        bounded = np.clip(action, -1, 1).astype(np.float32)
        peaks = _within(state.peaks + bounded * self.largest_step)
        after = self._state(state.photon, peaks, state.step + 1)
        return after, state.distance - after.distance, after.step >= self.steps

    def observe(self, state: Peaks) -> FloatArray:
        """(m, d) observations, each feature within ±6."""
        moved = (state.peaks - self.first_peaks[state.photon]) / self.ranges
        parts = [
            self._constant[state.photon],
            (state.peaks * _PEAK_SCALE).clip(-CLIP, CLIP),
            (moved * _CORRECTION_SCALE).clip(-CLIP, CLIP),
            (state.step / self.steps - 0.5).clip(-CLIP, CLIP)[:, None],
            log_scaled(state.residual).clip(-CLIP, CLIP),
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def info(self, state: Peaks) -> dict[str, NDArray[Any]]:
        """Photons and peaks of the episodes."""
        return {"photon": state.photon, "peaks": state.peaks, "shares": shares(state.peaks)}

    def draw(self, state: Peaks) -> NDArray[np.uint8]:
        """Crystals, profile and what is left, of the first episode, (H, W, 3); never the truth."""
        from envs.profile.render import draw_episode

        return draw_episode(self, state)

    def observed(self, photon: IntArray) -> FloatArray:
        """(m, 5, 11) shares of the crystals under the profile, of the sum 1."""
        return self._observed[photon].reshape(len(photon), *CRYSTALS)

    def _state(self, photon: IntArray, peaks: FloatArray, step: IntArray) -> Peaks:
        if self.truth is None:
            drawn, far = draw_crystals(peaks), np.zeros(len(photon), dtype=np.float32)
        else:
            profile = draw_profiles(peaks)
            true = self.truth[photon].astype(np.float32)
            drawn, far = in_crystals(profile), distance(profile, true, self.config)
        residual = self._observed[photon] - drawn.reshape(len(photon), -1)
        return Peaks(photon, peaks, residual, step, far)


def first_peaks(energy: FloatArray, config: ProfileEnvironmentConfig) -> FloatArray:
    """(n, 10) peaks that episodes start from, of crystals (n, 5, 11) in GeV."""
    found = find_peaks(energy)
    return fitted(energy, found) if config.start == "fit" else found


def fitted(energy: FloatArray, found: FloatArray) -> FloatArray:
    """(n, 10) peaks of the fit, held inside the window, from those that were found."""
    return _within(fit_peaks(energy, found))


def _within(peaks: FloatArray) -> FloatArray:
    """Peaks inside the window, widths within reason; log shares relative to the largest."""
    peaks = peaks.copy()
    logs = peaks[:, 0:-1:3]
    peaks[:, 0:-1:3] = (logs - logs.max(axis=1, keepdims=True)).clip(-8, 0)
    for column, reach in enumerate(_REACH, start=1):
        peaks[:, column:-1:3] = peaks[:, column:-1:3].clip(-reach, reach)
    peaks[:, -1] = peaks[:, -1].clip(-_LARGEST_LOG_WIDTH, _LARGEST_LOG_WIDTH)
    return peaks
