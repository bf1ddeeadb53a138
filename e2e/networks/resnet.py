"""The paper's ResNet-15 (arXiv:1807.11916) on images of the whole detector, or of a jet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from e2e.networks.base import N_KINEMATICS, EventNetwork, Features
from e2e.networks.layers import laid_out

if TYPE_CHECKING:
    from e2e.config import NetworkConfig
    from e2e.inputs.events import EventInputs

WIDTHS = (16, 32)
BLOCKS = 3  # of each width, beside the one between them


class PlainBlock(nn.Module):
    """Two 3x3 convolutions added to their input; no batch normalisation, as in the paper.

    Parameters
    ----------
    inputs, outputs
        Channels; where they differ the image is halved and the shortcut is a strided 1x1
        convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h, w), or half of h and w."""
        hidden = self.conv2(functional.relu(self.conv1(images)))
        return functional.relu(hidden + self.shortcut(images))


class ResNet15Trunk(nn.Module):
    """Fifteen convolutions to the maximum of each of 32 maps over the image.

    A 7x7 convolution, maxima of 2x2, three blocks of 16 maps, one that halves the image, three of
    32. A `stride` of 1 is the paper's; 2 and 4 cost a fraction of it.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        narrow, wide = WIDTHS
        self.stem = nn.Conv2d(channels, narrow, 7, stride, 1)
        blocks = [PlainBlock(narrow, narrow) for _ in range(BLOCKS)]
        blocks += [PlainBlock(narrow, wide)]
        blocks += [PlainBlock(wide, wide) for _ in range(BLOCKS)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, h, w) to (B, 32)."""
        # One channel has no layout of its own, hence again after the stem.
        maps = laid_out(functional.relu(self.stem(laid_out(images))))
        return self.blocks(functional.max_pool2d(maps, 2)).amax(dim=(2, 3))


class ResNet15(EventNetwork):
    """ResNet-15 on one or several images, and on the kinematics where wanted; a linear head.

    The authors' code keeps an unused 1x1 convolution in every block: with two channels and two
    further inputs it has 89,443 parameters, of which 85,459 are used, as here.

    Images are (B, C, h, w) or (B, K, C, h, w): K planes, such as the endcaps' discs, go through
    one trunk, and the largest response of any plane counts.
    """

    scales: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.images = dict(config.images)
        self.log_energies = config.energies == "log"
        self.with_kinematics = config.with_kinematics
        self.needs = (*self.images, *(("kinematics",) if config.with_kinematics else ()))
        trunks = {n: ResNet15Trunk(c, config.stride) for n, c in self.images.items()}
        if config.shared_trunk:
            first = next(iter(trunks.values()))
            trunks = dict.fromkeys(trunks, first)
        self.trunks = nn.ModuleDict(trunks)
        # One per channel of each image in turn: what the energies are divided by.
        self.register_buffer("scales", torch.ones(sum(self.images.values())))
        known = N_KINEMATICS if config.with_kinematics else 0
        self.head = nn.Linear(len(trunks) * WIDTHS[-1] + known, config.classes)

    def fit_normalisation(self, inputs: EventInputs, rows: NDArray[np.integer]) -> None:
        """Kinematics as in the base; for linear energies the mean square of filled pixels."""
        super().fit_normalisation(inputs, rows)
        if self.log_energies:
            return
        scales = [
            inputs.images[name].channel_scales(rows, channels)
            for name, channels in self.images.items()
        ]
        self.scales.copy_(torch.from_numpy(np.concatenate(scales)))

    def forward_features(self, inputs: Mapping[str, Tensor]) -> Features:
        """(B, 32 per image and 5 kinematic) event features; no photon is looked at by itself."""
        scales = self.scales.split(list(self.images.values()))
        found = [
            self._pooled(name, self._normalised(inputs[name], scale))
            for name, scale in zip(self.images, scales, strict=True)
        ]
        if self.with_kinematics:
            found.append(self.normalised_kinematics(inputs))
        return Features(torch.cat(found, dim=1))

    def forward_head(self, features: Features) -> Tensor:
        """(B, classes) logits."""
        return self.head(features.event)

    def _normalised(self, images: Tensor, scale: Tensor) -> Tensor:
        return torch.log1p(images) if self.log_energies else images / scale[:, None, None]

    def _pooled(self, name: str, images: Tensor) -> Tensor:
        """(B, 32) of one image, the maximum over its planes."""
        if images.dim() == 4:
            return self.trunks[name](images)
        planes = self.trunks[name](images.flatten(0, 1))
        return planes.unflatten(0, images.shape[:2]).amax(dim=1)
