"""Distance correlation: zero if and only if two quantities are independent.

Székely, Rizzo and Bakirov, Ann. Statist. 35 (2007) 2769; as a penalty that keeps a classifier's
score from following the mass: Kasieczka and Shih, arXiv:2001.05310 ("DisCo").
"""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-12  # keeps the gradient finite where one quantity is constant
_LEAST = 0.1  # of a variance that is kept when its bias is taken away


def squared_distance_correlation(
    x: Tensor, y: Tensor, weight: Tensor | None = None, without_bias: bool = False
) -> Tensor:
    """Squared distance correlation of two samples, between 0 and 1.

    The usual estimate has a positive bias: of n independent pairs it is not 0 but of the order of
    1/n, and how large depends on how the values are spread. A penalty of a batch then also shapes
    the spread of a score that depends on nothing.

    Parameters
    ----------
    x, y
        (n,) paired values; their scales and origins do not matter.
    weight
        (n,) how often each pair counts, not negative; equal where absent.
    without_bias
        Subtract from each product of distances what independent values of the same spread would
        give: its mean over all permutations, exact for equal weights. The result may be negative.

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
    covariance = _product(a, b, share, without_bias)
    # Of few events what is left of a variance may be nothing: a part of it is kept.
    variances = [
        torch.maximum(_product(z, z, share, without_bias), _LEAST * _product(z, z, share, False))
        for z in (a, b)
    ]
    return covariance / torch.sqrt(variances[0] * variances[1] + _TINY)


def _product(a: Tensor, b: Tensor, share: Tensor, without_bias: bool) -> Tensor:
    """Weighted mean of the products of centred distances."""
    mean = share @ (a * b) @ share
    if not without_bias:
        return mean
    # Rows of centred distances sum to zero, so that the mean over permutations of the pairs of
    # sum(a_ij b_ij) is tr(a) tr(b) / (n - 1).
    squares = share.square()
    n = 1 / squares.sum()
    own = (squares @ a.diagonal()) * (squares @ b.diagonal())
    return mean - own * n**2 / (n - 1).clamp(min=_TINY)


def _centred(values: Tensor, share: Tensor) -> Tensor:
    """(n, n) distances in units of their mean, less the mean of each row and each column."""
    distance = (values[:, None] - values[None, :]).abs()
    row = distance @ share
    mean = row @ share
    return (distance - row[:, None] - row[None, :] + mean) / (mean.detach() + _TINY)
