"""The stage from stores to products, its resume, and the refiner it leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import rl.refinement.networks
from common.errors import InputError
from data.store import EventStore
from data.store.checks import text_attribute
from rl.refinement.config import RefineConfig
from rl.refinement.refine import METHODS, run
from rl.refinement.refiner import Refiner
from rl.refinement.rollouts import read_rollouts
from rl.refinement.samples import read_photons, split_by_group


@pytest.fixture(scope="module")
def config(refinement_run: RefineConfig) -> RefineConfig:
    return refinement_run


@pytest.fixture(scope="module")
def metrics(config: RefineConfig) -> dict[str, Any]:
    return run(config)


def test_metrics_judge_every_method(metrics: dict[str, Any]) -> None:
    assert tuple(metrics["photons"]) == METHODS
    assert tuple(metrics["mass"]) == METHODS
    for method in METHODS:
        estimate = metrics["photons"][method]["sigma_eff_energy"]
        assert 0 < estimate["error"] < estimate["value"]
        assert {"bump", "slope", "peak_shift", "significance"} <= set(metrics["mass"][method])
    assert (
        metrics["photons"]["peer"]["sigma_eff_energy"]["value"]
        < (metrics["photons"]["standard"]["sigma_eff_energy"]["value"])
    )
    assert {"kinematics", "regression", "agent", "control"} == set(
        metrics["share_of_peer_gain"]["mass"]
    )


def test_products_are_as_documented(config: RefineConfig, metrics: dict[str, Any]) -> None:
    path = config.output / "refined_photons.h5"
    with h5py.File(path) as file:
        assert text_attribute(path, file, "methods") == ",".join(METHODS)
        assert file["event/run"].shape == (300,)
        for method in METHODS:
            assert file[f"{method}/m_gg"].shape == (300,)
            assert file[f"{method}/photons/correction"].shape == (300, 2, 3)
            assert file[f"{method}/photons/energy"].fletcher32
        with EventStore(config.store) as store:
            found = file["standard/photons/energy"][()]
            np.testing.assert_allclose(found, store.clusters("energy"), rtol=1e-5)
        change = file["agent/photons/correction"][..., 0]
        ratio = file["agent/photons/energy"][()] / file["standard/photons/energy"][()]
        np.testing.assert_allclose(ratio, np.exp(change), rtol=1e-4)
    rollouts = read_rollouts(config.output / "rollouts")
    assert rollouts.policies == ("agent", "control", "agent with noise 1", "agent with noise 2")
    assert rollouts.correction.shape == (6, 4, 2, 4, 3)
    assert np.all(rollouts.m_gg[:, :, 0] == rollouts.m_gg[:, :1, 0])
    for name in ("resolutions", "energy", "masses", "learning_curve", "rollout"):
        assert (config.output / "figures" / f"{name}.png").stat().st_size > 5000


def test_the_refiner_repeats_the_runs_result(
    config: RefineConfig, metrics: dict[str, Any], tmp_path: Path
) -> None:
    refiner = Refiner.load(config.output)
    photons = read_photons(config.store, None)
    final = refiner.refine(photons.table).final
    with h5py.File(config.output / "refined_photons.h5") as file:
        stored = file["agent/photons/correction"][()]
    np.testing.assert_allclose(
        final, stored[photons.table.row, photons.table.slot], rtol=1e-4, atol=1e-6
    )
    refiner.check_classifier("", "none")
    with pytest.raises(InputError, match="trained on the outputs of none"):
        refiner.check_classifier("abc", "classifier.pt")
    with pytest.raises(InputError, match="no trained agent"):
        Refiner.load(tmp_path)


def test_an_interrupted_run_goes_on_to_the_same_result(
    config: RefineConfig, metrics: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.output / "run.json").unlink()
    (config.output / "parts" / "peer.pt").unlink()

    def refuse(*_: Any) -> None:
        raise AssertionError("what is there must not be made again")

    monkeypatch.setattr(rl.refinement.networks.regression, "train_out_of_fold", refuse)
    before = (config.output / "parts" / "agent_0.zip").stat().st_mtime_ns
    again = run(config)
    assert (config.output / "parts" / "agent_0.zip").stat().st_mtime_ns == before
    assert again["photons"] == metrics["photons"]
    assert again["mass"] == metrics["mass"]


def test_a_complete_run_is_not_repeated(
    config: RefineConfig, metrics: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rl.refinement.networks, "prepare", None)
    assert run(config)["photons"]["agent"] == metrics["photons"]["agent"]


def test_events_are_held_out_whole(config: RefineConfig) -> None:
    table = read_photons(config.train_store, None).table
    train, held_out = split_by_group(table, 0.25, seed=0)
    assert not set(train.group) & set(held_out.group)
    assert len(held_out) == pytest.approx(0.25 * len(table), rel=0.05)
