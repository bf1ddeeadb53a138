"""Predicted errors, their calibration, sets of hypotheses, and the stage that judges them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config import build
from common.errors import InputError
from e2e.config import InputConfig, NetworkConfig, SplitConfig
from e2e.low_level.regression import RegressionConfig
from e2e.networks import build_network
from e2e.training.checkpoint import save_classifier
from rl.refinement.config import RefineConfig
from rl.refinement.refine import run as run_refinement
from rl.uncertainty import calibration, hypotheses
from rl.uncertainty.config import UncertaintyConfig
from rl.uncertainty.heads import train_head
from rl.uncertainty.models import TITLES
from rl.uncertainty.products import HYPOTHESES, RESOLUTIONS, read_product
from rl.uncertainty.stage import run
from tests.small_run import SMALL
from tests.synthetic_photons import write_pairs


@given(st.integers(20, 400), st.sampled_from(calibration.LEVELS), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_conformal_intervals_cover_as_often_as_they_say(n: int, level: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = rng.standard_cauchy(n)  # any distribution will do
    factor = calibration.conformal_factor(known, np.ones(n), level)
    assert (np.abs(known) <= factor).mean() >= level
    if np.isfinite(factor):
        others = np.abs(rng.standard_cauchy(20_000)) <= factor
        tolerance = 5 * np.sqrt(level * (1 - level) / n) + 0.02
        assert others.mean() == pytest.approx(level, abs=tolerance)


def test_too_few_calibration_photons_promise_nothing() -> None:
    assert calibration.conformal_threshold(np.arange(10.0), 0.95) == np.inf


def test_the_score_prefers_the_right_width() -> None:
    error = np.random.default_rng(0).normal(0, 0.01, 4000)
    scores = {
        width: calibration.crps_gaussian(error, np.full(4000, width)).mean()
        for width in (0.003, 0.01, 0.03)
    }
    assert min(scores, key=lambda width: scores[width]) == 0.01
    # The mean score of a right Gaussian is sigma / sqrt(pi).
    assert scores[0.01] == pytest.approx(0.01 / np.sqrt(np.pi), rel=0.03)


@pytest.mark.parametrize("loss", ["squares", "laplace"])
def test_heads_learn_whose_errors_are_large(loss: Any) -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((4000, 3)).astype(np.float32)
    size = np.exp(0.7 * features[:, 0])
    error = np.abs(size * rng.standard_normal(4000)).astype(np.float32)
    config = build(RegressionConfig, {"hidden": [16], "epochs": 8, "batch_size": 128})
    found = train_head(features, error, loss, config, 0).predict(features)
    assert np.corrcoef(np.log(found), features[:, 0])[0, 1] > 0.9
    assert found.mean() == pytest.approx(error.mean(), rel=0.15)
    again = train_head(features, error, loss, config, 0).predict(features)
    np.testing.assert_array_equal(found, again)


class _Parabola:
    """A critic whose expected distance grows with the square of the distance to a hidden best."""

    def predict(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        return 1 + (action[:, 0] - observation[:, 0]).astype(np.float64) ** 2


def test_critic_sets_are_level_sets() -> None:
    sets = hypotheses.CriticSets(_Parabola(), reach=0.1)
    best = np.array([[0.0], [0.3]], dtype=np.float32)
    found = sets.sets(best, np.array([0.019, 0.051]), 0.2**2)
    np.testing.assert_array_equal(found.covered, [True, False])
    np.testing.assert_allclose(found.width, 0.04, atol=0.005)
    beyond = sets.excess(best, np.array([0.2, 0.0]))
    assert beyond[0] == np.inf
    assert beyond[1] == pytest.approx(0.09, abs=0.002)


def test_results_that_agree_by_chance_are_no_error_bar() -> None:
    results = np.array([[0.010, 0.0], [0.011, 0.002], [0.012, -0.002]])
    between = hypotheses.between(results, np.array([0.0, 0.0]))
    np.testing.assert_array_equal(between.covered, [False, True])
    np.testing.assert_allclose(between.width, [0.002, 0.004])
    np.testing.assert_array_equal(
        hypotheses.round_mean(results, np.array([0.0, 0.0])).covered, [False, True]
    )


def _classifier(path: Path) -> Path:
    """A classifier with random weights that says that it was trained on three folds of four."""
    config = build(NetworkConfig, {"widths": [4, 8], "context_widths": [4], "hidden": 8})
    torch.manual_seed(0)
    inputs = build(InputConfig)
    provenance = {"split": SplitConfig().model_dump(), "fold": 0}
    save_classifier(path, build_network(config, inputs), config, inputs, provenance)
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> UncertaintyConfig:
    folder = tmp_path_factory.mktemp("uncertainty")
    store = write_pairs(folder / "events.h5", "higgs", 240)
    with h5py.File(store, "r+") as file:  # three classes, alike but in name
        file["event/label"][...] = np.arange(240) % 3
    inputs = {
        "train_store": write_pairs(folder / "gun.h5", "gun", 300),
        "store": store,
        "classifier": _classifier(folder / "classifier.pt"),
    }
    agent = {"agents": 1} if "agents" in RefineConfig.model_fields else {}
    run_refinement(build(RefineConfig, SMALL, inputs, agent, {"output": folder / "rl"}))
    small = {"updates": 32, "environments": 64, "buffer_size": 640, "hidden": [16]}
    settings = {
        "agent": folder / "rl", "output": folder / "uncertainty", "bootstrap": 4,
        "critic": small, "regression": {"epochs": 2, "hidden": [16], "batch_size": 64},
        "hypotheses": {"seeds": 2, "copies": 3, "events": 7},
        "categories": 2, "actions": 2,
    }  # fmt: skip
    return build(UncertaintyConfig, inputs, settings)


@pytest.fixture(scope="module")
def metrics(config: UncertaintyConfig) -> dict[str, Any]:
    return run(config)


def test_the_stage_judges_every_method(metrics: dict[str, Any]) -> None:
    for sample in ("gun", "higgs"):
        assert set(metrics[sample]) == set(TITLES)
        for row in metrics[sample].values():
            assert len(row["quintiles"]) == 5
            assert 0 <= row["conformal_68"]["coverage"]["value"] <= 1
            assert row["conformal_68"]["width"] < row["conformal_95"]["width"]
    assert metrics["gains"]["inclusive"]["over_inclusive"]["value"] == 1
    assert set(metrics["sets"]["critic"]) == {"0.68", "0.95"}


def test_products_are_as_documented(config: UncertaintyConfig, metrics: dict[str, Any]) -> None:
    columns, attributes = read_product(config.output / "resolutions.h5", RESOLUTIONS)
    assert attributes["store"] == str(config.store)
    for name in TITLES:
        sigma = columns[f"sigma_energy/{name}"]
        assert sigma.shape == (240, 2)
        np.testing.assert_allclose(columns[f"sigma_m/{name}"], np.hypot(*sigma.T) / 2, rtol=1e-5)
    assert set(np.unique(columns["event/unseen"])) == {0, 1}
    several, attributes = read_product(config.output / "hypotheses.h5", HYPOTHESES)
    assert several["hypotheses/m_gg"].shape == (7, 3)
    assert several["hypotheses/change"].shape == (7, 2, 3)
    inside = several["hypotheses/excess"] <= attributes["threshold_68"]
    np.testing.assert_array_equal(several["hypotheses/in_set_68"], inside)
    assert (several["hypotheses/in_set_95"] >= several["hypotheses/in_set_68"]).all()
    both = several["hypotheses/change"].sum(axis=1)
    np.testing.assert_allclose(
        several["hypotheses/m_gg"], several["m_gg"][:, None] * np.exp(both / 2), rtol=1e-4
    )
    with pytest.raises(InputError, match="schema"):
        read_product(config.output / "hypotheses.h5", RESOLUTIONS)
    with pytest.raises(InputError, match="no such file"):
        read_product(config.output / "absent.h5", RESOLUTIONS)


def test_an_interrupted_run_keeps_its_agents(
    config: UncertaintyConfig, metrics: dict[str, Any]
) -> None:
    (config.output / "run.json").unlink()
    agents = sorted((config.output / "parts").rglob("agent_*.zip"))
    before = [path.stat().st_mtime_ns for path in agents]
    assert len(before) == 2
    again = run(config)
    assert [path.stat().st_mtime_ns for path in agents] == before
    assert again["gun"] == metrics["gun"]
    complete = (config.output / "run.json").stat().st_mtime_ns
    run(config)
    assert (config.output / "run.json").stat().st_mtime_ns == complete
