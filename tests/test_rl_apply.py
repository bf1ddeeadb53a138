"""A trained chain on files: table, refined photons, pictures; its refusals."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from common.config import build
from common.errors import InputError
from data.store import EventStore
from e2e.config import InputConfig, NetworkConfig
from e2e.low_level.regression import train
from e2e.networks import build_network
from e2e.training.checkpoint import save_classifier
from envs.faces.sb3 import DynamicsVecEnv
from envs.photons.low_level import low_level_outputs
from envs.refinement.config import EnvironmentConfig
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.observation import ObservationModel
from rl.learning.agents import make_agent
from rl.refinement.apply import run
from rl.refinement.config import AgentConfig, ApplyConfig, RegressionConfig
from rl.refinement.refiner import FOLDER, Refiner
from rl.refinement.samples import read_photons
from tests.synthetic_photons import write_pairs


def _classifier(path: Path, seed: int) -> Path:
    """A classifier with random weights: good enough to be applied."""
    config = build(NetworkConfig, {"widths": [4, 8], "context_widths": [4], "hidden": 8})
    torch.manual_seed(seed)
    inputs = build(InputConfig)
    save_classifier(path, build_network(config, inputs), config, inputs, {})
    return path


def _refiner(folder: Path, store: Path, classifier: Path) -> Refiner:
    """An agent that never learned, with all that belongs to it."""
    environment = build(EnvironmentConfig, {"steps": 2, "feature_map_components": 4})
    outputs = low_level_outputs(store, classifier, folder / "low_level.h5")
    table = read_photons(store, outputs).table.matched()
    blocks = [b for b in environment.blocks if b not in ("regression", "residual")]
    inputs = ObservationModel.fit(table, environment.model_copy(update={"blocks": blocks}))
    regression = train(
        inputs.constant(table), table.target, environment,
        build(RegressionConfig, {"epochs": 1, "hidden": [8]}), seed=0,
    )  # fmt: skip
    table = table.with_regression(regression.predict(inputs.constant(table)))
    observation = ObservationModel.fit(table, environment)
    dynamics = RefinementDynamics(table, observation, environment)
    agent = make_agent(
        DynamicsVecEnv(dynamics, 4),
        build(AgentConfig, {"hidden": [8], "buffer_size": 10}), seed=0,
    )  # fmt: skip
    refiner = Refiner(
        environment, inputs, regression, observation, agent, "DDPG", outputs.classifier_sha256
    )
    refiner.save(folder / FOLDER)
    return refiner


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("apply")
    store = write_pairs(folder / "higgs.h5", "higgs", 60)
    classifier = _classifier(folder / "classifier.pt", seed=0)
    refiner = _refiner(folder / "rl", store, classifier)
    return {"folder": folder, "store": store, "classifier": classifier, "refiner": refiner}


def _config(chain: dict[str, Any], **settings: Any) -> ApplyConfig:
    base = {
        "input": [chain["store"]], "classifier": chain["classifier"],
        "agent": chain["folder"] / "rl", "output": chain["folder"] / "out", "pictures": 1,
    }  # fmt: skip
    return build(ApplyConfig, base, settings)


def test_table_has_a_row_per_event_with_masses_and_corrections(chain: dict[str, Any]) -> None:
    path = run(_config(chain))
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    with EventStore(chain["store"]) as store:
        energy, event = store.clusters("energy"), store.event("event")
    assert [int(row["event"]) for row in rows] == event.tolist()
    k = int(np.flatnonzero(np.isfinite(energy).all(axis=1))[0])
    row = rows[k]
    scores = [float(row[f"score_{name}"]) for name in ("diphoton", "higgs", "gamma_jet")]
    assert sum(scores) == pytest.approx(1, abs=1e-4)
    assert float(row["energy_standard_1"]) == pytest.approx(energy[k, 0], rel=1e-4)
    ratio = float(row["energy_refined_1"]) / float(row["energy_standard_1"])
    assert np.log(ratio) == pytest.approx(float(row["change_log_energy_1"]), abs=1e-4)
    assert 100 < float(row["m_gg_standard"]) < 140
    with h5py.File(path.with_name("refined.h5")) as file:
        assert file.attrs["methods"] == b"standard,agent"
        assert file["agent/m_gg"][k] == pytest.approx(float(row["m_gg_refined"]), rel=1e-4)
    pictures = sorted((path.parent / "figures").glob("event_*.png"))
    assert len(pictures) == 1
    assert pictures[0].stat().st_size > 20_000


def test_a_complete_run_is_not_repeated(chain: dict[str, Any]) -> None:
    path = run(_config(chain))
    before = path.stat().st_mtime_ns
    assert run(_config(chain)).stat().st_mtime_ns == before


def test_another_classifiers_outputs_are_refused(chain: dict[str, Any], tmp_path: Path) -> None:
    other = _classifier(tmp_path / "other.pt", seed=1)
    with pytest.raises(InputError, match="trained on the outputs of"):
        run(_config(chain, classifier=other, output=tmp_path / "out"))


def test_missing_files_are_named(chain: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing"):
        run(_config(chain, input=[tmp_path / "nothing.root"], output=tmp_path / "out"))
    with pytest.raises(InputError, match="no trained agent"):
        run(_config(chain, agent=tmp_path, output=tmp_path / "out"))


def test_real_collisions_give_the_three_selected_events(
    chain: dict[str, Any], real_data: Path, tmp_path: Path
) -> None:
    source = real_data / "real" / "DoublePhoton_Run2012B_0.ig"
    path = run(_config(chain, input=[source], output=tmp_path / "out"))
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    masses = sorted(float(row["m_gg_file"]) for row in rows)
    np.testing.assert_allclose(masses, [95.93, 103.09, 118.86], atol=0.01)
    assert {row["run"] for row in rows} == {"194115"}
    assert all(float(row["m_gg_refined"]) > 0 for row in rows)


def test_low_level_outputs_are_made_once_and_only_for_their_own_store(
    chain: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "low_level.h5"
    first = low_level_outputs(chain["store"], chain["classifier"], path)
    made = path.stat().st_mtime_ns
    again = low_level_outputs(chain["store"], chain["classifier"], path)
    assert path.stat().st_mtime_ns == made
    np.testing.assert_array_equal(again.embedding, first.embedding)
    other = write_pairs(tmp_path / "other.h5", "gun", 20)
    assert len(low_level_outputs(other, chain["classifier"], path).scores) == 20
