"""Jet windows: equal to slices of the dense images, wrapped in phi, seeded as the analyser does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError
from data.batch import Hits
from data.detector.images import make_image, stack
from data.detector.jets import JET_LAYERS, contained, jet_crops, jet_seeds
from tests.test_images import random_hits, turned

N = 4
seeds = st.lists(
    st.tuples(st.integers(0, N - 1), st.integers(0, 55), st.integers(0, 71)), min_size=1, max_size=6
)


def sliced(dense: np.ndarray, row: int, column: int, size: int) -> np.ndarray:
    """A window of (280, 360, layers) by padding rows with zeros and rolling columns."""
    half = size // 2
    padded = np.pad(dense, ((half, half), (0, 0), (0, 0)))
    rolled = np.roll(padded, half - (5 * column + 2), axis=1)
    return rolled[5 * row + 2 : 5 * row + 2 + size, :size]


@given(seeds, st.sampled_from([1, 31, 125, 359]), st.sampled_from(["conserving", "repeated"]))
@settings(max_examples=20, deadline=None)
def test_windows_are_slices_of_the_dense_images(
    jets: list[tuple[int, int, int]], size: int, upsampling: str
) -> None:
    hits = random_hits(7, N)
    event, row, column = np.array(jets).T
    crops = jet_crops(hits, event, row, column, size=size, upsampling=upsampling)
    dense = stack(JET_LAYERS, hits, upsampling)
    for i, (e, r, c) in enumerate(jets):
        np.testing.assert_array_equal(crops[i], sliced(dense[e], r, c, size))


@given(st.integers(0, 71), st.integers(0, 55), st.integers(0, 71))
@settings(max_examples=10, deadline=None)
def test_a_turned_event_has_the_same_window(turn: int, row: int, column: int) -> None:
    hits = random_hits(8, 1) | {"EE": Hits.empty(1)}
    first = jet_crops(hits, [0], [row], [column])
    second = jet_crops(turned(hits, turn), [0], [row], [(column + turn) % 72])
    np.testing.assert_array_equal(first, second)


def test_windows_inside_the_detector() -> None:
    """The authors' rule 28 - |ieta| >= 12, and the same from the window's size."""
    assert np.flatnonzero(contained(np.arange(56))).tolist() == list(range(12, 44))
    assert not contained(-1)


def test_a_contained_window_holds_all_energy_of_its_towers() -> None:
    row, column = np.array([12, 12, 40, 43]), np.array([1, 13, 71, 0])
    towers = Hits.from_events(
        np.zeros(4, int), 1, row * 72 + column, np.array([1.0, 2.0, 4.0, 8.0])
    )
    hits = random_hits(9, 1) | {"HBHE": towers}
    crop = jet_crops(hits, [0, 0], [12, 43], [1, 0], layers=["HBHE_energy_up"])[..., 0]
    # 25 towers a side: columns 12 away belong to it, rows 28 away do not.
    np.testing.assert_allclose(crop.sum(axis=(1, 2)), [3.0, 12.0], rtol=1e-6)


def towers(energies: dict[tuple[int, int], float]) -> Hits:
    cell = np.array([row * 72 + column for row, column in energies])
    return Hits.from_events(np.zeros(len(cell), int), 1, cell, np.array(list(energies.values())))


def test_seed_is_the_highest_tower_within_three_of_the_axis() -> None:
    # eta 0.05 and phi 2.5 degrees: row 28, column 2
    found = towers({(28, 2): 5.0, (31, 71): 9.0, (25, 5): 8.0, (32, 2): 50.0, (28, 6): 50.0})
    row, column = jet_seeds(found, [0], [0.05], [np.deg2rad(2.5)])
    assert (row.tolist(), column.tolist()) == ([31], [71])


def test_seed_without_energy_is_the_tower_of_the_axis() -> None:
    far = towers({(5, 40): 9.0})
    row, column = jet_seeds(far, [0, 0], [0.05, 3.5], [np.deg2rad(2.5), 0.0])
    assert (row.tolist(), column.tolist()) == ([28, -1], [2, -1])
    row, column = jet_seeds(Hits.empty(1), [0], [0.05], [0.0])
    assert (row.tolist(), column.tolist()) == ([28], [2])


def test_the_axis_keeps_the_seed_at_equal_energy() -> None:
    same = towers({(27, 1): 5.0, (28, 2): 5.0})
    row, column = jet_seeds(same, [0], [0.05], [np.deg2rad(2.5)])
    assert (row.tolist(), column.tolist()) == ([28], [2])


@given(st.integers(0, 71), st.integers(0, 2**16))
@settings(max_examples=10, deadline=None)
def test_seeds_turn_with_the_event(turn: int, seed: int) -> None:
    hits = random_hits(seed, 2)
    rng = np.random.default_rng(seed)
    event, eta, phi = rng.integers(0, 2, 9), rng.uniform(-2.9, 2.9, 9), rng.uniform(-3, 3, 9)
    row, column = jet_seeds(hits["HBHE"], event, eta, phi)
    row_2, column_2 = jet_seeds(
        turned(hits, turn)["HBHE"], event, eta, phi + np.deg2rad(5.0 * turn) + 1e-12
    )
    np.testing.assert_array_equal(row, row_2)
    np.testing.assert_array_equal((column + turn) % 72, column_2)


def test_jets_without_seed_have_empty_windows() -> None:
    crops = jet_crops(random_hits(3, 1), [0, 0], [-1, 20], [-1, 5])
    assert not crops[0].any()
    assert crops[1].any()
    assert crops.dtype == np.float32
    assert jet_crops(random_hits(3, 1), [], [], []).shape == (0, 125, 125, 3)


def test_windows_that_cannot_be_made_are_refused() -> None:
    hits = random_hits(3, 1)
    with pytest.raises(ConfigError, match="odd"):
        jet_crops(hits, [0], [20], [20], size=124)
    with pytest.raises(ConfigError, match="EB_energy is no 280 x 360"):
        jet_crops(hits, [0], [20], [20], layers=["EB_energy"])


def test_layers_can_be_any_stitched_image() -> None:
    hits = random_hits(5, 1)
    crop = jet_crops(hits, [0], [28], [40], layers=["ECAL_tracksQPtAtECAL", "ECAL_ET"])
    dense = make_image("ECAL_ET", hits)[0]
    np.testing.assert_array_equal(crop[0, ..., 1], dense[80:205, 140:265])
