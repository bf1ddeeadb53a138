"""Every notebook runs from the first cell to the last, on a small study."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rl.refinement.config import RefineConfig
from tests.conftest import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "study")


def _environment(study: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}",
        "STUDY_FOLDER": str(study),
        "NOTEBOOK_QUICK": "1",
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",
        **more,
    }


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_as_a_script(
    name: str, refinement_run: RefineConfig, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", FOLDER / f"{name}.py"],
        env=_environment(refinement_run.output.parent, NOTEBOOK_FIGURES=str(tmp_path)),
        cwd=FOLDER, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(path.stat().st_size > 5000 for path in tmp_path.glob("*.png"))
    assert list(tmp_path.glob("*.png"))


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
        notebook, timeout=300, kernel_name="python3",
        resources={"metadata": {"path": str(FOLDER)}},
    )  # fmt: skip
    client.execute(env=_environment(refinement_run.output.parent))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= kinds
