"""Crystal windows round photons against a dense image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.batch import Hits
from data.crops import photon_crops


def _dense(hits: Hits) -> np.ndarray:
    image = np.zeros((len(hits), 170, 360), dtype=np.float32)
    image[hits.event, hits.cell // 360, hits.cell % 360] = hits.energy
    return image


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([1, 5, 11]))
def test_crops_equal_windows_of_the_dense_image(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    n_events, n_hits = 3, 4000
    hits = Hits.from_events(
        rng.integers(0, n_events, n_hits),
        n_events,
        rng.integers(0, 61200, n_hits),
        rng.exponential(1.0, n_hits) + 0.1,
    )
    event = rng.integers(0, n_events, 20)
    cell = rng.integers(0, 61200, 20)
    half = size // 2
    image = np.pad(_dense(hits), ((0, 0), (half, half), (0, 0)))
    columns = (cell[:, None] % 360 + np.arange(-half, half + 1)) % 360
    rows = cell[:, None] // 360 + np.arange(size)
    expected = image[event[:, None, None], rows[:, :, None], columns[:, None, :]]
    np.testing.assert_array_equal(photon_crops(hits, event, cell, size), expected)


def test_missing_seed_and_missing_hits_give_empty_windows() -> None:
    hits = Hits.from_events(np.array([0]), 2, np.array([1000]), np.array([5.0]))
    crops = photon_crops(hits, [0, 0, 1], [1000, -1, 1000])
    assert crops.shape == (3, 11, 11)
    assert crops[0, 5, 5] == 5.0
    assert crops[0].sum() == 5.0
    assert not crops[1:].any()
    assert not photon_crops(Hits.empty(1), [0], [0]).any()


def test_even_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        photon_crops(Hits.empty(1), [0], [0], size=4)
