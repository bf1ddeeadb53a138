"""Shapes and isolation beside the crops: normalised inside, and no part of the embedding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from data.store import EventStore
from e2e.config import InputConfig, NetworkConfig
from e2e.inputs.augmentation import mirror
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import EventInputs
from e2e.inputs.tabular import ISOLATION_NAMES, SHAPE_NAMES
from e2e.networks import build_network
from e2e.networks.shapes import N_SHAPES
from tests.synthetic import write_store

SMALL = NetworkConfig(widths=[8, 12], context_widths=[6], hidden=16, photon=8, rings=6, shapes=5)
INPUTS = InputConfig(shapes=True)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> EventInputs:
    path = write_store(tmp_path_factory.mktemp("shapes") / "events.h5", 60)
    with EventStore(path) as store:
        return read_inputs(store, INPUTS)


def test_shapes_join_the_head_and_leave_the_embedding_alone(inputs: EventInputs) -> None:
    assert len(SHAPE_NAMES + ISOLATION_NAMES) == N_SHAPES
    network = build_network(SMALL, INPUTS).eval()
    assert set(network.needs) == {"crops", "context", "kinematics", "tabular"}
    network.fit_normalisation(inputs, np.arange(40))
    batch = inputs.batch(np.arange(20), network.needs)
    before = network.forward_features(batch)
    after = network.forward_features(batch | {"tabular": batch["tabular"] * 2})
    assert before.embedding is not None
    assert after.embedding is not None
    assert_array_equal(before.embedding.detach(), after.embedding.detach())
    logits = network.forward_head(before)
    assert logits.shape == (20, 3)
    assert torch.isfinite(logits).all()
    assert not torch.equal(logits, network.forward_head(after))


def test_a_network_without_context_does_not_ask_for_it(inputs: EventInputs) -> None:
    network = build_network(
        SMALL.model_copy(update={"context_widths": []}), InputConfig(shapes=False)
    )
    assert set(network.needs) == {"crops", "kinematics"}
    assert network(inputs.batch(np.arange(4), network.needs)).shape == (4, 3)


def test_normalisation_travels_in_the_state(
    inputs: EventInputs,
) -> None:
    network = build_network(SMALL, INPUTS)
    network.fit_normalisation(inputs, np.arange(40))
    state = network.state_dict()
    assert state["shapes.mean"].shape == (N_SHAPES,)
    assert (state["shapes.spread"] > 0).all()
    batch = inputs.batch(np.arange(8), network.needs)
    flipped = mirror(dict(batch), torch.ones(8, dtype=torch.bool), torch.ones(8, dtype=torch.bool))
    changed = (flipped["tabular"] != batch["tabular"]).any(dim=0)
    assert 0 < int(changed.sum()) <= 12
