"""The paper's network: its size as published, its images, its normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from e2e.config import InputConfig, NetworkConfig
from e2e.inputs.events import EventInputs
from e2e.inputs.sparse import SparseImages
from e2e.networks import ResNet15, build_network


def resnet(**settings: object) -> ResNet15:
    network = build_network(NetworkConfig(kind="resnet15", **settings), InputConfig())
    assert isinstance(network, ResNet15)
    return network.eval()


def size_of(module: nn.Module) -> int:
    return sum(values.numel() for values in module.parameters())


def test_it_has_fifteen_convolutions_and_as_many_parameters_as_the_authors() -> None:
    network = resnet(images={"EB": 2}, with_kinematics=False, classes=2)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len([m for m in convolutions if m.kernel_size != (1, 1)]) == 15
    # Theirs has two numbers beside the 32 maps, and in six blocks a 1x1 convolution without use.
    unused = 3 * (16 * 16 + 16) + 3 * (32 * 32 + 32)
    one_logit = size_of(network) - 33
    assert one_logit + 2 + unused == 89_443


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("kinematics", [False, True])
def test_features_then_head_on_any_image(stride: int, kinematics: bool) -> None:
    network = resnet(images={"jet": 3}, stride=stride, with_kinematics=kinematics, classes=2)
    inputs = {"jet": torch.rand(4, 3, 61, 61), "kinematics": torch.rand(4, 5)}
    assert network.needs == (("jet", "kinematics") if kinematics else ("jet",))
    features = network.forward_features(inputs)
    assert features.event.shape == (4, 37 if kinematics else 32)
    assert features.embedding is None
    assert torch.equal(network.forward_head(features), network(inputs))
    assert network(inputs).shape == (4, 2)


def test_planes_share_a_trunk_and_their_order_does_not_matter() -> None:
    network = resnet(images={"EB": 1, "EE": 1}, with_kinematics=False)
    inputs = {"EB": torch.rand(2, 1, 60, 60), "EE": torch.rand(2, 2, 1, 50, 50)}
    swapped = inputs | {"EE": inputs["EE"].flip(1)}
    assert_allclose(network(inputs).detach(), network(swapped).detach(), atol=1e-6)
    shared = resnet(images={"EB": 1, "EE": 1}, with_kinematics=False, shared_trunk=True)
    assert size_of(shared) < 0.6 * size_of(network)
    assert shared(inputs).shape == (2, 3)


def test_linear_energies_are_scaled_by_what_the_training_rows_hold() -> None:
    network = resnet(images={"EB": 2}, energies="linear", with_kinematics=False)
    event, pixel = np.array([0, 0, 1, 2]), np.array([0, 5, 9, 9])
    images = SparseImages.from_entries(event, pixel, np.array([3.0, 4.0, 2.0, 99.0]), 3, (2, 2, 4))
    inputs = EventInputs({"EB": images}, {}, np.ones(3, dtype=bool))
    network.fit_normalisation(inputs, np.array([0, 1]))
    assert_allclose(network.scales, [np.sqrt(12.5), 2.0])
    assert "scales" in network.state_dict()
    batch = {"EB": torch.rand(2, 2, 40, 40)}
    first = network(batch).detach()
    network.scales *= 2
    doubled = {"EB": batch["EB"] * 2}
    assert_allclose(network(doubled).detach(), first, atol=1e-6)
