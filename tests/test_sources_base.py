"""What all readers share: rounding of what is stored, ranges of events that follow baskets."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.batch import Hits
from data.sources.base import aligned_ranges, rounded_to_bits

FLOATS = arrays(np.float32, st.integers(0, 50), elements=st.floats(width=32))


@given(FLOATS, st.integers(1, 22))
def test_rounding_keeps_the_leading_bits(values: np.ndarray, bits: int) -> None:
    rounded = rounded_to_bits(values, bits)
    assert rounded.dtype == np.float32
    np.testing.assert_array_equal(rounded_to_bits(rounded, bits), rounded)
    kept = ~np.isfinite(values)
    np.testing.assert_array_equal(rounded[kept], values[kept])
    normal = np.isfinite(rounded) & (np.abs(values) >= np.finfo(np.float32).tiny)
    error = np.abs(rounded[normal].astype(np.float64) - values[normal].astype(np.float64))
    assert (error <= np.abs(values[normal].astype(np.float64)) * 2.0 ** -(bits + 1)).all()


@given(
    st.lists(st.integers(0, 300), max_size=12), st.integers(0, 300), st.integers(0, 300),
    st.integers(1, 80),
)  # fmt: skip
def test_ranges_cover_their_events_once(edges: list[int], a: int, b: int, chunk: int) -> None:
    start, stop = min(a, b), max(a, b)
    found = list(aligned_ranges(sorted(set(edges)), start, stop, chunk))
    assert [event for first, last in found for event in range(first, last)] == list(
        range(start, stop)
    )
    assert all(last - first <= chunk for first, last in found)


def test_baskets_that_fit_are_not_cut() -> None:
    edges = [0, 64, 128, 192, 256]
    assert list(aligned_ranges(edges, 0, 256, 150)) == [(0, 128), (128, 256)]
    assert list(aligned_ranges(edges, 30, 200, 64)) == [(30, 64), (64, 128), (128, 192), (192, 200)]
    assert list(aligned_ranges([0, 256], 0, 256, 100)) == [(0, 100), (100, 200), (200, 256)]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 61199)), max_size=30))
def test_rows_in_any_order_become_hits_by_event(rows: list[tuple[int, int]]) -> None:
    event = np.array([r[0] for r in rows], dtype=np.int64)
    cell = np.array([r[1] for r in rows], dtype=np.int64)
    hits = Hits.from_events(event, 6, cell, cell.astype(float), charge=np.sign(cell))
    assert (np.diff(hits.offsets) == np.bincount(event, minlength=6)).all()
    assert hits.event.tolist() == sorted(event.tolist())
    for i in range(6):
        mine = hits.cell[hits.offsets[i] : hits.offsets[i + 1]]
        assert mine.tolist() == cell[event == i].tolist()
