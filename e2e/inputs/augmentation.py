"""Symmetries of the detector as augmentation: whole events mirrored in phi and in z."""

from __future__ import annotations

import torch
from torch import Tensor

from e2e.inputs.kinematics import KINEMATIC_ETAS
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
        elif name in _ODD:
            sign = torch.ones_like(values)
            for columns, chosen in zip(_ODD[name], (flip_phi, mirror_z), strict=True):
                flipped = torch.where(chosen, -1.0, 1.0)[:, None].to(sign.dtype)
                sign[:, list(columns)] *= flipped
            values = values * sign
        result[name] = values
    return result


def random_mirror(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mirror each event in phi and in z with probability one half each."""
    first = next(iter(inputs.values()))
    # Drawn on the CPU, so that the same seed gives the same events on every device.
    draws = (torch.rand(2, len(first)) < 0.5).to(first.device)
    return mirror(inputs, draws[0], draws[1])
