"""The one dynamics of the environment, on arrays: every face of it calls these functions."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from envs.faces.arrays import Array, host, like, namespace, on_device
from envs.photons.table import PhotonTable
from envs.refinement.config import EnvironmentConfig
from envs.refinement.observation import CLIP, ObservationModel
from envs.refinement.reward import REWARDS, TruthDistance
from envs.refinement.shower import IMAGE, residual_image

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

ACTION_NAMES = ("log_energy", "u", "v")
CORRECTION_SCALE = 3.0
_ARRAYS = ("ranges", "largest_step", "_constant", "_start", "_offset", "_image")


@dataclass(frozen=True)
class Hypotheses:
    """m episodes under way, as NumPy arrays or as tensors.

    Attributes
    ----------
    photon
        (m,) row of the photon table.
    correction
        (m, 3) hypothesis: change of log energy, u and v from the standard reconstruction.
    step
        (m,) steps taken.
    distance
        (m,) distance to the truth; 0 without truth. Not part of the observation.
    """

    photon: IntArray
    correction: FloatArray
    step: IntArray
    distance: FloatArray

    def __len__(self) -> int:
        return len(self.photon)


class RefinementDynamics:
    """Start, observe and step any number of episodes at once.

    On NumPy arrays, or, after `to`, on tensors: the same lines of code run on both. What the
    frozen classifier says of a photon does not change during an episode and is looked up.

    Parameters
    ----------
    table
        Photons to draw from.
    model
        Fitted observation model.
    config
        Steps, ranges and reward.
    with_reward
        False where the truth is unknown: rewards are then 0.

    Raises
    ------
    ConfigError
        If rewards are wanted without truth, or a block's data is missing.
    """

    def __init__(
        self,
        table: PhotonTable,
        model: ObservationModel,
        config: EnvironmentConfig,
        with_reward: bool = True,
    ) -> None:
        self.start_name = "photon"
        self.action_names: tuple[str, ...] = ACTION_NAMES
        self.observation_bound = CLIP
        self.table = table
        self.model = model
        self.config = config
        self.steps = config.steps
        self.ranges: Array = np.array(config.ranges, dtype=np.float32)
        self.largest_step: Array = self.ranges * np.float32(
            1.0 if config.steps == 1 else config.margin / config.steps
        )
        self._shower = model.shower
        self._start: Array = self._starting_corrections()
        self._reward = REWARDS[config.reward]
        self._distance = self._truth_distance() if with_reward else None
        self._offset: Array = table.offset
        edge = (table.crop.shape[1] - IMAGE) // 2
        image = table.crop[:, edge : edge + IMAGE, edge : edge + IMAGE].astype(np.float32)
        energy = table.energy.astype(np.float32)[:, None]
        self._image: Array = image.reshape(len(table), -1) / energy
        self.observation_names = (
            *model.names,
            *(f"correction_{name}" for name in ACTION_NAMES),
            "step",
            *(f"residual_{k}" for k in range(IMAGE**2) if model.has_residual),
        )
        # As wide as an observation: to look a photon up is to make most of its observation.
        self._n_constant = len(model.names)
        self._constant: Array = np.zeros((len(table), self.observation_size), dtype=np.float32)
        self._constant[:, : self._n_constant] = model.constant(table)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def observation_size(self) -> int:
        """Length of one observation."""
        return len(self.observation_names)

    def to(self, device: Any) -> RefinementDynamics:
        """The same dynamics on tensors: states, observations and rewards stay on the device.

        Parameters
        ----------
        device
            A device of torch, such as `"cpu"` or `"cuda"`.
        """
        moved = copy(self)
        for name in _ARRAYS:
            setattr(moved, name, on_device(getattr(self, name), device))
        moved._shower = self._shower.to(device)
        moved._distance = None if self._distance is None else self._distance.to(device)
        return moved

    def start(self, which: IntArray) -> Hypotheses:
        """Open an episode on each of the given photons."""
        photon = like(which, self._start)
        correction = self._start[photon]
        return Hypotheses(
            photon=photon,
            correction=correction,
            step=namespace(photon).zeros_like(photon),
            distance=self.distance(photon, correction),
        )

    def step(
        self, state: Hypotheses, action: NDArray[np.floating]
    ) -> tuple[Hypotheses, FloatArray, NDArray[np.bool_]]:
        """Move each hypothesis by its action, (m, 3) in units of the largest step, clipped to ±1.

        Returns
        -------
        state, reward (m,), terminated (m,)
        """
        xp = namespace(state.correction)
        wanted = xp.asarray(like(action, self._start), dtype=xp.float32)
        correction = state.correction + xp.clip(wanted, -1, 1) * self.largest_step
        distance = self.distance(state.photon, correction)
        after = Hypotheses(state.photon, correction, state.step + 1, distance)
        if self._distance is None:
            reward = xp.zeros_like(distance)
        else:
            reward = self._reward(state.distance, distance)
        return after, reward, after.step >= self.steps

    def observe(self, state: Hypotheses) -> FloatArray:
        """(m, d) observations, each feature within ±6."""
        photon = state.photon
        observation = self._constant[photon]
        xp, size = namespace(observation), self._n_constant
        moved = (state.correction - self._start[photon]) / self.ranges
        observation[:, size : size + 3] = xp.clip(moved * CORRECTION_SCALE, -CLIP, CLIP)
        observation[:, size + 3] = state.step / self.steps - 0.5
        if self.model.has_residual:
            observation[:, size + 4 :] = self.residual(state)
        return observation

    def info(self, state: Hypotheses) -> dict[str, NDArray[Any]]:
        """Photons and hypotheses of the episodes."""
        return {"photon": state.photon, "correction": state.correction}

    def draw(self, state: Hypotheses) -> NDArray[np.uint8]:
        """Crystals, expected shower and residual of the first episode, (H, W, 3)."""
        from envs.refinement.render import draw_hypothesis

        return draw_hypothesis(self, state)

    def residual(self, state: Hypotheses) -> FloatArray:
        """(m, 49) log-scaled observed minus expected shower at the hypotheses."""
        photon, correction = state.photon, state.correction
        expected = self._shower.expected(self._offset[photon] + correction[:, 1:])
        image = residual_image(self._image[photon], expected, correction[:, 0])
        return namespace(image).clip(image, -CLIP, CLIP, out=image)

    def distance(self, photon: IntArray, correction: FloatArray) -> FloatArray:
        """(m,) distances of hypotheses to the truth, which rewards are made of; 0 without truth."""
        if self._distance is None:
            return namespace(correction).zeros_like(correction[:, 0])
        return self._distance(photon, correction)

    def images(self, state: Hypotheses) -> tuple[FloatArray, FloatArray]:
        """Observed and expected (m, 7, 7) shares of the standard energy, for pictures."""
        photon, correction = state.photon, state.correction
        expected = self._shower.expected(self._offset[photon] + correction[:, 1:])
        scaled = host(expected) * np.exp(host(correction)[:, :1])
        shape = (len(state), IMAGE, IMAGE)
        return host(self._image[photon]).reshape(shape), scaled.reshape(shape)

    def _starting_corrections(self) -> FloatArray:
        if self.config.start == "standard":
            return np.zeros((len(self.table), 3), dtype=np.float32)
        if self.table.regression is None:
            raise ConfigError("start: regression needs photons with a regression's predictions")
        return self.table.regression.astype(np.float32)

    def _truth_distance(self) -> TruthDistance:
        if self.table.target is None or not np.isfinite(self.table.target).all():
            raise ConfigError("a reward needs photons with truth: take the matched ones only")
        return TruthDistance(self.table.target, self.config)
