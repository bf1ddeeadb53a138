"""A small fully connected network on the five kinematic inputs: the baseline without images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from e2e.networks.base import N_KINEMATICS, EventNetwork, Features

if TYPE_CHECKING:
    from e2e.config import NetworkConfig


class KinematicNetwork(EventNetwork):
    """Two hidden layers on mass-blind kinematics."""

    needs = ("kinematics",)

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(N_KINEMATICS, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
        )
        self.head = nn.Linear(config.hidden, config.classes)

    def forward_features(self, inputs: Mapping[str, Tensor]) -> Features:
        """The hidden layer as event features; no photon is looked at."""
        return Features(self.body(self.normalised_kinematics(inputs)))

    def forward_head(self, features: Features) -> Tensor:
        """(B, 3) logits."""
        return self.head(features.event)
