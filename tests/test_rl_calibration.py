"""Calibration on a resonance: maps, networks, agent and their judgement; the stage end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.config import build
from common.errors import InputError
from common.runs import RunFolder
from envs.calibration.config import CalibrationEnvConfig
from envs.photons.table import PhotonTable
from rl.calibration import real, stage
from rl.calibration.agent import train_policy
from rl.calibration.cases import NOMINAL, Case, cases, mix, permuted
from rl.calibration.config import CalibrateConfig
from rl.calibration.judge import Judged, judge
from rl.calibration.loss import mean_distance
from rl.calibration.maps import choose_priors, fit_maps, fit_scales
from rl.calibration.networks import NetworkConfig, PlaceNetwork, train_on_masses, train_on_truth
from rl.calibration.prepared import PreparedPairs, prepare
from rl.learning.config import AgentConfig
from tests.calibration_samples import candidates, pair_sample, response, write_samples

SETTINGS = CalibrationEnvConfig()
QUICK = NetworkConfig(hidden=[16], epochs=6, batch_size=256, least_steps=0)


def _left(change: np.ndarray, u: np.ndarray) -> float:
    """Spread of the response that a calibration leaves."""
    return float(np.std(change + response(u)))


def _prepared(kind: str, m: int, seed: int = 0) -> PreparedPairs:
    sample = pair_sample(kind, m, seed, loss=0.04)
    return prepare(sample, np.zeros((2 * m, 3), dtype=np.float32))


def test_scales_find_the_loss_and_maps_do_not_harm() -> None:
    some, other = candidates(6000), candidates(2000, seed=1)
    before = _left(np.zeros_like(other.u), other.u)
    scales = fit_scales(some, SETTINGS)(other.u, other.v)
    assert _left(scales, other.u) < 0.4 * before
    priors = choose_priors(some, SETTINGS, seed=0)
    maps = fit_maps(some, SETTINGS, priors)(other.u, other.v)
    assert _left(maps, other.u) < 0.5 * before
    log_mass = other.log_mass + scales.sum(axis=1) / 2
    assert mean_distance(log_mass, SETTINGS) < mean_distance(other.log_mass, SETTINGS)


def test_maps_resist_background() -> None:
    some, other = candidates(6000), candidates(2000, seed=1)
    rng = np.random.default_rng(0)
    background = rng.random(len(some)) < 0.1
    mixed = np.where(background, rng.uniform(-0.13, 0.09, len(some)), some.log_mass)
    change = fit_scales(some.with_log_mass(mixed), SETTINGS)(other.u, other.v)
    assert _left(change, other.u) < 0.5 * _left(np.zeros_like(other.u), other.u)
    assert abs(np.median(change + response(other.u))) < 0.003


def test_networks_learn_from_masses_and_from_truth(tmp_path: Path) -> None:
    some, other = candidates(6000), candidates(2000, seed=1)
    before = _left(np.zeros_like(other.u), other.u)
    network = train_on_masses(some, SETTINGS, QUICK, seed=0)
    assert _left(network(other), other.u) < 0.5 * before
    taught = train_on_truth(some, -response(some.u), SETTINGS, QUICK, seed=0)
    assert _left(taught(other), other.u) < 0.3 * before
    network.save(tmp_path / "network.pt")
    again = PlaceNetwork.load(tmp_path / "network.pt")
    np.testing.assert_array_equal(again(other), network(other))


def test_an_agent_learns_from_masses_and_nothing_from_permuted_ones() -> None:
    some, other = candidates(20000, loss=0.08), candidates(2000, seed=1)
    agent = AgentConfig(
        updates=800, environments=2048, batch_size=256, hidden=[32, 32],
        learning_rate=3e-3, updates_per_step=4, noise=0.5, final_noise=0.125,
    )  # fmt: skip

    def spread(policy: PlaceNetwork) -> dict[str, float]:
        return {"spread": float(np.std(policy(other) + response(other.u, 0.08)))}

    policy, curve = train_policy(some, SETTINGS, agent, 0, spread, 2)
    assert curve[-1]["spread"] < 0.7 * np.std(response(other.u, 0.08))
    assert np.abs(policy(other)).max() <= SETTINGS.range
    blind, _ = train_policy(permuted(some, 0), SETTINGS, agent, 0, spread, 1)
    assert spread(blind)["spread"] > 0.85 * np.std(response(other.u, 0.08))


def test_the_judge_knows_a_perfect_calibration() -> None:
    higgs, gun = _prepared("higgs", 3000), _prepared("gun", 3000, seed=1)

    def changes(pairs: PreparedPairs) -> dict[str, np.ndarray]:
        none = np.zeros((len(pairs), 2))
        smooth = -response(pairs.u)
        to_mean = 0.3 * np.log(100 / pairs.energy)
        return {"none": none, "maps": smooth, "oracle": smooth, "trap_loss": to_mean}

    found = judge(Judged(higgs, changes(higgs), gun, changes(gun)), replicas=20)
    assert found["none"]["share"]["value"] == 0
    assert found["oracle"]["share"]["value"] == pytest.approx(100)
    assert found["oracle"]["minus_maps"] == {"value": 0.0, "error": 0.0}
    assert abs(found["oracle"]["peak_shift"]["value"]) < 0.1
    assert found["none"]["peak_shift"]["value"] < -0.5
    assert found["oracle"]["significance"]["value"] > 1
    assert found["trap_loss"]["pt_scale"]["value"] < -2
    assert found["trap_loss"]["slope"]["value"] < -0.2


def test_background_has_its_share_inside_the_window() -> None:
    zee, background = _prepared("zee", 1000), _prepared("background", 60)
    mixed = mix(zee, background, Case("strong_0", 800, 0.1, ()), (80.0, 100.0), seed=0)
    under = np.isnan(mixed.true_mass)
    assert under.mean() == pytest.approx(0.1, abs=0.002)
    assert mixed.mass.min() > 80
    assert mixed.mass.max() < 100
    assert (~under).sum() <= 800


def test_cases_of_a_study(tmp_path: Path) -> None:
    config = build(CalibrateConfig, {"detectors": ["a", "b"], "candidates": [100, 400]})
    found = cases(config, {"a": 300, "b": 500, NOMINAL: 200})
    assert [(c.detector, c.candidates, c.background) for c in found] == [
        ("a", 300, 0.05), ("b", 400, 0.05), ("a", 100, 0.05), ("a", 300, 0.0), ("a", 300, 0.1),
        (NOMINAL, 200, 0.0),
    ]  # fmt: skip
    assert "control" in found[0].networks
    assert "control" not in found[1].networks


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"zee": 1500, "background": 200, "higgs": 400, "gun": 600}
    return write_samples(
        tmp_path_factory.mktemp("samples"), {"nominal": 0.0, "strong_0": 0.04}, sizes
    )


def _settings(samples: Path, output: Path) -> dict[str, object]:
    return {
        "samples": samples, "output": output, "detectors": ["strong_0"], "candidates": [500, 1000],
        "backgrounds": [0.0], "policies": 1, "folds": 2, "bootstrap": 5, "curve_points": 2,
        "network": {"hidden": [8], "epochs": 10, "batch_size": 64, "least_steps": 0},
        "regression": {"hidden": [16], "epochs": 4, "folds": 2},
        "agent": {"updates": 8, "environments": 256, "batch_size": 64, "hidden": [8]},
    }  # fmt: skip


def test_the_stage_end_to_end_and_its_resumption(samples: Path, tmp_path: Path) -> None:
    config = build(CalibrateConfig, _settings(samples, tmp_path / "run"))
    metrics = stage.run(config)
    assert list(metrics["cases"]) == [
        "strong_0_1000_5", "strong_0_500_5", "strong_0_1000_0", "nominal_375_0",
    ]  # fmt: skip
    methods = metrics["cases"]["strong_0_1000_5"]["methods"]
    width = {name: row["sigma_eff_mass"]["value"] for name, row in methods.items()}
    assert width["scales"] < width["none"]
    assert metrics["real"]["candidates"] == 0
    for name in ("peaks", "maps", "shares", "learning_curves"):
        assert (tmp_path / "run" / "figures" / f"{name}.png").is_file()
    assert (tmp_path / "run" / "candidates.npz").is_file()
    parts = sorted((tmp_path / "run" / "parts").rglob("agent_0.pt"))
    written = [path.stat().st_mtime_ns for path in parts]
    again = config.model_copy(update={"bootstrap": 6})
    stage.run(again)
    assert [path.stat().st_mtime_ns for path in parts] == written


def test_a_missing_sample_is_named(tmp_path: Path) -> None:
    config = build(CalibrateConfig, _settings(tmp_path, tmp_path / "run"))
    with pytest.raises(InputError, match="resonance"):
        stage.run(config)


def test_prepared_pairs_keep_masses_and_truth() -> None:
    sample = pair_sample("higgs", 200, loss=0.04)
    nothing = np.zeros((400, 3), dtype=np.float32)
    pairs = prepare(sample, nothing)
    perfect = pairs.corrected_mass(pairs.left)
    np.testing.assert_allclose(perfect, 125, rtol=2e-3)
    np.testing.assert_allclose(pairs.mass, sample.masses(nothing))
    blind = pairs.candidates(0.0)
    assert set(blind.columns()) == {"energy", "u", "v", "density", "log_mass"}
    assert len(replace(pairs, left=np.full_like(pairs.left, np.nan)).matched()) == 0


def test_masses_of_real_candidates(real_data: Path, tmp_path: Path) -> None:
    """The display's three Z → ee of 2012 and another near; nothing changes by no correction."""
    path = real_data / "real" / "DoubleElectron_Run2012C_0.ig"
    folder = RunFolder(tmp_path, "calibrate", CalibrationEnvConfig())

    def nothing(photons: PhotonTable) -> np.ndarray:
        return np.zeros((len(photons), 3), dtype=np.float32)

    found = real.look({"regression": nothing}, [path], folder)
    assert found["candidates"] == 4
    assert found["methods"]["file"]["median"]["value"] == pytest.approx(91.5, abs=0.3)
    assert found["masses"]["regression"] == found["masses"]["standard"]
    assert (tmp_path / "real.csv").is_file()
