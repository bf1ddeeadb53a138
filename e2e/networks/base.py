"""What every network offers: features per photon and per event, a head, and its normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

if TYPE_CHECKING:
    from e2e.inputs.events import EventInputs

N_KINEMATICS = 5


@dataclass
class Features:
    """What a network knows before its head.

    Attributes
    ----------
    event
        (B, E) features of the event that belong to no single photon.
    context
        (B, 2, F) of the region round each photon, of shapes and isolation; or None.
    embedding
        (B, 2, D) per photon, or None for a network that does not look at photons.
    feature_map
        (B, 2, C, h, w) at the photon, rows along eta, columns along phi; or None.
    stages
        Outputs of the encoder's stages, (2 B, C, h, w) each, for heads that give an image.
    """

    event: Tensor
    context: Tensor | None = None
    embedding: Tensor | None = None
    feature_map: Tensor | None = None
    stages: tuple[Tensor, ...] = ()


class EventNetwork(nn.Module):
    """Base of the classifiers: inputs, whose names are in `needs`, to logits.

    `forward_features` may be used alone: low-level outputs are made of it. Inputs are normalised
    inside, with statistics that travel in the state dictionary.
    """

    needs: tuple[str, ...] = ("kinematics",)
    kinematics_mean: Tensor
    kinematics_std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kinematics_mean", torch.zeros(N_KINEMATICS))
        self.register_buffer("kinematics_std", torch.ones(N_KINEMATICS))

    def fit_normalisation(self, inputs: EventInputs, rows: NDArray[np.integer]) -> None:
        """Take mean and spread of the tables that are looked at from the training rows."""
        if "kinematics" not in self.needs:
            return
        kinematics = inputs.tables["kinematics"][rows]
        self.kinematics_mean.copy_(torch.from_numpy(kinematics.mean(axis=0)))
        spread = np.maximum(kinematics.std(axis=0), 1e-3)
        self.kinematics_std.copy_(torch.from_numpy(spread))

    def normalised_kinematics(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(B, 5) standardised kinematics, clipped to six spreads."""
        scaled = (inputs["kinematics"] - self.kinematics_mean) / self.kinematics_std
        return scaled.clamp(-6, 6)

    def forward_features(self, inputs: Mapping[str, Tensor]) -> Features:
        """Features of a batch; `inputs` holds the tensors named in `needs`."""
        raise NotImplementedError

    def forward_head(self, features: Features) -> Tensor:
        """(B, 3) logits from features."""
        raise NotImplementedError

    def forward_prompt(self, features: Features) -> Tensor | None:
        """(B, 2) logits of each photon being prompt, or None where the network has no such head."""
        return None

    def forward_share(self, features: Features, inputs: Mapping[str, Tensor]) -> Tensor | None:
        """(B, 2, 1, S, S) logits of each crystal's share of the photon, were it prompt; or None."""
        return None

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(B, 3) logits."""
        return self.forward_head(self.forward_features(inputs))
