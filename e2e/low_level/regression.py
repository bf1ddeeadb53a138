"""Supervised corrections of photons: small networks on a table of features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from common.config import StageConfig
from common.files import atomic_path

FloatArray = NDArray[np.float32]


class RegressionConfig(StageConfig):
    """Networks that correct energy and position, and how they are trained."""

    hidden: list[int] = Field([128, 128], description="units of the layers")
    epochs: int = Field(24, gt=0, description="passes over the training photons")
    batch_size: int = Field(512, gt=0, description="photons per step")
    learning_rate: float = Field(3e-3, gt=0, description="peak of the one-cycle schedule")
    weight_decay: float = Field(1e-4, ge=0, description="decoupled weight decay (AdamW)")
    folds: int = Field(
        3,
        ge=2,
        description="networks, each blind to one part of the photons: of those that train, "
        "predictions are out of fold; of others, the mean",
    )


class Distance(Protocol):
    """What is minimised: the weighted absolute errors of log energy, u and v.

    Each in units of its scale, and no more than the cap.
    """

    @property
    def scales(self) -> tuple[float, float, float]:
        """Errors that count as one."""

    @property
    def weights(self) -> tuple[float, float, float]:
        """Weights in the sum."""

    @property
    def cap(self) -> float:
        """Largest error of one coordinate, in scales."""


class Regression:
    """The mean of one or more networks that predict a correction from features.

    Parameters
    ----------
    networks
        From (n, d) features to (n, 3) corrections in units of the distance's scales.
    scales
        (3,) those scales: log energy, u and v in crystals.
    hidden
        Units of the layers, as needed to build the networks again.
    """

    def __init__(
        self, networks: Sequence[nn.Module], scales: FloatArray, hidden: Sequence[int]
    ) -> None:
        self.networks = list(networks)
        self.scales = np.asarray(scales, dtype=np.float32)
        self.hidden = list(hidden)

    def predict(self, features: FloatArray) -> FloatArray:
        """(n, 3) corrections of log energy, u and v."""
        with torch.no_grad():
            inputs = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))
            mean = torch.stack([network(inputs) for network in self.networks]).mean(dim=0)
        return mean.numpy() * self.scales

    def save(self, path: str | Path) -> None:
        """Write weights and sizes."""
        content = {
            "n_features": self.networks[0].get_submodule("0").get_parameter("weight").shape[1],
            "hidden": self.hidden,
            "scales": self.scales.tolist(),
            "networks": [network.state_dict() for network in self.networks],
        }
        with atomic_path(path) as temporary:
            torch.save(content, temporary)

    @classmethod
    def load(cls, path: str | Path) -> Regression:
        """Read what `save` wrote."""
        content = torch.load(path, weights_only=True)
        networks = []
        for state in content["networks"]:
            network = _network(content["n_features"], content["hidden"])
            network.load_state_dict(state)
            networks.append(network.eval())
        return cls(networks, np.array(content["scales"]), content["hidden"])


def train(
    features: FloatArray,
    target: FloatArray,
    distance: Distance,
    config: RegressionConfig,
    seed: int,
) -> Regression:
    """Train one network.

    Parameters
    ----------
    features
        (n, d) standardised features.
    target
        (n, 3) true corrections.
    distance
        Scales, weights and cap of what is minimised.
    config
        Network and schedule.
    seed
        Of weights and batches.
    """
    scales = np.array(distance.scales, dtype=np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(features.shape[1], config.hidden)
        _fit(
            network,
            torch.from_numpy(features),
            torch.from_numpy((target / scales).astype(np.float32)),
            torch.tensor(distance.weights),
            distance.cap,
            config,
        )
    return Regression([network.eval()], scales, config.hidden)


def train_out_of_fold(
    features: FloatArray,
    target: FloatArray,
    group: NDArray[np.int64],
    distance: Distance,
    config: RegressionConfig,
    seed: int,
) -> tuple[Regression, FloatArray]:
    """Train one network per fold on the other folds.

    Returns
    -------
    regression
        The mean of the networks, for photons that none of them saw.
    predictions
        (n, 3) of each training photon by the network that did not see its group: what a network
        says about photons it was trained on is too good to be used.
    """
    fold = fold_of(group, config.folds, seed)
    predictions = np.zeros_like(target)
    parts = []
    for k in range(config.folds):
        part = train(features[fold != k], target[fold != k], distance, config, seed + k)
        predictions[fold == k] = part.predict(features[fold == k])
        parts.append(part)
    return mean(parts), predictions


def mean(parts: Sequence[Regression]) -> Regression:
    """The mean of regressions of equal layers."""
    networks = [network for part in parts for network in part.networks]
    return Regression(networks, parts[0].scales, parts[0].hidden)


def fold_of(group: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """(n,) fold of each photon; photons of one group share it."""
    _, index = np.unique(group, return_inverse=True)
    order = np.random.default_rng(seed).permutation(index.max(initial=-1) + 1)
    return order[index] % folds


def _network(n_features: int, hidden: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_features, width), nn.ReLU()]
        n_features = width
    return nn.Sequential(*layers, nn.Linear(n_features, 3))


def _fit(
    network: nn.Module,
    features: Tensor,
    target: Tensor,
    weights: Tensor,
    cap: float,
    config: RegressionConfig,
) -> None:
    batch = min(config.batch_size, len(features))
    per_epoch = len(features) // batch
    optimizer = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.epochs * per_epoch
    )
    for _ in range(config.epochs):
        order = torch.randperm(len(features))
        for rows in order[: per_epoch * batch].split(batch):
            error = (network(features[rows]) - target[rows]).clamp(-cap, cap).abs()
            loss = (error * weights).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
