"""Supervised corrections."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.config import build
from e2e.low_level.regression import Regression, fold_of, train, train_out_of_fold
from envs.refinement.config import EnvironmentConfig
from rl.refinement.config import RegressionConfig

ENVIRONMENT = build(EnvironmentConfig)


def _problem(n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 5)).astype(np.float32)
    target = np.stack([0.03 * np.tanh(features[:, 0]), 0.1 * features[:, 1], features[:, 2] * 0], 1)
    return features, (target + rng.normal(0, 0.002, target.shape)).astype(np.float32)


def _config(**settings: object) -> RegressionConfig:
    return build(RegressionConfig, {"hidden": [32, 32], "epochs": 12, "batch_size": 200}, settings)


def test_network_learns_and_survives_saving(tmp_path: Path) -> None:
    features, target = _problem()
    found = train(features[:3000], target[:3000], ENVIRONMENT, _config(), seed=0)
    predicted = found.predict(features[3000:])
    left = np.abs(predicted - target[3000:]).mean(axis=0)
    assert left[0] < 0.15 * np.abs(target[:, 0]).mean()
    assert left[1] < 0.15 * np.abs(target[:, 1]).mean()
    found.save(tmp_path / "network.pt")
    again = Regression.load(tmp_path / "network.pt")
    np.testing.assert_array_equal(again.predict(features), found.predict(features))


def test_equal_seeds_give_equal_networks() -> None:
    features, target = _problem(600)
    first, second, other = (
        train(features, target, ENVIRONMENT, _config(epochs=2), seed).predict(features)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_outliers_beyond_the_cap_do_not_pull() -> None:
    features, target = _problem()
    target[::10, 0] += 5.0
    found = train(features, target, ENVIRONMENT, _config(), seed=0)
    clean = np.setdiff1d(np.arange(len(features)), np.arange(0, len(features), 10))
    assert np.abs(found.predict(features)[clean, 0] - target[clean, 0]).mean() < 0.006


def test_out_of_fold_predictions_cannot_remember() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 20)).astype(np.float32)
    noise = rng.normal(0, 0.02, (300, 3)).astype(np.float32)
    group = np.arange(300) // 2
    config = _config(epochs=150, batch_size=50, folds=3, hidden=[64])
    found, out_of_fold = train_out_of_fold(features, noise, group, ENVIRONMENT, config, seed=0)
    seen = np.corrcoef(found.predict(features)[:, 0], noise[:, 0])[0, 1]
    unseen = np.corrcoef(out_of_fold[:, 0], noise[:, 0])[0, 1]
    assert seen > 0.5
    assert abs(unseen) < 0.2
    assert len(found.networks) == 3


def test_photons_of_one_group_share_a_fold() -> None:
    group = np.repeat(np.arange(100), 3)
    fold = fold_of(group, 4, seed=1)
    assert np.all(fold.reshape(100, 3) == fold.reshape(100, 3)[:, :1])
    np.testing.assert_array_equal(np.bincount(fold), [75, 75, 75, 75])
