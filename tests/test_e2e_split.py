"""The split: siblings together, the same on every machine, permuted labels without a chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from common.errors import InputError
from data.store import EventStore
from e2e.config import SplitConfig
from e2e.labels import Labels
from e2e.training.jobs import balanced_weights, shuffled
from e2e.training.split import fold_of, make_split, uniform_hash
from tests.synthetic import write_store

CONFIG = SplitConfig()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=300), st.integers(0, 3))
def test_parts_are_disjoint_complete_and_keep_siblings(groups: list[int], fold: int) -> None:
    group = np.array(groups + groups, dtype=np.int64)
    usable = np.ones(len(group), dtype=bool)
    split = make_split(group, usable, fold, CONFIG)
    parts = [split.train, split.validation, split.test]
    assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(group)))
    for i, part in enumerate(parts):
        for other in parts[i + 1 :]:
            assert not set(group[part]) & set(group[other])


def test_each_event_is_held_out_once() -> None:
    group = np.arange(4000)
    usable = np.ones(4000, dtype=bool)
    usable[::7] = False
    tests = [make_split(group, usable, fold, CONFIG).test for fold in range(CONFIG.folds)]
    assert_array_equal(np.sort(np.concatenate(tests)), np.flatnonzero(usable))
    assert np.bincount(fold_of(group, CONFIG), minlength=4) == pytest.approx(1000, abs=110)


def test_the_hash_is_fixed_and_uniform() -> None:
    # Written down once: a split that changes with the machine would leak between runs.
    assert uniform_hash(np.array([0, 1, -1]), 0) == pytest.approx(
        [0.8833108082136426, 0.5665615751722809, 0.8939429202831845], abs=1e-12
    )
    values = uniform_hash(np.arange(20000), 3)
    assert np.histogram(values, 10, (0, 1))[0] == pytest.approx(2000, abs=200)


def test_labels_need_all_classes(tmp_path: Path) -> None:
    path = write_store(tmp_path / "events.h5", 20, labels=(0, 1))
    with EventStore(path) as store, pytest.raises(InputError, match="gamma_jet"):
        Labels.read(store)


def test_labels_without_truth(tmp_path: Path) -> None:
    path = write_store(tmp_path / "events.h5", 30, with_truth=False)
    with EventStore(path) as store:
        labels = Labels.read(store)
    assert not labels.overlap.any()
    assert np.isnan(labels.prompt).all()


def some_labels(n: int = 3000) -> Labels:
    rng = np.random.default_rng(1)
    label = rng.choice(3, n, p=[0.3, 0.5, 0.2])
    prompt = np.stack([np.ones(n), label != 2], axis=1).astype(np.float32)
    return Labels(label, np.arange(n), np.zeros(n, dtype=bool), np.ones(n, dtype=np.int64), prompt)


def test_permuted_labels_say_nothing_of_the_true_class() -> None:
    labels = some_labels()
    rows = np.arange(100, 2900)
    permuted = shuffled(labels, rows, np.random.default_rng(0))
    untouched = np.setdiff1d(np.arange(3000), rows)
    assert_array_equal(permuted.label[untouched], labels.label[untouched])
    assert_array_equal(np.bincount(permuted.label), np.bincount(labels.label))
    share = np.bincount(labels.label[rows], minlength=3) / len(rows)
    for c in range(3):
        given_c = permuted.label[rows][labels.label[rows] == c]
        assert np.bincount(given_c, minlength=3) / len(given_c) == pytest.approx(share, abs=0.01)
    # The origins went along with the labels.
    assert_array_equal(permuted.prompt[:, 1], permuted.label != 2)


def test_weights_balance_the_classes() -> None:
    label, train = some_labels().label, np.arange(2000)
    weight = balanced_weights(label, train)
    sums = np.bincount(label[train], weight[train])
    assert sums == pytest.approx(sums.mean(), rel=1e-5)
    assert weight[train].mean() == pytest.approx(1, rel=1e-5)
