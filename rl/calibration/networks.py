"""Networks with the agent's inputs and layers, taught by back-propagation: its peers.

One is taught by the masses, through the very distance that the agent is paid by; one by truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from common.config import StageConfig
from common.files import atomic_path
from envs.calibration.candidates import Candidates
from envs.calibration.config import CalibrationEnvConfig
from envs.calibration.features import features

FloatArray = NDArray[np.float32]
_AT_A_TIME = 65536


class NetworkConfig(StageConfig):
    """Networks taught by back-propagation."""

    hidden: list[int] = Field([128, 128], description="units of the layers, as the agent's")
    epochs: int = Field(6, gt=0, description="passes over the candidates")
    least_steps: int = Field(
        600, ge=0, description="gradient steps at least: small samples are passed more often"
    )
    batch_size: int = Field(1024, gt=0, description="pairs per step")
    learning_rate: float = Field(3e-3, gt=0, description="peak of the one-cycle schedule")
    weight_decay: float = Field(1e-2, ge=0, description="decoupled weight decay (AdamW)")


class PlaceNetwork:
    """Change of log energy from what the agent observes.

    Parameters
    ----------
    network
        From (n, d) features to (n, 1) corrections in units of the range.
    config
        Observation and range.
    hidden
        Units of the layers.
    """

    def __init__(
        self, network: nn.Module, config: CalibrationEnvConfig, hidden: Sequence[int]
    ) -> None:
        self.network = network
        self.config = config
        self.hidden = list(hidden)

    def __call__(self, candidates: Candidates) -> FloatArray:
        """(m, 2) changes of log energy of both members."""
        _, seen = features(candidates, self.config)
        parts = []
        with torch.no_grad():
            for part in torch.from_numpy(seen.reshape(-1, seen.shape[2])).split(_AT_A_TIME):
                parts.append(self.network(part).numpy())
        change: FloatArray = np.concatenate(parts).reshape(-1, 2) * np.float32(self.config.range)
        return change

    def save(self, path: Path) -> None:
        """Write weights, layers and settings."""
        content = {
            "config": self.config.model_dump(),
            "hidden": self.hidden,
            "weights": self.network.state_dict(),
        }
        with atomic_path(path) as temporary:
            torch.save(content, temporary)

    @classmethod
    def load(cls, path: Path) -> PlaceNetwork:
        """Read what `save` wrote."""
        content: dict[str, Any] = torch.load(path, weights_only=True)
        config = CalibrationEnvConfig(**content["config"])
        return cls.of(content["weights"], config, content["hidden"])

    @classmethod
    def of(
        cls, weights: Mapping[str, Tensor], config: CalibrationEnvConfig, hidden: Sequence[int]
    ) -> PlaceNetwork:
        """A network with a copy of the given weights."""
        network = _network(weights["0.weight"].shape[1], hidden)
        network.load_state_dict(weights)
        return cls(network.eval(), config, hidden)


def train_on_masses(
    candidates: Candidates, config: CalibrationEnvConfig, training: NetworkConfig, seed: int
) -> PlaceNetwork:
    """Minimise the mean distance of the masses of pairs."""
    log_mass = torch.from_numpy(candidates.log_mass.astype(np.float32))

    def off(change: Tensor, pairs: Tensor) -> Tensor:
        return log_mass[pairs] + change.sum(dim=1) / 2

    return _train(candidates, off, config, training, seed)


def train_on_truth(
    candidates: Candidates,
    target: FloatArray,
    config: CalibrationEnvConfig,
    training: NetworkConfig,
    seed: int,
) -> PlaceNetwork:
    """Minimise the mean distance of single energies; `target` (m, 2) true change of log energy."""
    truth = torch.from_numpy(target.astype(np.float32))

    def off(change: Tensor, pairs: Tensor) -> Tensor:
        return change - truth[pairs]

    return _train(candidates, off, config, training, seed)


def _train(
    candidates: Candidates,
    off: Callable[[Tensor, Tensor], Tensor],
    config: CalibrationEnvConfig,
    training: NetworkConfig,
    seed: int,
) -> PlaceNetwork:
    """One-cycle AdamW on pairs; `off` says how far corrections (b, 2) of pairs (b,) are off."""
    _, values = features(candidates, config)
    seen = torch.from_numpy(values)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(seen.shape[2], training.hidden)
        batch = min(training.batch_size, len(seen))
        per_epoch = len(seen) // batch
        epochs = max(training.epochs, -(-training.least_steps // per_epoch))
        optimizer = torch.optim.AdamW(
            network.parameters(), training.learning_rate, weight_decay=training.weight_decay,
            fused=True,
        )  # fmt: skip
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, training.learning_rate, total_steps=epochs * per_epoch
        )
        for _ in range(epochs):
            order = torch.randperm(len(seen))
            for pairs in order[: per_epoch * batch].split(batch):
                change = config.range * network(seen[pairs])[:, :, 0]
                loss = (off(change, pairs).abs() / config.scale).clamp(max=config.cap).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return PlaceNetwork(network.eval(), config, training.hidden)


def _network(n_features: int, hidden: Sequence[int]) -> nn.Sequential:
    """Hidden layers with ReLU, and a bounded output as the agent's actor has."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_features, width), nn.ReLU()]
        n_features = width
    return nn.Sequential(*layers, nn.Linear(n_features, 1), nn.Tanh())
