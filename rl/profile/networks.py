"""Supervised methods: networks that draw the map themselves, and regressions of the peaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.files import atomic_path
from data.simulation.shower_profile import SHAPE
from envs.profile.config import ProfileEnvironmentConfig
from envs.profile.dynamics import ProfileDynamics
from envs.profile.peaks import NAMES, draw_profiles
from rl.profile import tensors
from rl.profile.config import NetworkConfig

FloatArray = NDArray[np.float32]

_AT_A_TIME = 2048
_SMALLEST = 1e-6  # of a cell, below which the drawn start counts as this
N_CELLS = SHAPE[0] * SHAPE[1]


def first_observation(dynamics: ProfileDynamics) -> FloatArray:
    """(n, d) observations of the first peaks: every learner's inputs."""
    parts = [dynamics.observe(dynamics.start(rows)) for rows in _batches(np.arange(len(dynamics)))]
    return np.concatenate(parts)


class MapNetwork:
    """Profiles cell by cell: the drawn start, times a factor for every cell.

    Parameters
    ----------
    network
        From first observations (m, d) to logarithms of the factors (m, 1375); a softmax over the
        cells makes the sum 1.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def predict(self, dynamics: ProfileDynamics) -> FloatArray:
        """(n, 25, 55) profiles of the dynamics' photons."""
        inputs = first_observation(dynamics)
        parts = []
        with torch.no_grad():
            for rows in _batches(np.arange(len(inputs))):
                logs = self.network(torch.from_numpy(inputs[rows]))
                logs = logs + torch.from_numpy(log_start(dynamics.first_peaks[rows]))
                parts.append(logs.softmax(dim=1).numpy().reshape(-1, *SHAPE))
        return np.concatenate(parts)


class PeakRegression:
    """Changes of the first peaks in one go, within the agent's reach."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def predict(self, dynamics: ProfileDynamics) -> FloatArray:
        """(n, 10) peaks of the dynamics' photons."""
        inputs = torch.from_numpy(first_observation(dynamics))
        with torch.no_grad():
            moved = self.network(inputs).tanh() * torch.from_numpy(_reach(dynamics))
        return dynamics.first_peaks + moved.numpy()


def train_map(
    dynamics: ProfileDynamics, truth: NDArray[np.floating], config: NetworkConfig, seed: int
) -> MapNetwork:
    """Train a network that draws maps, on the environment's own distance.

    Parameters
    ----------
    truth
        (n, 25, 55) profiles to learn: the photons' own, or others' for a control.
    """
    starts = np.concatenate(
        [log_start(part).astype(np.float16) for part in _batches(dynamics.first_peaks)]
    )

    def loss(network: nn.Module, inputs: Tensor, rows: NDArray[np.int64]) -> Tensor:
        logs = network(inputs) + torch.from_numpy(starts[rows].astype(np.float32))
        drawn = logs.softmax(dim=1).reshape(-1, *SHAPE)
        return _distance(drawn, truth[rows], dynamics.config)

    return MapNetwork(_train(dynamics, N_CELLS, loss, config, seed))


def train_peaks(
    dynamics: ProfileDynamics, truth: NDArray[np.floating], config: NetworkConfig, seed: int
) -> PeakRegression:
    """Train a regression of the peaks through the drawing, on the environment's own distance."""
    reach = torch.from_numpy(_reach(dynamics))

    def loss(network: nn.Module, inputs: Tensor, rows: NDArray[np.int64]) -> Tensor:
        moved = network(inputs).tanh() * reach
        drawn = tensors.draw(torch.from_numpy(dynamics.first_peaks[rows]) + moved)
        return _distance(drawn, truth[rows], dynamics.config)

    return PeakRegression(_train(dynamics, len(NAMES), loss, config, seed))


def train_score(
    inputs: FloatArray, is_signal: NDArray[np.bool_], config: NetworkConfig, seed: int
) -> nn.Module:
    """Train a network that tells one kind of photons from the other, on inputs (n, d)."""
    label = torch.from_numpy(is_signal.astype(np.float32))
    loss_of = nn.functional.binary_cross_entropy_with_logits

    def loss(network: nn.Module, batch: Tensor, rows: NDArray[np.int64]) -> Tensor:
        return loss_of(network(batch)[:, 0], label[rows])

    return fit(inputs, 1, loss, config, seed)


def log_start(peaks: FloatArray) -> FloatArray:
    """(m, 1375) logarithms of the drawn peaks."""
    drawn = draw_profiles(peaks).reshape(len(peaks), -1)
    return np.log(np.maximum(drawn, _SMALLEST))


def build(n_features: int, n_out: int, hidden: list[int]) -> nn.Sequential:
    """A network whose first outputs are 0: it starts from what it is to correct."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_features, width), nn.ReLU()]
        n_features = width
    last = nn.Linear(n_features, n_out)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


def save(network: nn.Module, path: Path) -> None:
    """Write a network as a whole file or not at all."""
    with atomic_path(path) as temporary:
        torch.save(network.state_dict(), temporary)


def load(path: Path, hidden: list[int]) -> nn.Sequential:
    """Read what `save` wrote."""
    state = torch.load(path, weights_only=True)
    *_, last = (values for name, values in state.items() if name.endswith("weight"))
    network = build(state["0.weight"].shape[1], len(last), hidden)
    network.load_state_dict(state)
    return network.eval()


Loss = Callable[[nn.Module, Tensor, NDArray[np.int64]], Tensor]


def _train(
    dynamics: ProfileDynamics, n_out: int, loss: Loss, config: NetworkConfig, seed: int
) -> nn.Module:
    return fit(first_observation(dynamics), n_out, loss, config, seed)


def fit(inputs: FloatArray, n_out: int, loss: Loss, config: NetworkConfig, seed: int) -> nn.Module:
    """Train a network from inputs (n, d); `loss` takes it, a batch and the batch's rows."""
    batch = min(config.batch_size, len(inputs))
    per_epoch = len(inputs) // batch
    features = torch.from_numpy(inputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(inputs.shape[1], n_out, config.hidden)
        optimizer = torch.optim.AdamW(
            network.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, total_steps=config.epochs * per_epoch
        )
        for _ in range(config.epochs):
            order = torch.randperm(len(inputs))
            for rows in order[: per_epoch * batch].split(batch):
                value = loss(network, features[rows], rows.numpy())
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                schedule.step()
    return network.eval()


def _distance(
    drawn: Tensor, true: NDArray[np.floating], config: ProfileEnvironmentConfig
) -> Tensor:
    return tensors.distance(drawn, torch.from_numpy(true.astype(np.float32)), config).mean()


def _reach(dynamics: ProfileDynamics) -> FloatArray:
    """(10,) how far the agent can move each column of the peaks in an episode."""
    return dynamics.largest_step * np.float32(dynamics.steps)


def _batches(values: NDArray) -> list[NDArray]:
    return [values[first : first + _AT_A_TIME] for first in range(0, len(values), _AT_A_TIME)]
