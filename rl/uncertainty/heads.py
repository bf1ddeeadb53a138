"""Networks that say how large an error is: supervised heads, and critics fitted anew."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from e2e.low_level.regression import RegressionConfig
from envs.photons.table import FloatArray

Floats = NDArray[np.float64]
Loss = Literal["squares", "laplace"]
_ROWS = 65536
_LEAST = 1e-3


class Head:
    """Expected absolute error from features, in units of the reward's scale.

    Parameters
    ----------
    network
        From (n, d) features to (n, 1).
    loss
        What it was trained by: `squares`, the mean of (capped) errors, as a critic's loss is; or
        `laplace`, the likelihood of errors with an exponential on both sides, whose mean absolute
        error it gives.
    """

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        self.network = network
        self.loss = loss

    def predict(self, features: FloatArray) -> Floats:
        """(n,) expected absolute errors."""
        parts = []
        with torch.no_grad():
            for start in range(0, max(len(features), 1), _ROWS):
                rows = torch.from_numpy(np.ascontiguousarray(features[start : start + _ROWS]))
                parts.append(_expected(self.network(rows)[:, 0], self.loss))
        return torch.cat(parts).numpy().astype(np.float64)


def train_head(
    features: FloatArray, error: FloatArray, loss: Loss, config: RegressionConfig, seed: int
) -> Head:
    """Fit one network by one of the losses.

    Parameters
    ----------
    features
        (n, d) standardised features.
    error
        (n,) absolute errors in units of the reward's scale.
    config
        Layers and schedule, as for the regressions of photons.
    seed
        Of weights and batches.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(features.shape[1], config.hidden)
        _fit(network, torch.from_numpy(features), torch.from_numpy(error), loss, config)
    return Head(network.eval(), loss)


def _expected(output: Tensor, loss: Loss) -> Tensor:
    return functional.softplus(output) + _LEAST if loss == "squares" else output.exp()


def _loss(output: Tensor, error: Tensor, loss: Loss) -> Tensor:
    expected = _expected(output, loss)
    if loss == "squares":
        return functional.mse_loss(expected, error)
    return (output + error / expected).mean()  # log b + |e| / b


def _network(n_features: int, hidden: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_features, width), nn.ReLU()]
        n_features = width
    return nn.Sequential(*layers, nn.Linear(n_features, 1))


def _fit(
    network: nn.Module, features: Tensor, error: Tensor, loss: Loss, config: RegressionConfig
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
            value = _loss(network(features[rows])[:, 0], error[rows], loss)
            optimizer.zero_grad()
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
