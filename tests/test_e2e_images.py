"""Mass-blind images: where hits land, what is cut, and that the mass leaves no trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from data.batch import Hits
from data.detector.geometry import detector_eta, eb_uv
from data.store import EventStore
from e2e.config import InputConfig
from e2e.inputs import images
from e2e.inputs.augmentation import mirror
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import EventInputs
from e2e.inputs.kinematics import Pairs
from e2e.inputs.sparse import SparseImages, concatenate
from e2e.inputs.tabular import feature_names, tabular_features
from e2e.inputs.windows import WindowHits, window_hits
from tests.synthetic import write_store

CONFIG = InputConfig()


def pairs_at(u: float, v: float, pt: float = 62.5, pt2: float = 62.5) -> Pairs:
    """One event; the first photon at (u, v), the second half a turn away."""
    us, vs = np.array([[u, 85.5]]), np.array([[v, (v + 180) % 360]])
    seed = (np.floor(us) * 360 + np.floor(vs)).astype(np.int64)
    pts = np.array([[pt, pt2]])
    zero = np.zeros((1, 2))
    return Pairs(pts, pts, zero, np.array([[0.0, np.pi]]), us, vs, seed, pts)


def one_event(cells: list[int], energies: list[float]) -> Hits:
    return Hits.from_events(
        np.zeros(len(cells), int), 1, np.array(cells, int), np.array(energies, float)
    )


def crops_of(channel: str, hits: Hits, pairs: Pairs, config: InputConfig = CONFIG) -> torch.Tensor:
    windows = {channel: window_hits(channel, hits, pairs.seed, images.half_window(config))}
    blind = images.blind_hits(windows, pairs, config)
    return images.crops(blind, pairs, config).dense(np.array([0]))[0]


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 169.99), st.floats(0, 359.99), st.integers(-12, 12), st.integers(-12, 12))
def test_a_hit_lands_where_it_is(u: float, v: float, du: int, dv: int) -> None:
    row, column = int(u) + du, (int(v) + dv) % 360
    if not 0 <= row < 170:
        return
    crops = crops_of("EB", one_event([row * 360 + column], [5.0]), pairs_at(u, v))[0, 1]
    first_row, first_column = round(u) - 8, round(v) - 8
    i, j = row - first_row, (column - first_column) % 360
    expected = torch.zeros(16, 16)
    if 0 <= i < 16 and j < 16:
        expected[i, j] = 5.0
    assert_allclose(crops.numpy(), expected.numpy(), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 33), st.integers(0, 71), st.floats(3, 50))
def test_a_tower_is_spread_over_its_crystals_with_its_energy(
    row: int, column: int, energy: float
) -> None:
    # The photon sits in the middle of the tower, so that the crop holds all of it.
    pairs = pairs_at(row * 5 + 2.5, column * 5 + 2.5)
    crops = crops_of("HBHE", one_event([(row + 11) * 72 + column], [energy]), pairs)[0, 2]
    assert float(crops.sum()) == pytest.approx(energy, rel=1e-5)
    assert int((crops > 0).sum()) == 25
    assert_allclose(crops[crops > 0].numpy(), energy / 25, rtol=1e-5)


def test_tracks_of_the_stitched_image_share_the_crystal_grid() -> None:
    crops = crops_of("TRK", one_event([(80 + 55) * 360 + 3], [4.0]), pairs_at(80.2, 3.2))
    ecal = crops_of("EB", one_event([80 * 360 + 3], [4.0]), pairs_at(80.2, 3.2))
    assert_array_equal(crops[0, 0], ecal[0, 1])
    assert float(crops.sum()) == 4.0
    endcap = crops_of("TRK", one_event([54 * 360 + 3, 225 * 360 + 3], [4.0, 4.0]), pairs_at(1, 3))
    assert float(endcap.sum()) == 0.0


def test_repeated_cells_are_summed_but_for_crystals_where_the_last_counts() -> None:
    cell = 80 * 360 + 100
    assert float(crops_of("EB", one_event([cell, cell], [2.0, 7.0]), pairs_at(80, 100)).sum()) == 7
    tower = (80 // 5 + 11) * 72 + 100 // 5
    pairs = pairs_at(82.5, 102.5)
    # Two depths, each below the cut of 2 GeV, make a tower above it.
    summed = crops_of("HBHE", one_event([tower, tower], [1.5, 1.5]), pairs)
    assert float(summed.sum()) == pytest.approx(3.0, rel=1e-5)


def test_the_cut_comes_after_the_scale() -> None:
    hits = one_event([80 * 360 + 100, 80 * 360 + 101], [1.5, 0.9])
    assert float(crops_of("EB", hits, pairs_at(80, 100, pt=62.5)).sum()) == 1.5
    # At twice the pt both are under 1 GeV-equivalent; at half of it both are above.
    assert float(crops_of("EB", hits, pairs_at(80, 100, pt=125.0)).sum()) == 0.0
    halved = crops_of("EB", hits, pairs_at(80, 100, pt=31.25))
    assert float(halved.sum()) == pytest.approx(4.8, rel=1e-6)


def test_the_other_photon_does_not_change_a_crop() -> None:
    hits = one_event([80 * 360 + 100, 81 * 360 + 101], [20.0, 3.0])
    alone = crops_of("EB", hits, pairs_at(80, 100, pt2=30.0))
    assert_array_equal(alone[0], crops_of("EB", hits, pairs_at(80, 100, pt2=90.0))[0])
    scaled_by_mass = InputConfig(scale="mass")
    by_mass = [crops_of("EB", hits, pairs_at(80, 100, pt2=p), scaled_by_mass) for p in (30.0, 90.0)]
    assert not torch.equal(by_mass[0][0], by_mass[1][0])


def test_the_context_sums_bins_round_the_seed() -> None:
    pairs = pairs_at(80.5, 100.5)
    cells = [80 * 360 + 100, 81 * 360 + 101, (80 + 24) * 360 + 100, (80 + 26) * 360 + 100]
    windows = {"EB": window_hits("EB", one_event(cells, [9.0, 2.0, 3.0, 4.0]), pairs.seed, 25)}
    blind = images.blind_hits(windows, pairs, CONFIG)
    context = images.context(blind, pairs, CONFIG).dense(np.array([0]))[0, 0, 1]
    assert context.shape == (17, 17)
    assert float(context[8, 8]) == 11.0
    assert float(context[16, 8]) == 3.0
    assert float(context.sum()) == 14.0


def test_a_photons_own_track_lies_on_it_wherever_the_vertex_was() -> None:
    for z in (-12.0, 0.0, 7.0):
        eta = np.array([[0.4, -1.1]])
        u, v = eb_uv(detector_eta(eta, z), np.array([[0.3, 0.3 + np.pi]]))
        at_vertex, _ = eb_uv(eta, np.zeros_like(eta))
        ones = np.full((1, 2), 62.5)
        seed = (np.floor(u) * 360 + np.floor(v)).astype(np.int64)
        pairs = Pairs(ones, ones, eta, np.array([[0.3, -2.8]]), u, v, seed, ones)
        assert (np.abs(pairs.displacement + at_vertex - u) < 0.75).all()
        mirrored = replace(pairs, u=170 - u, eta=-eta)
        assert_array_equal(mirrored.displacement, -pairs.displacement)
        cell = (np.floor(at_vertex[0, 0]).astype(int) + 55) * 360 + seed[0, 0] % 360
        track = one_event([int(cell)], [5.0])
        seen = window_hits("TRK", track, pairs.seed, 9, pairs.displacement)
        assert np.abs(seen.du).max() <= 1
        assert (seen.dv == 0).all()
        unmoved = window_hits("TRK", track, pairs.seed, 25)
        assert (abs(z) < 1) == (np.abs(unmoved.du).max() <= 1)


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("images") / "events.h5", 90)


def mirrored(hits: WindowHits, flip_phi: bool, mirror_z: bool) -> WindowHits:
    last = hits.size - 1
    du = -hits.du - last if mirror_z else hits.du
    dv = -hits.dv - last if flip_phi else hits.dv
    return WindowHits(hits.photon, du, dv, hits.energy, hits.size)


@pytest.mark.parametrize(("flip_phi", "mirror_z"), [(True, False), (False, True), (True, True)])
def test_augmentation_is_the_mirror_image_of_the_detector(
    store_path: Path, flip_phi: bool, mirror_z: bool
) -> None:
    with EventStore(store_path) as store:
        pairs = Pairs.read(store)
        windows = images.read_windows(store, pairs, CONFIG, 0, len(store))
        plain = read_inputs(store, CONFIG)
    other = Pairs(**vars(pairs))
    if mirror_z:
        other.u, other.eta = 170 - pairs.u, -pairs.eta
    if flip_phi:
        other.v = 360 - pairs.v
    row, column = pairs.seed // 360, pairs.seed % 360
    row = 169 - row if mirror_z else row
    column = 359 - column if flip_phi else column
    other.seed = row * 360 + column
    flipped = {name: mirrored(hits, flip_phi, mirror_z) for name, hits in windows.items()}
    blind = images.blind_hits(flipped, other, CONFIG)
    rows = np.arange(len(pairs))
    every = torch.ones(len(rows), dtype=torch.bool)
    batch = plain.batch(rows, ("crops", "context", "kinematics"))
    result = mirror(batch, every & flip_phi, every & mirror_z)
    assert_allclose(images.crops(blind, other, CONFIG).dense(rows), result["crops"], rtol=1e-6)
    assert_allclose(images.context(blind, other, CONFIG).dense(rows), result["context"], rtol=1e-6)
    assert_allclose(np.nan_to_num(other.kinematics()), result["kinematics"], rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(factor=st.floats(0.6, 1.8))
def test_the_same_event_at_another_mass_gives_the_same_inputs(
    store_path: Path, factor: float
) -> None:
    """Nothing but ratios is left, of images, kinematics and the boosted tree's inputs alike."""
    with EventStore(store_path) as store:
        pairs = Pairs.read(store)
        windows = images.read_windows(store, pairs, CONFIG, 0, len(store))
    heavier = Pairs(**vars(pairs))
    for name in ("energy", "pt", "e5x5"):
        setattr(heavier, name, getattr(pairs, name) * factor)
    scaled = {
        name: WindowHits(h.photon, h.du, h.dv, h.energy * np.float32(factor), h.size)
        for name, h in windows.items()
    }
    assert_allclose(heavier.mass, pairs.mass * factor, rtol=1e-6)
    found = []
    for hits, some in ((windows, pairs), (scaled, heavier)):
        blind = images.blind_hits(hits, some, CONFIG)
        crops = images.crops(blind, some, CONFIG).dense(np.arange(len(some)))
        found.append((crops, tabular_features(blind, some)))
    # A hit within rounding of a cut may fall on either side of it.
    assert np.isclose(found[0][0], found[1][0], rtol=1e-4, atol=1e-4).mean() > 0.99999
    assert np.isclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-3, equal_nan=True).mean() > 0.999


def test_chunks_do_not_matter(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EventStore(store_path) as store:
        whole = read_inputs(store, CONFIG, tabular=True)
        monkeypatch.setattr("e2e.inputs.diphoton._CHUNK", 7)
        parts = read_inputs(store, CONFIG, tabular=True)
        middle = read_inputs(store, CONFIG, 10, 30)
        nothing = read_inputs(store, CONFIG, 5, 5)
    assert_array_equal(whole.tables["tabular"], parts.tables["tabular"])
    for name in ("crops", "context"):
        a: SparseImages = whole.images[name]
        b: SparseImages = parts.images[name]
        assert_array_equal(a.dense(np.arange(90)), b.dense(np.arange(90)))
        assert_array_equal(middle.images[name].dense(np.arange(20)), a.dense(np.arange(10, 30)))
    assert len(nothing) == 0


def test_channels_that_are_absent_stay_empty(tmp_path: Path) -> None:
    path = write_store(tmp_path / "events.h5", 30, channels=("EB",), without_pair=0.3)
    with EventStore(path) as store:
        inputs = read_inputs(store, CONFIG, tabular=True)
    crops = inputs.images["crops"].dense(np.arange(30))
    assert float(crops[:, :, 1].sum()) > 0
    assert float(crops[:, :, [0, 2]].abs().sum()) == 0
    assert 0 < inputs.usable.sum() < 30
    assert np.isnan(inputs.tables["kinematics"][~inputs.usable]).all()
    assert inputs.tables["tabular"] is not None
    columns = [i for i, name in enumerate(feature_names()) if name.startswith(("track", "hcal"))]
    assert np.isnan(inputs.tables["tabular"][:, columns]).all()
    assert torch.isfinite(inputs.batch(np.arange(30), ("kinematics",))["kinematics"]).all()


def test_feature_names_match_the_features(store_path: Path) -> None:
    with EventStore(store_path) as store:
        inputs: EventInputs = read_inputs(store, CONFIG, tabular=True)
    assert inputs.tables["tabular"] is not None
    assert inputs.tables["tabular"].shape[1] == len(feature_names()) == len(set(feature_names()))


def test_dense_sums_entries_and_keeps_the_order_of_rows() -> None:
    a = SparseImages.from_entries(
        np.array([1, 0, 1]), np.array([3, 0, 3]), np.array([1.0, 2.0, 4.0]), 2, (2, 2)
    )
    both = concatenate([a, a])
    dense = both.dense(np.array([3, 0, 3]))
    expected = [[[0, 0], [0, 5]], [[2, 0], [0, 0]], [[0, 0], [0, 5]]]
    assert dense.tolist() == expected
    assert both.dense(np.array([], dtype=int)).shape == (0, 2, 2)
