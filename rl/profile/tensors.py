"""Peaks drawn by torch: the supervised peer learns through the drawing, which an agent need not.

The same formulas as in `envs.profile`, but differentiable in the peaks' places: a test holds the
two together.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from data.simulation import profiles
from data.simulation.shower_profile import FINE, SHAPE
from envs.profile.config import ProfileEnvironmentConfig
from envs.profile.peaks import N_PEAKS, SIGMA, edges

_SIGMA = torch.tensor(SIGMA, dtype=torch.float32)
_LOG_STEP = math.log(SIGMA[1] / SIGMA[0])
_EDGES = [torch.tensor(edges(cells, 1 / FINE), dtype=torch.float32) for cells in SHAPE]


def draw(peaks: Tensor) -> Tensor:
    """(m, 25, 55) profiles of peaks (m, 10), each of the sum 1."""
    m = len(peaks)
    each = peaks[:, :-1].reshape(m, N_PEAKS, 3)
    share = each[:, :, 0].softmax(dim=1)
    weight = share[:, :, None] * _mixture(peaks[:, -1])[:, None, :]
    u, v = (_along(each[:, :, 1 + k], _EDGES[k]) for k in (0, 1))
    drawn = (u * weight[..., None]).flatten(1, 2).transpose(1, 2) @ v.flatten(1, 2)
    return drawn / drawn.sum(dim=(1, 2), keepdim=True)


def distance(drawn: Tensor, true: Tensor, config: ProfileEnvironmentConfig) -> Tensor:
    """(m,) distances of profiles, as in `envs.profile.distance`."""
    difference = drawn - true
    total = torch.zeros(len(drawn))
    if config.distance != "wasserstein":
        total = total + difference.abs().sum(dim=(1, 2)) / config.l1_scale
    if config.distance != "l1":
        areas = [difference.sum(dim=k).cumsum(dim=1).abs().sum(dim=1) / FINE for k in (1, 2)]
        total = total + (areas[0] + areas[1]) / config.wasserstein_scale
    return total


def _mixture(log_width: Tensor) -> Tensor:
    squared = (2 * log_width).exp()[:, None]
    total = torch.zeros(len(log_width), len(_SIGMA))
    for share, radius in profiles.EM:
        t = radius**2 * squared / (2 * _SIGMA**2)
        total = total + share * 2 * _LOG_STEP * t * (-t).exp()
    return total


def _along(where: Tensor, edges_: Tensor) -> Tensor:
    """(m, 3, 10, cells) shares of the Gaussians along one axis."""
    scaled = (edges_ - where[:, :, None, None]) / _SIGMA[:, None]
    return torch.special.ndtr(scaled).diff(dim=-1)
