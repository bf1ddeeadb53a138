"""Building blocks: the residual block and a small stack of convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, added to their input.

    Parameters
    ----------
    inputs, outputs
        Channels before and after.
    stride
        2 halves the image; the shortcut is then a strided 1x1 convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        )

    def forward(self, images: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h/stride, w/stride)."""
        hidden = functional.relu(self.norm1(self.conv1(images)))
        return functional.relu(self.norm2(self.conv2(hidden)) + self.shortcut(images))


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def laid_out(images: Tensor) -> Tensor:
    """Channels last, which is faster, where it is safe: in reduced precision, or without gradients.

    In float32 torch 2.13's backward pass on a CPU crashes with channels last.
    """
    if torch.is_autocast_enabled(images.device.type) or not torch.is_grad_enabled():
        return images.contiguous(memory_format=torch.channels_last)
    return images


def pooled(images: Tensor) -> Tensor:
    """(B, C, h, w) to (B, 2C): mean and maximum over the image."""
    return torch.cat([images.mean(dim=(2, 3)), images.amax(dim=(2, 3))], dim=1)


def residual_stages(widths: Sequence[int], blocks: int) -> nn.ModuleList:
    """Stages of residual blocks; every stage after the first halves the image."""
    stages = nn.ModuleList()
    for index, width in enumerate(widths):
        first = ResidualBlock(widths[max(index - 1, 0)], width, stride=1 if index == 0 else 2)
        rest = [ResidualBlock(width, width) for _ in range(blocks - 1)]
        stages.append(nn.Sequential(first, *rest))
    return stages
