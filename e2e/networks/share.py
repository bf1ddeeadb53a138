"""A head on the crop encoder: which part of each crystal's energy is of the photon."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from e2e.networks.layers import convolution, laid_out

if TYPE_CHECKING:
    from e2e.config import NetworkConfig


class ShareDecoder(nn.Module):
    """From the encoder's stages back to crystals, as the expanding half of a U-Net.

    Ronneberger, Fischer and Brox, arXiv:1505.04597. Each stage's output, enlarged to the size of
    the one before, is joined with it; at last with the crop itself, which here holds the uncut
    ECAL hits too: pile-up lies below the cut of the mass-blind images. Nothing of it reaches the
    classes' head. It is taught round prompt photons only: whether a photon is prompt belongs to
    the whole of it, and the prompt logit says so.

    Parameters
    ----------
    config
        Widths of the encoder's stages, and channels of this head.
    channels
        Of the crop that it sees, all on a logarithmic scale.
    """

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        width = config.share
        # Two more channels say how far from the photon a crystal lies along eta and phi.
        self.crop = convolution(channels + 2, width)
        self.up = nn.ModuleList(
            convolution(deep + shallow, shallow)
            for shallow, deep in itertools.pairwise(config.widths)
        )
        self.joined = nn.Sequential(
            convolution(config.widths[0] + width, width), nn.Conv2d(width, 1, 1)
        )

    def forward(self, crop: Tensor, stages: Sequence[Tensor]) -> Tensor:
        """Logits (P, 1, S, S) from a crop (P, C, S, S) and the encoder's stages."""
        places = _distances(crop.shape[-1], crop.device).expand(len(crop), -1, -1, -1)
        shallow = self.crop(laid_out(torch.cat([crop, places], dim=1)))
        images = stages[-1]
        for before, join in zip(reversed(stages[:-1]), reversed(self.up), strict=True):
            images = join(torch.cat([_enlarged(images, before), before], dim=1))
        return self.joined(torch.cat([_enlarged(images, shallow), shallow], dim=1))


def _enlarged(images: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(images, size=like.shape[-2:], mode="nearest")


def _distances(size: int, device: torch.device) -> Tensor:
    """(2, S, S) distances from the middle, in half crops, of the rows and of the columns."""
    steps = (torch.arange(size, device=device) - (size - 1) / 2).abs() / (size / 2)
    return torch.stack([steps[:, None].expand(size, size), steps[None, :].expand(size, size)])
