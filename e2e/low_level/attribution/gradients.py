"""Which pixels decide: integrated gradients and Grad-CAM of a difference of two logits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from e2e.networks import EventNetwork

_UNSEEN = "hits"  # of the inputs, the image that no score depends on


@dataclass(frozen=True)
class Attribution:
    """Integrated gradients of B events.

    Attributes
    ----------
    images
        By name, shaped as the input: what each pixel adds to the difference of the logits.
    difference
        (B,) the difference of the logits.
    baseline
        (B,) the same for empty images and the event's own kinematics.
    """

    images: dict[str, Tensor]
    difference: Tensor
    baseline: Tensor

    @property
    def total(self) -> Tensor:
        """(B,) sum over all pixels: difference minus baseline where the integral is exact."""
        sums = [values.flatten(1).sum(dim=1) for values in self.images.values()]
        return torch.stack(sums).sum(dim=0)


def integrated_gradients(
    network: EventNetwork, inputs: Mapping[str, Tensor], signal: int, background: int, steps: int
) -> Attribution:
    """Attribute a difference of logits to the pixels of all images (arXiv:1703.01365).

    The path runs from empty images to the event, straight in log(1 + E/GeV): these are the
    networks' own coordinates, in which showers do not fall over three decades. The kinematics stay
    the event's own, so that what is attributed is what the images add to them. Gauss-Legendre
    quadrature.

    Parameters
    ----------
    network
        In evaluation mode.
    inputs
        Tensors of B events, named as the network needs.
    signal, background
        Classes whose logits are subtracted.
    steps
        Points of the integral.
    """
    names = [name for name, values in inputs.items() if values.dim() > 2 and name != _UNSEEN]
    ends = {name: torch.log1p(inputs[name]) for name in names}
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    sums = {name: torch.zeros_like(end) for name, end in ends.items()}
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        points = {n: (float(node) * end).detach().requires_grad_() for n, end in ends.items()}
        images = {n: torch.expm1(point) for n, point in points.items()}
        logits = network({**inputs, **images})
        found = (logits[:, signal] - logits[:, background]).sum()
        gradients = torch.autograd.grad(found, list(points.values()))
        for name, gradient in zip(names, gradients, strict=True):
            sums[name] += float(weight) * gradient
    with torch.no_grad():
        empty = {name: torch.zeros_like(inputs[name]) for name in names}
        here, there = network(inputs), network({**inputs, **empty})
    return Attribution(
        {name: ends[name] * sums[name] for name in names},
        here[:, signal] - here[:, background],
        there[:, signal] - there[:, background],
    )


def grad_cam(
    network: EventNetwork, inputs: Mapping[str, Tensor], signal: int, background: int
) -> Tensor:
    """(B, 2, S, S) Grad-CAM (arXiv:1610.02391) of a difference of logits at the last stage.

    Channels of the encoder's last stage, weighted by their mean gradients, less what an empty crop
    gives with the same weights, enlarged to crystals. Positive where the image speaks for the
    signal, negative for the background: the sign, which the original cuts away, tells which.

    Raises
    ------
    ValueError
        If the network has no encoder of crops.
    """
    features = network.forward_features(inputs)
    if not features.stages:
        raise ValueError("Grad-CAM needs a network with an encoder of crops")
    stage = features.stages[-1]
    logits = network.forward_head(features)
    found = (logits[:, signal] - logits[:, background]).sum()
    (gradient,) = torch.autograd.grad(found, stage)
    weight = gradient.mean(dim=(2, 3), keepdim=True)
    empty = {**inputs, "crops": torch.zeros_like(inputs["crops"])}
    with torch.no_grad():
        nothing = network.forward_features(empty).stages[-1]
    maps = (weight * (stage - nothing)).sum(dim=1, keepdim=True).detach()
    size = inputs["crops"].shape[-1]
    enlarged = functional.interpolate(maps, size=(size, size), mode="bilinear")
    return enlarged.view(-1, 2, size, size)
