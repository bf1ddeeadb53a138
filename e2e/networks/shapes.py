"""Shower shapes and isolation as a further input: what a boosted tree would be given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from e2e.networks.base import N_KINEMATICS

if TYPE_CHECKING:
    from e2e.config import NetworkConfig

N_SHAPES = 33  # of each photon: `SHAPE_NAMES` and `ISOLATION_NAMES` of `e2e.inputs.tabular`
_STRETCH = 20.0  # sums in GeV have long tails, ratios and widths differ by hundredths
_LIMIT = 6.0  # spreads


class ShapeBranch(nn.Module):
    """One photon's shower shapes and isolation, normalised, through one layer."""

    mean: Tensor
    spread: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(N_SHAPES))
        self.register_buffer("spread", torch.ones(N_SHAPES))
        self.body = nn.Sequential(nn.Linear(N_SHAPES, config.shapes), nn.ReLU())
        self.outputs = config.shapes

    def fit(self, tabular: NDArray[np.float32]) -> None:
        """Take mean and spread from the training events' (N, 5 + 2 * 33) table, without NaN."""
        values = compressed(torch.from_numpy(tabular)).flatten(0, 1)
        self.mean.copy_(values.mean(dim=0))
        self.spread.copy_(values.std(dim=0).clamp(min=1e-3))

    def forward(self, tabular: Tensor) -> Tensor:
        """(B, 5 + 2 * 33) to (B, 2, F)."""
        scaled = (compressed(tabular) - self.mean) / self.spread
        return self.body(scaled.clamp(-_LIMIT, _LIMIT))


def compressed(tabular: Tensor) -> Tensor:
    """(B, 2, 33) columns of each photon: linear near zero, logarithmic beyond."""
    per_photon = tabular[:, N_KINEMATICS:].unflatten(1, (2, N_SHAPES))
    return per_photon.sign() * torch.log1p(_STRETCH * per_photon.abs())
