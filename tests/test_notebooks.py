"""Every notebook runs from the first cell to the last, on a small study."""

from __future__ import annotations

import os
import runpy
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from envs.refinement.reward import REWARDS
from rl.refinement.config import RefineConfig
from tests.conftest import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "study")


def _environment(study: Path) -> dict[str, str]:
    return {"STUDY_FOLDER": str(study), "NOTEBOOK_QUICK": "1", "MPLBACKEND": "Agg"}


@pytest.fixture
def as_script(refinement_run: RefineConfig, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a notebook needs to run here, in this process, and no trace of it afterwards."""
    for name, value in _environment(refinement_run.output.parent).items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, "study", raising=False)
    threads, rewards = torch.get_num_threads(), dict(REWARDS)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    REWARDS.clear()
    REWARDS.update(rewards)


@pytest.mark.usefixtures("as_script")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_as_a_script(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTEBOOK_FIGURES", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    figures = list(tmp_path.glob("*.png"))
    assert figures
    assert all(path.stat().st_size > 5000 for path in figures)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_in_percent_format(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert text.startswith("# ---\n# jupyter:\n#   jupytext:\n")
    assert "format_name: percent" in text
    assert text.count("# %% [markdown]\n") >= 3
    assert f"notebooks/{name}.py" in (ROOT / "docs" / "notebooks.md").read_text(encoding="utf-8")


def test_sliders_move_the_picture_in_jupyter(refinement_run: RefineConfig, tmp_path: Path) -> None:
    jupytext = pytest.importorskip("jupytext", reason="the optional jupytext is not installed")
    nbclient = pytest.importorskip("nbclient", reason="the optional jupyterlab is not installed")
    notebook = jupytext.read(FOLDER / "explore_a_rollout.py")
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
    )  # fmt: skip
    places = {"PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}", "OMP_NUM_THREADS": "1"}
    client.execute(env={**os.environ, **_environment(refinement_run.output.parent), **places})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= kinds
