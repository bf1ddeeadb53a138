"""The figures of merit against closed forms and a reference implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from common.metrics import (
    auc,
    auc_with_error,
    bootstrap,
    paired_auc_difference,
    relative_sigma_eff,
    sigma_eff,
    weighted_auc,
)


def test_sigma_eff_of_a_gaussian_is_its_width() -> None:
    values = np.random.default_rng(1).normal(3.0, 0.5, 200_000)
    assert sigma_eff(values) == pytest.approx(0.5, rel=0.01)
    assert relative_sigma_eff(values) == pytest.approx(0.5 / 3, rel=0.01)


def test_sigma_eff_ignores_outliers_and_missing_values() -> None:
    values = np.concatenate([np.linspace(0, 1, 1001), [np.nan, np.inf]])
    assert sigma_eff(values) == pytest.approx(0.3415, abs=1e-3)
    assert np.isnan(sigma_eff([np.nan, 1.0]))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=4, max_size=60),
    st.integers(0, 2**32 - 1),
)
def test_auc_agrees_with_scikit_learn_ties_included(scores: list[int], seed: int) -> None:
    truth = np.random.default_rng(seed).random(len(scores)) < 0.5
    truth[:2] = [True, False]
    assert auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


def test_auc_of_one_class_is_undefined() -> None:
    assert np.isnan(auc([0.1, 0.2], [True, True]))


def test_bootstrap_error_of_a_mean() -> None:
    values = np.random.default_rng(2).normal(0, 2.0, 2500)
    assert bootstrap(np.mean, values, n=400) == pytest.approx(2.0 / 50, rel=0.15)


def test_groups_enlarge_the_error_of_repeated_events() -> None:
    """Ten copies of every event carry no new information: the error must not shrink."""
    values = np.random.default_rng(3).normal(0, 1, 300)
    single = bootstrap(np.mean, values, n=400)
    copies, groups = np.repeat(values, 10), np.repeat(np.arange(300), 10)
    assert bootstrap(np.mean, copies, groups=groups, n=400) == pytest.approx(single, rel=0.2)
    assert bootstrap(np.mean, copies, n=400) < 0.5 * single


def test_a_paired_difference_is_surer_than_two_single_values() -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(2000) < 0.5
    score = truth + rng.normal(0, 1, 2000)
    other = score + rng.normal(0, 0.1, 2000)
    difference = paired_auc_difference(score, other, truth)
    assert difference.error < 0.3 * auc_with_error(score, truth).error
    assert difference.value == pytest.approx(auc(score, truth) - auc(other, truth))


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_weighted_auc(seed: int) -> None:
    rng = np.random.default_rng(seed)
    is_signal = np.arange(60) % 3 == 0
    score, weight = rng.integers(0, 9, 60) + is_signal, rng.uniform(0.1, 2, 60)
    expected = roc_auc_score(is_signal, score, sample_weight=weight)
    assert weighted_auc(score, is_signal, weight) == pytest.approx(expected)
    assert weighted_auc(score, is_signal, np.ones(60)) == pytest.approx(auc(score, is_signal))
    assert np.isnan(weighted_auc(score, np.zeros(60, bool), weight))
