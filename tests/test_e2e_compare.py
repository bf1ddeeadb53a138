"""The comparison: complete on a synthetic sample, resumable, all models on the same events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.config import build
from common.errors import ConfigError
from e2e.comparison import jobs, stage
from e2e.comparison.config import CompareConfig
from e2e.comparison.jobs import CompareJob, first_events, plan, training_of
from e2e.comparison.models import MODELS, columns_of
from e2e.inputs.tabular import feature_names
from tests.synthetic import write_store

SMALL: dict[str, Any] = {
    "models": ["kinematics", "tree", "tree_basic", "resnet_hcal3", "combined"],
    "network": {"widths": [8, 12], "context_widths": [6], "hidden": 16, "photon": 8},
    "training": {"epochs": 2, "batch_size": 32, "device": "cpu"},
    "resnet": {"events": 60, "epochs": 1, "batch_size": 16, "stride": 4},
    "members": 2,
    "split": {"folds": 3, "models": 2},
    "tree": {"iterations": 10},
    "curve": {"models": ["tree", "combined"], "events": [50, 1000], "least_steps": 4},
    "bootstrap": 5,
    "control_permutations": 2,
    "control_events": 60,
    "threads": 1,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> CompareConfig:
    folder = tmp_path_factory.mktemp("compare")
    store = write_store(folder / "events.h5", 240, without_pair=0.05)
    return build(CompareConfig, SMALL, {"store": store, "output": folder / "run"})


@pytest.fixture(scope="module")
def finished(config: CompareConfig) -> Path:
    return stage.run(config)


def test_every_model_is_judged_on_the_same_events(finished: Path, config: CompareConfig) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    assert set(metrics["auc"]) == {*config.models, "ensemble", "combined + tree", "ensemble + tree"}
    assert "resnet_hcal3" not in metrics["auc_all_folds"]
    assert metrics["events_all_folds"]["all"] > metrics["events"]["all"]
    tree = metrics["auc"]["tree"]["as_generated"]["higgs_gamma_jet"]
    assert tree["difference"] == tree["difference_error"] == 0
    assert tree["value"] > 0.7
    cost = metrics["cost"]
    assert cost["resnet_hcal3"]["train_events"] == 60
    assert cost["ensemble"]["parameters"] == 2 * cost["combined"]["parameters"]
    assert all(c["train_seconds"] > 0 and c["test_ms_per_event"] > 0 for c in cost.values())
    points = metrics["learning_curves"]["combined"]
    assert points[0]["events"] == 50 < points[1]["events"]
    assert len(points) == 2  # 1000 are more than there are
    assert len(metrics["shuffled_labels"]["tree"]["higgs_gamma_jet"]["single"]) == 2
    assert {"TRK", "EB", "all"} <= set(metrics["whole_image_blindness"])
    report = json.loads((finished / "report.json").read_text())
    titles = {table["title"] for table in report["tables"]}
    assert {"AUC", "Difference to the tree, all folds", "Cost", "Learning curves"} <= titles
    assert (finished / "figures" / "learning_curves.png").is_file()


def test_jobs_that_are_done_are_not_repeated(
    finished: Path, config: CompareConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (finished / "metrics.json").read_text()
    (finished / "run.json").unlink()
    (finished / "jobs" / "tree_fold1.npz").unlink()
    repeated = []
    run_tree = jobs._run_tree

    def counted(job: CompareJob, *rest: Any) -> Any:
        repeated.append(job)
        return run_tree(job, *rest)

    monkeypatch.setattr(jobs, "_run_tree", counted)
    monkeypatch.setattr(jobs, "_run_network", None)
    stage.run(config)
    assert repeated == [CompareJob("tree", 1)]
    after = json.loads((finished / "metrics.json").read_text())
    assert {k: v for k, v in after.items() if k != "cost"} == {
        k: v for k, v in json.loads(before).items() if k != "cost"
    }


def test_other_settings_are_other_jobs(finished: Path, config: CompareConfig) -> None:
    path = finished / "jobs" / "kinematics_fold0.npz"
    fingerprint = str(np.load(path)["fingerprint"])
    assert jobs._read(path, fingerprint) is not None
    assert jobs._read(path, fingerprint[::-1]) is None


def test_learning_curves_are_nested_and_of_whole_hash_order() -> None:
    group = np.repeat(np.arange(100), 3)
    train = np.flatnonzero(group % 4 != 0)
    small, large = (set(first_events(train, group, n)) for n in (30, 90))
    assert small < large < set(train)
    assert len(small) == 30
    assert np.array_equal(first_events(train, group, None), train)
    assert np.array_equal(first_events(train, group, 10**6), train)


def test_the_plan_has_no_job_twice_and_the_longest_first(config: CompareConfig) -> None:
    every = plan(config, 228)
    assert len(every) == len(set(every))
    assert MODELS[every[0].model].kind == "resnet"
    assert [job.fold for job in every if job.model == "resnet_hcal3"] == [0]
    assert CompareJob("combined", 0, 50) in every
    assert len({job.name for job in every}) == len(every)


def test_small_samples_are_passed_over_more_often(config: CompareConfig) -> None:
    wide = config.model_copy(deep=True)
    wide.training.batch_size, wide.training.epochs, wide.curve.least_steps = 128, 10, 600
    job = CompareJob("combined", 0, 500)
    small, large = (training_of(job, n, wide) for n in (500, 32000))
    assert small.batch_size == 32
    assert small.epochs * (500 // 32) >= 600
    assert (large.batch_size, large.epochs) == (128, 10)


def test_trees_see_the_columns_they_are_named_for() -> None:
    names = np.array(feature_names())
    basic = list(names[columns_of(MODELS["tree_basic"])])
    assert len(basic) == 5 + 2 * 3
    assert {"r9 1", "h/e 2", "sigma_ieta_ieta 1", "cos dphi"} <= set(basic)
    shapes = names[columns_of(MODELS["tree_shapes"])]
    assert not [name for name in shapes if name.startswith(("track", "ecal", "hcal"))]
    assert len(columns_of(MODELS["tree"])) == len(names)


def test_unknown_models_and_a_missing_reference_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no model 'foret'"):
        build(CompareConfig, {"store": tmp_path, "models": ["tree", "foret"]})
    with pytest.raises(ConfigError, match="must hold 'tree'"):
        build(CompareConfig, {"store": tmp_path, "models": ["combined"]})
