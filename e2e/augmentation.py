"""Symmetries of the detector as augmentation: whole events mirrored in phi and in z."""

from __future__ import annotations

import torch
from torch import Tensor

from e2e.kinematics import KINEMATIC_ETAS

IMAGES = ("crops", "context")


def mirror(inputs: dict[str, Tensor], flip_phi: Tensor, mirror_z: Tensor) -> dict[str, Tensor]:
    """Mirror the chosen events, both photons and the kinematics together.

    Parameters
    ----------
    inputs
        Images (B, 2, 3, rows, columns) and kinematics (B, 5).
    flip_phi, mirror_z
        (B,) bool: reverse the columns; reverse the rows and the signs of eta.
    """
    result = dict(inputs)
    for name in IMAGES:
        if name in result:
            images = result[name]
            shape = (-1, *[1] * (images.dim() - 1))
            images = torch.where(flip_phi.view(shape), images.flip(-1), images)
            result[name] = torch.where(mirror_z.view(shape), images.flip(-2), images)
    if "kinematics" in result:
        sign = torch.ones_like(result["kinematics"])
        sign[:, KINEMATIC_ETAS] = torch.where(mirror_z, -1.0, 1.0)[:, None].to(sign.dtype)
        result["kinematics"] = result["kinematics"] * sign
    return result


def random_mirror(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mirror each event in phi and in z with probability one half each."""
    first = next(iter(inputs.values()))
    # Drawn on the CPU, so that the same seed gives the same events on every device.
    draws = (torch.rand(2, len(first)) < 0.5).to(first.device)
    return mirror(inputs, draws[0], draws[1])
