"""The whole chain through the command line, in small: simulate to report, then apply."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.store import EventStore
from tests.conftest import ROOT

SMALL = [
    "simulate.events={higgs: 250, diphoton: 250, gamma_jet: 900, gun: 500}",
    "classify.training.epochs=1",
    "classify.tree.iterations=20",
    "classify.evaluation.bootstrap=10",
    "rl.agent.updates=160",
    "rl.agent.environments=256",
    "rl.regression.epochs=2",
    "rl.evaluation.bootstrap=10",
    "rl.evaluation.rollout_events=4",
]


def pipeline(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run_pipeline.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study, complete."""
    folder = tmp_path_factory.mktemp("study")
    done = pipeline("demo", "--folder", folder, *SMALL)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_study_leaves_report_and_metrics(study: Path) -> None:
    metrics = json.loads((study / "metrics.json").read_text())
    assert {"classify", "rl", "simulate"} <= set(metrics)
    assert metrics["seconds"]["total"] > 0
    page = (study / "report.html").read_text()
    assert "Simulation" in page
    assert "events.h5" in page
    assert "--selection diphoton2012_id" in page
    assert page.count("data:image/png;base64") >= 5


def test_a_complete_study_is_not_run_twice(study: Path) -> None:
    store_before = (study / "events.h5").stat().st_mtime_ns
    checkpoint_before = (study / "classify" / "run.json").read_bytes()
    done = pipeline("demo", "--folder", study, *SMALL)
    assert done.returncode == 0, done.stderr
    assert (study / "events.h5").stat().st_mtime_ns == store_before
    assert (study / "classify" / "run.json").read_bytes() == checkpoint_before


def test_the_store_holds_what_the_selection_promises(study: Path) -> None:
    with EventStore(study / "events.h5") as store:
        assert store.simulation
        assert set(store.event("label")) == {0, 1, 2}
        assert (store.event("m_gg") >= 90).all()
        assert (abs(store.photons("eta")) <= 1.44).all()
        assert (store.photons("pt")[:, 0] >= 30).all()


def test_the_chain_applies_to_a_real_event_display(
    study: Path, real_data: Path, tmp_path: Path
) -> None:
    source = real_data / "real" / "DoublePhoton_Run2012B_0.ig"
    done = pipeline(
        "apply", "--input", source, "--classifier", study / "classify", "--agent", study / "rl",
        "--output", tmp_path / "apply",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "apply" / "table.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [round(float(row["m_gg_file"]), 2) for row in rows] == [103.09, 118.86, 95.93]
    for row in rows:
        assert math.isfinite(float(row["score_higgs"]))
    assert len(list((tmp_path / "apply").rglob("*.png"))) >= 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["preprocess", "--input", "absent.root"], "absent.root"),
        (["classify", "--store", "x.h5", "training.epoch=1"], "did you mean training.epochs?"),
        (["preprocess", "--input", "x", "--selection", "diphoton2013"], "selection"),
    ],
)
def test_a_mistake_ends_with_a_message_and_status_one(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_pipeline.py"), *arguments],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
