"""Distance correlation: zero if and only if two quantities are independent.

Székely, Rizzo and Bakirov, Ann. Statist. 35 (2007) 2769; as a penalty that keeps a classifier's
score from following the mass: Kasieczka and Shih, arXiv:2001.05310 ("DisCo").
"""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-12  # keeps the gradient finite where one quantity is constant


def squared_distance_correlation(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """Squared distance correlation of two samples, between 0 and 1.

    The estimate is the usual one with a positive bias: of n independent pairs it is not 0 but of
    the order of 1/n.

    Parameters
    ----------
    x, y
        (n,) paired values; their scales and origins do not matter.
    weight
        (n,) how often each pair counts, not negative; equal where absent.

    Returns
    -------
    Tensor
        Scalar in float32, 0 for fewer than two pairs; can be differentiated with respect to both.
    """
    x, y = x.float(), y.float()
    if len(x) < 2:
        return (x.sum() + y.sum()) * 0.0
    weight = torch.ones_like(x) if weight is None else weight.float()
    share = weight / weight.sum()
    a, b = _centred(x, share), _centred(y, share)
    pairs = share[:, None] * share[None, :]
    covariance = (pairs * a * b).sum()
    variances = (pairs * a * a).sum() * (pairs * b * b).sum()
    return covariance / torch.sqrt(variances + _TINY)


def _centred(values: Tensor, share: Tensor) -> Tensor:
    """(n, n) distances in units of their mean, less the mean of each row and each column."""
    distance = (values[:, None] - values[None, :]).abs()
    row = distance @ share
    mean = row @ share
    return (distance - row[:, None] - row[None, :] + mean) / (mean.detach() + _TINY)
