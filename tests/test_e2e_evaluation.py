"""Scores and figures of merit, against independent implementations and by construction."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from e2e.evaluation.merit import (
    HeldOut,
    auc_table,
    jensen_shannon,
    mass_sculpting,
    roc,
    signal_efficiencies,
)
from e2e.evaluation.scores import PAIRS, higgs_score, pair_auc, pair_score, softmax


def some_events(n: int = 900) -> HeldOut:
    rng = np.random.default_rng(3)
    label = rng.integers(0, 3, n)
    good = rng.normal(0, 1, (n, 3)) + 1.5 * np.eye(3)[label]
    mass = np.where(label == 1, 125.0, 90 + rng.exponential(30, n))
    logits = {"tree": good.astype(np.float32), "network": (good + 0.3 * np.eye(3)[label])}
    overlap = (label == 2) & (rng.random(n) < 0.1)
    weight = np.where(overlap, 10, 1)
    return HeldOut(label, np.arange(n) // 2, overlap, weight, mass, logits)


def test_pair_scores_are_ratios_of_probabilities() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (50, 3))
    p = softmax(logits)
    assert_allclose(p.sum(axis=1), 1)
    assert_allclose(pair_score(logits, "higgs_gamma_jet"), p[:, 1] / (p[:, 1] + p[:, 2]))
    assert_allclose(pair_score(logits, "higgs_diphoton"), p[:, 1] / (p[:, 1] + p[:, 0]))
    # Log probabilities are as good as logits.
    assert_allclose(pair_score(np.log(p), "higgs_diphoton"), pair_score(logits, "higgs_diphoton"))
    assert_allclose(higgs_score(logits), p[:, 1])


@pytest.mark.parametrize("pair", list(PAIRS))
def test_auc_agrees_with_sklearn(pair: str) -> None:
    events = some_events()
    signal, background = PAIRS[pair]
    used = np.isin(events.label, (signal, background))
    expected = roc_auc_score(
        events.label[used] == signal, pair_score(events.logits["tree"][used], pair)
    )
    assert pair_auc(events.logits["tree"], events.label, pair) == pytest.approx(expected)


def test_the_table_compares_with_the_tree_on_the_same_events() -> None:
    events = some_events()
    table = auc_table(events, 30)
    found = table["network"]["as_generated"]["higgs_gamma_jet"]
    reference = table["tree"]["as_generated"]["higgs_gamma_jet"]
    assert found["difference"] == pytest.approx(found["value"] - reference["value"])
    assert found["difference"] > 0
    assert 0 < found["difference_error"] < found["error"]
    assert reference["difference"] == reference["difference_error"] == 0
    kept = ~events.overlap
    removed = table["tree"]["overlap_removed"]["higgs_gamma_jet"]["value"]
    expected = pair_auc(events.logits["tree"][kept], events.label[kept], "higgs_gamma_jet")
    assert removed == pytest.approx(expected)


def test_weights_count_an_event_several_times() -> None:
    events = some_events()
    used = np.isin(events.label, (1, 2))
    expected = roc_auc_score(
        events.label[used] == 1,
        pair_score(events.logits["tree"][used], "higgs_gamma_jet"),
        sample_weight=events.weight[used],
    )
    found = auc_table(events, 2)["tree"]["weighted"]["higgs_gamma_jet"]["value"]
    assert found == pytest.approx(expected)


def test_signal_efficiency_at_fixed_background() -> None:
    events = some_events()
    found = signal_efficiencies(events, [0.5, 0.1], 10)["tree"]["higgs_gamma_jet"]
    used = np.isin(events.label, (1, 2))
    score, signal = (
        pair_score(events.logits["tree"][used], "higgs_gamma_jet"), events.label[used] == 1,
    )  # fmt: skip
    assert_allclose(roc(score, signal, np.array([0.5]))[0], found["0.5"]["value"], atol=0.01)
    assert found["0.5"]["value"] > found["0.1"]["value"] > 0.1
    assert found["0.1"]["error"] > 0


def test_divergence_of_masses() -> None:
    rng = np.random.default_rng(0)
    mass = 90 + rng.exponential(30, 4000)
    assert jensen_shannon(mass, mass) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(mass[mass < 110], mass[mass > 115]) == pytest.approx(1)
    assert jensen_shannon(mass[::2], mass[1::2]) < 0.01


def test_sculpting_is_seen() -> None:
    events = some_events(4000)
    peaked = np.zeros((4000, 3))
    peaked[:, 1] = -np.abs(events.mass - 125)
    events.logits["sculpting"] = peaked
    flat = mass_sculpting(events, "tree", [0.2], 20)[0]
    bump = mass_sculpting(events, "sculpting", [0.2], 20)[0]
    noise = flat["divergence_of_random_subsets"], flat["spread_of_random_subsets"]
    assert abs(flat["divergence"] - noise[0]) < 5 * noise[1]
    assert bump["divergence"] > 10 * noise[0]
    assert bump["efficiency_in_120_130"] > 0.9
