"""Networks behind one interface: `forward_features`, `forward_head`; built by `build_network`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e.networks.base import EventNetwork, Features
from e2e.networks.diphoton import DiphotonNetwork
from e2e.networks.kinematic import KinematicNetwork
from e2e.networks.resnet import ResNet15

if TYPE_CHECKING:
    from e2e.config import InputConfig, NetworkConfig

__all__ = [
    "DiphotonNetwork",
    "EventNetwork",
    "Features",
    "KinematicNetwork",
    "ResNet15",
    "build_network",
]


def build_network(config: NetworkConfig, inputs: InputConfig) -> EventNetwork:
    """The network that `config.kind` names, with fresh weights from torch's global generator."""
    if config.kind == "kinematics":
        return KinematicNetwork(config)
    if config.kind == "resnet15":
        return ResNet15(config)
    return DiphotonNetwork(config, inputs)
