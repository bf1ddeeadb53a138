"""Symmetries of the detector as augmentation: whole events mirrored in phi and in z."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from e2e.inputs.kinematics import KINEMATIC_ETAS
from e2e.inputs.sparse import Mirrors
from e2e.inputs.tabular import odd_columns

# Columns of each table whose sign a mirror in phi, and one in z, changes.
_ODD = {"kinematics": ((), KINEMATIC_ETAS), "tabular": odd_columns()}


def mirror(inputs: dict[str, Tensor], flip_phi: Tensor, mirror_z: Tensor) -> dict[str, Tensor]:
    """Mirror the chosen events: images, and the tables whose columns are known.

    Parameters
    ----------
    inputs
        Images (B, …, rows, columns) with rows along eta and columns along phi; tables
        (B, columns): `kinematics`, `tabular`, others are left as they are.
    flip_phi, mirror_z
        (B,) bool: reverse the columns; reverse the rows and the signs of eta.
    """
    result = {}
    for name, values in inputs.items():
        if values.dim() > 2:
            shape = (-1, *[1] * (values.dim() - 1))
            values = torch.where(flip_phi.view(shape), values.flip(-1), values)
            values = torch.where(mirror_z.view(shape), values.flip(-2), values)
        else:
            values = mirror_table(name, values, flip_phi, mirror_z)
        result[name] = values
    return result


def mirror_table(name: str, values: Tensor, flip_phi: Tensor, mirror_z: Tensor) -> Tensor:
    """(B, columns) of a table, signs changed where its columns are known to change them."""
    if name not in _ODD:
        return values
    sign = torch.ones_like(values)
    for columns, chosen in zip(_ODD[name], (flip_phi, mirror_z), strict=True):
        flipped = torch.where(chosen, -1.0, 1.0)[:, None].to(sign.dtype)
        sign[:, list(columns)] *= flipped
    return values * sign


def draw_mirrors(events: int, seed: Sequence[int]) -> Mirrors:
    """Mirror each event in phi and in z with probability one half each."""
    # Drawn on the host, so that the same seed gives the same events on every device.
    return Mirrors(*(np.random.default_rng(seed).random((2, events)) < 0.5))
