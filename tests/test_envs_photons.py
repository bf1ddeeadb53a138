"""Gathering photons, the shower template, the observation model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import build
from common.errors import ConfigError, InputError
from data.detector.edges import MODULE_EDGES, edge_distances
from data.store import EventStore
from envs.photons.gather import gather_photons
from envs.photons.table import PhotonTable, concatenate, wrap_crystals
from envs.refinement.config import EnvironmentConfig
from envs.refinement.observation import CLIP, ObservationModel
from envs.refinement.sample import read_sample, write_sample
from envs.refinement.shower import ShowerTemplate, residual_image
from tests.synthetic_photons import write_pairs


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("photons") / "gun.h5", "gun", 400)


@pytest.fixture(scope="module")
def table(store_path: Path) -> PhotonTable:
    with EventStore(store_path) as store:
        return gather_photons(store).matched()


def _config(**settings: object) -> EnvironmentConfig:
    return build(EnvironmentConfig, {"blocks": ["kinematics", "shapes", "residual"]}, settings)


def test_gathered_photons_agree_with_the_store(store_path: Path, table: PhotonTable) -> None:
    with EventStore(store_path) as store:
        energy = store.clusters("energy")
        truth = store.truth("energy")
        hits = store.hits("EB")
    np.testing.assert_allclose(table.energy, energy[table.row, table.slot])
    ratio = truth[table.row, table.slot] / energy[table.row, table.slot]
    np.testing.assert_allclose(np.exp(table.target[:, 0]), ratio, rtol=1e-5)
    # The crop's centre is the seed, and its 5x5 sum the window's.
    k = 17
    event = hits.select(np.arange(len(hits)) == table.row[k])
    seed_energy = event.energy[event.cell == table.seed[k]]
    assert table.crop[k, 5, 5] == pytest.approx(float(seed_energy[-1]))
    window = table.crop[:, 3:8, 3:8].sum(axis=(1, 2)) / table.e5x5
    assert window.min() > 0.9999
    assert np.mean(window > 1.0001) < 0.01  # a crystal that belongs to a neighbour's window


def test_density_counts_pile_up_and_not_the_photons(table: PhotonTable) -> None:
    # 200 soft hits of mean transverse energy 0.3 + 0.08/cosh over 61200 crystals.
    assert 0.5 < np.median(table.density) < 2.0
    assert abs(np.corrcoef(table.density, table.energy)[0, 1]) < 0.2


def test_low_level_outputs_reach_the_right_slots(store_path: Path) -> None:
    class Outputs:
        def __init__(self, n: int) -> None:
            self.embedding = np.arange(n * 2 * 3, dtype=np.float32).reshape(n, 2, 3)
            self.feature_map = np.zeros((n, 2, 2, 4, 4), dtype=np.float16)

    with EventStore(store_path) as store:
        found = gather_photons(store, Outputs(len(store)))
        np.testing.assert_array_equal(found.embedding[:, 0], 6 * found.row + 3 * found.slot)
        assert found.feature_map.shape == (len(found), 32)
        with pytest.raises(InputError, match="low-level outputs have 3"):
            gather_photons(store, Outputs(3))


@given(st.floats(0, 359.99), st.floats(-170, 170))
def test_differences_in_v_wrap_round(v: float, dv: float) -> None:
    assert wrap_crystals(np.array((v + dv) % 360 - v)) == pytest.approx(dv, abs=1e-6)


def test_edges_are_where_modules_meet(table: PhotonTable) -> None:
    du, dv = edge_distances(np.full_like(table.u, 110.25), table.v * 0 + 19.5)
    np.testing.assert_allclose(du, 0.25)
    np.testing.assert_allclose(dv, -0.5)
    assert 85.0 in MODULE_EDGES


def test_template_follows_the_impact_and_keeps_the_energy(table: PhotonTable) -> None:
    shower = ShowerTemplate.fit(table.crop / table.energy[:, None, None], table.offset)
    offsets = np.array([[0, 0], [0.3, 0], [0, 0.3], [1.0, 0]], dtype=np.float32)
    image = shower.expected(offsets).reshape(-1, 7, 7)
    assert np.all(np.abs(image.sum(axis=(1, 2)) - 1) < 0.05)
    rows = (image.sum(axis=2) @ (np.arange(7) - 3)) / image.sum(axis=(1, 2))
    columns = (image.sum(axis=1) @ (np.arange(7) - 3)) / image.sum(axis=(1, 2))
    assert rows[1] > rows[0] + 0.1
    assert columns[2] > columns[0] + 0.1
    # A hypothesis one crystal away sees the same shower, moved.
    assert image[3, 4, 3] == pytest.approx(image[0, 3, 3])


def test_residual_vanishes_for_the_right_hypothesis() -> None:
    expected = np.full((2, 49), 0.02, dtype=np.float32)
    observed = expected * np.exp(np.float32(0.1))
    residual = residual_image(observed, expected, np.array([0.1, 0.0], dtype=np.float32))
    np.testing.assert_allclose(residual[0], 0, atol=1e-4)
    assert np.all(residual[1] > 0.1)


def test_features_are_standardised_clipped_and_finite(table: PhotonTable) -> None:
    config = _config()
    model = ObservationModel.fit(table, config)
    features = model.constant(table)
    assert features.shape == (len(table), len(model.names))
    assert np.isfinite(features).all()
    assert np.abs(features).max() <= CLIP
    assert np.abs(features[:, model.names.index("eta")].mean()) < 1e-3
    # H/E is unknown without HCAL: it sits at the mean.
    assert not features[:, model.names.index("log_h_over_e")].any()


def test_observation_does_not_depend_on_the_truth(table: PhotonTable) -> None:
    config = _config()
    shuffled = replace(table, target=table.target[::-1].copy())
    first = ObservationModel.fit(table, config).constant(table)
    np.testing.assert_array_equal(first, ObservationModel.fit(shuffled, config).constant(shuffled))


def test_missing_blocks_are_named(table: PhotonTable) -> None:
    config = build(EnvironmentConfig, {"blocks": ["kinematics", "embedding"]})
    with pytest.raises(ConfigError, match="no embedding"):
        ObservationModel.fit(table, config)


def test_sample_file_gives_back_what_was_written(table: PhotonTable, tmp_path: Path) -> None:
    config = build(
        EnvironmentConfig,
        {"blocks": ["kinematics", "feature_map", "residual"], "feature_map_components": 3},
    )
    rng = np.random.default_rng(0)
    table = replace(table, feature_map=rng.normal(size=(len(table), 10)).astype(np.float32))
    model = ObservationModel.fit(table, config)
    write_sample(tmp_path / "sample.npz", table, model, config)
    again, model_again, config_again = read_sample(tmp_path / "sample.npz")
    assert config_again == config
    np.testing.assert_allclose(
        model_again.constant(again), model.constant(table), atol=5e-3
    )  # the map is stored with 11 bits
    np.testing.assert_array_equal(again.target, table.target)


def test_a_damaged_sample_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sample.npz"
    with pytest.raises(InputError, match="no such sample"):
        read_sample(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(InputError, match="not a sample"):
        read_sample(path)


def test_tables_join_and_drop_what_one_lacks(table: PhotonTable) -> None:
    other = table.with_regression(np.zeros((len(table), 3)))
    joined = concatenate([table, other])
    assert len(joined) == 2 * len(table)
    assert joined.regression is None
