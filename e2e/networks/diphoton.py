"""The diphoton network: a shared ResNet on the crops, a context branch, and kinematics."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data.detector.geometry import CRYSTAL
from e2e.networks.base import N_KINEMATICS, EventNetwork, Features
from e2e.networks.layers import convolution, laid_out, pooled, residual_stages
from e2e.networks.shapes import ShapeBranch
from e2e.networks.share import ShareDecoder

if TYPE_CHECKING:
    from e2e.config import InputConfig, NetworkConfig
    from e2e.inputs.events import EventInputs

IMAGE_CHANNELS = 3
MAP_SIZE = 4  # side in pixels of the exported feature map
RING_EDGES = (0.0, 0.06, 0.12, 0.2, 0.3, 0.4)  # in eta-phi


class CropEncoder(nn.Module):
    """ResNet on one photon's crop; its embedding and feature map are the low-level outputs."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        # An even kernel keeps the photon, at a corner of crystals, in the middle of the image.
        self.stem = convolution(IMAGE_CHANNELS, config.widths[0], size=4, stride=2)
        self.stages = residual_stages(config.widths, config.blocks)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """(P, 3, S, S) to an embedding (P, 2 C), a feature map (P, C', 4, 4), and all stages.

        The map is the middle of the first stage's output: a pixel is two crystals wide, so that
        it covers the eight by eight crystals round the photon.
        """
        images, outputs = self.stem(laid_out(crops)), []
        for stage in self.stages:
            images = stage(images)
            outputs.append(images)
        margin = (outputs[0].shape[-1] - MAP_SIZE) // 2
        inner = slice(margin, margin + MAP_SIZE)
        return pooled(images), outputs[0][:, :, inner, inner], tuple(outputs)


class ContextBranch(nn.Module):
    """The region round one photon: convolutions, and sums over rings as isolation is made of."""

    rings: Tensor

    def __init__(self, config: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__()
        widths = [IMAGE_CHANNELS, *config.context_widths]
        self.body = nn.Sequential(
            *(convolution(a, b, stride=2) for a, b in itertools.pairwise(widths))
        )
        self.register_buffer("rings", ring_masks(inputs))
        sums = IMAGE_CHANNELS * len(self.rings)
        self.summed = nn.Sequential(nn.BatchNorm1d(sums), nn.Linear(sums, config.rings), nn.ReLU())
        self.outputs = 2 * widths[-1] + config.rings

    def forward(self, images: Tensor) -> Tensor:
        """(P, 3, B, B) scaled energies to (P, F)."""
        sums = torch.log1p(images.flatten(2) @ self.rings.T).flatten(1)
        convolved = pooled(self.body(laid_out(torch.log1p(images))))
        return torch.cat([convolved, self.summed(sums)], dim=1)


class DiphotonNetwork(EventNetwork):
    """Both photons through the same branches, joined with the kinematics.

    Energies enter as log(1 + E/GeV): showers fall over three decades.
    """

    def __init__(self, config: NetworkConfig, inputs: InputConfig) -> None:
        super().__init__()
        wanted = {
            "context": bool(config.context_widths), "tabular": inputs.shapes, "hits": inputs.hits
        }  # fmt: skip
        self.needs = ("crops", "kinematics", *(name for name, there in wanted.items() if there))
        self.encoder = CropEncoder(config)
        self.context = ContextBranch(config, inputs) if config.context_widths else None
        self.shapes = ShapeBranch(config) if inputs.shapes else None
        around = [branch.outputs for branch in (self.context, self.shapes) if branch is not None]
        features = 2 * config.widths[-1] + sum(around)
        self.photon = nn.Sequential(
            nn.Linear(features + 2, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.photon),
            nn.ReLU(),
        )
        self.prompt = nn.Linear(config.photon, 1)
        self.head = nn.Sequential(
            nn.Linear(2 * config.photon + N_KINEMATICS, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.classes),
        )

        # Built last, so that the other weights do not depend on whether it is there.
        self.share = ShareDecoder(config, IMAGE_CHANNELS + 1) if inputs.hits else None

    def fit_normalisation(self, inputs: EventInputs, rows: NDArray[np.integer]) -> None:
        """Of the kinematics and, where they are an input, of shapes and isolation."""
        super().fit_normalisation(inputs, rows)
        if self.shapes is not None:
            self.shapes.fit(np.nan_to_num(inputs.tables["tabular"][rows]))

    def forward_features(self, inputs: Mapping[str, Tensor]) -> Features:
        """Embedding and feature map of each photon from its crop alone; context and kinematics."""
        crops = torch.log1p(inputs["crops"])
        embedding, feature_map, stages = self.encoder(crops.flatten(0, 1))
        around = []
        if self.context is not None:
            around.append(self.context(inputs["context"].flatten(0, 1)).unflatten(0, (-1, 2)))
        if self.shapes is not None:
            around.append(self.shapes(inputs["tabular"]))
        return Features(
            self.normalised_kinematics(inputs),
            torch.cat(around, dim=2) if around else None,
            embedding.unflatten(0, (-1, 2)),
            feature_map.unflatten(0, (-1, 2)),
            stages,
        )

    def forward_head(self, features: Features) -> Tensor:
        """(B, 3) logits."""
        photons = self._photons(features).flatten(1)
        return self.head(torch.cat([photons, features.event], dim=1))

    def forward_prompt(self, features: Features) -> Tensor:
        """(B, 2) logits of each photon being prompt."""
        return self.prompt(self._photons(features)).squeeze(-1)

    def forward_share(self, features: Features, inputs: Mapping[str, Tensor]) -> Tensor | None:
        """(B, 2, 1, S, S) logits of each crystal's share, where the configuration has the head."""
        if self.share is None:
            return None
        images = torch.cat([inputs["crops"], inputs["hits"]], dim=2)
        shares = self.share(torch.log1p(images).flatten(0, 1), features.stages)
        return shares.unflatten(0, (-1, 2))

    def _photons(self, features: Features) -> Tensor:
        """(B, 2, C) of each photon: its own features, pt over m, and eta."""
        assert features.embedding is not None
        own = features.event[:, : N_KINEMATICS - 1].unflatten(1, (2, 2))
        known = [features.embedding, own]
        if features.context is not None:
            known.append(features.context)
        return self.photon(torch.cat(known, dim=2))


def ring_masks(inputs: InputConfig) -> Tensor:
    """(2 R, B * B) rings of the context image, then the same without the photon's own rows.

    A photon's shower spreads along phi, by conversions; classical isolation leaves out a strip.
    """
    bins = inputs.context_bins
    steps = np.arange(bins) - bins // 2
    along = steps * inputs.context_bin * CRYSTAL
    distance = np.hypot(along[:, None], along[None, :])
    rings = [(distance >= low) & (distance < high) for low, high in itertools.pairwise(RING_EDGES)]
    masks = np.stack(rings)
    outside_strip = (steps != 0)[:, None]
    both = np.concatenate([masks, masks & outside_strip]).astype(np.float32)
    return torch.from_numpy(both.reshape(len(both), -1))
