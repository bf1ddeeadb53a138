"""Images of the whole detector: the same as the exported ones, scaled first and then cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from common.errors import ConfigError, InputError
from data.batch import Hits
from data.detector.images import stack
from data.store import EventStore
from e2e.config import InputConfig
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.full import FULL_IMAGES, event_scale, scaled_hits
from e2e.inputs.kinematics import Pairs
from tests.synthetic import write_store


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("full") / "events.h5", 60, without_pair=0.1)


@pytest.mark.parametrize("name", sorted(FULL_IMAGES))
def test_raw_images_are_those_of_the_export(store_path: Path, name: str) -> None:
    with EventStore(store_path) as store:
        inputs = read_inputs(store, InputConfig(full=[name + "_raw"]))
        hits = {channel: store.hits(channel) for channel in store.channels}
    hits["EB"] = scaled_hits(hits["EB"], "EB", np.ones(60), 0.0)  # crystals' last hits only
    hits["EE"] = scaled_hits(hits["EE"], "EE", np.ones(60), 0.0)
    dense = inputs.images[name + "_raw"].dense(np.arange(60)).numpy()
    planes = [stack(plane, hits).transpose(0, 3, 1, 2) for plane in FULL_IMAGES[name]]
    expected = planes[0] if len(planes) == 1 else np.stack(planes, axis=1)
    assert dense.shape == expected.shape
    assert_allclose(dense, expected, rtol=1e-4, atol=1e-5)


def test_blind_images_are_scaled_by_the_mass_and_cut(store_path: Path) -> None:
    config = InputConfig(full=["EB"])
    with EventStore(store_path) as store:
        inputs = read_inputs(store, config)
        pairs, hits = Pairs.read(store), store.hits("EB")
    with_pair = np.flatnonzero(pairs.complete)
    dense = inputs.images["EB"].dense(np.arange(60)).numpy()
    assert dense[~pairs.complete].sum() == 0
    filled = dense[dense > 0]
    assert filled.min() >= 4 * config.ecal_cut
    single = scaled_hits(hits, "EB", np.ones(60), 0.0)
    raw = stack(["EB_energy"], {"EB": single}).transpose(0, 3, 1, 2)
    scale = event_scale(pairs, config)[with_pair, None, None, None]
    expected = raw[with_pair] * scale
    expected[expected < 4 * config.ecal_cut] = 0
    close = np.abs(raw[with_pair] * scale - 4 * config.ecal_cut) < 1e-4
    assert_allclose(dense[with_pair][~close], expected[~close], rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 2.0))
def test_a_heavier_event_gives_the_same_hits(factor: float) -> None:
    rng = np.random.default_rng(3)
    energy = rng.exponential(3, 40).astype(np.float32)
    cell = rng.permutation(100)[:40]
    event = np.repeat([0, 1], 20)
    plain = scaled_hits(Hits.from_events(event, 2, cell, energy), "EB", np.ones(2), 1.0)
    heavier = Hits.from_events(event, 2, cell, energy * np.float32(factor))
    found = scaled_hits(heavier, "EB", np.full(2, 1 / factor), 1.0)
    near = np.abs(energy - 1) < 1e-4
    if not near.any():
        assert (found.cell == plain.cell).all()
        assert_allclose(found.energy, plain.energy, rtol=1e-5)


def test_depths_of_a_tower_are_summed_before_the_cut_and_of_crystals_the_last_counts() -> None:
    hits = Hits.from_events(np.zeros(2, int), 1, np.array([7, 7]), np.array([1.5, 1.0]))
    assert scaled_hits(hits, "HBHE", np.ones(1), 2.0).energy.tolist() == [2.5]
    assert scaled_hits(hits, "EB", np.ones(1), 0.0).energy.tolist() == [1.0]
    assert len(scaled_hits(hits, "EB", np.full(1, np.nan), 0.0).cell) == 0


def test_unknown_images_and_absent_channels_are_refused(tmp_path: Path, store_path: Path) -> None:
    with EventStore(store_path) as store, pytest.raises(ConfigError, match="no image 'EBB'"):
        read_inputs(store, InputConfig(full=["EBB"]))
    barrel = write_store(tmp_path / "barrel.h5", 12, channels=("EB",))
    with EventStore(barrel) as store, pytest.raises(InputError, match="TRK"):
        read_inputs(store, InputConfig(full=["EB3"]))
