"""Files are whole or absent; run folders know whether they are complete; the report shows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.config import StageConfig
from common.errors import InputError
from common.files import adler32, atomic_path, sha256, write_json
from common.metrics import Estimate
from common.plotting import label, new_figure
from common.runs import RunFolder


class Settings(StageConfig):
    value: int = 1


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail_midway() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_midway()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.txt"]


def test_json_keeps_names_and_turns_non_finite_numbers_into_null(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    write_json(path, {"auc": Estimate(0.9, np.nan), "n": np.int64(3), "x": np.array([1.0, np.inf])})
    assert json.loads(path.read_text()) == {
        "auc": {"value": 0.9, "error": None},
        "n": 3,
        "x": [1.0, None],
    }


def test_checksums_of_known_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"Wikipedia")
    assert adler32(path) == "11e60398"
    assert sha256(path).startswith("d38b38a2dd476e045c299e8ee5d64668")


def test_a_run_is_complete_only_for_its_own_settings_and_inputs(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_text("1")

    def folder(value: int) -> RunFolder:
        return RunFolder(tmp_path / "run", "stage", Settings(value=value), inputs=[source])

    assert not folder(1).is_complete()
    folder(1).complete()
    assert folder(1).is_complete()
    assert not folder(2).is_complete()
    source.write_text("2")
    assert not folder(1).is_complete()


def test_the_report_holds_tables_figures_and_commands(tmp_path: Path) -> None:
    from report.build import run
    from report.config import ReportConfig

    folder = RunFolder(tmp_path / "classify", "classify", Settings())
    figure, axes = new_figure()
    axes[0, 0].plot([0, 1], [0, 1])
    label(axes[0, 0], simulation=True)
    folder.save_figure(figure, "roc", "A caption <here>")
    folder.add_table("AUC", ["model", "AUC"], [["network", Estimate(0.92, 0.01)]], "Held out.")
    folder.complete()
    page = run(ReportConfig(folder=tmp_path)).read_text()
    assert "0.92 ± 0.01" in page
    assert "A caption &lt;here&gt;" in page
    assert "data:image/png;base64,iVBOR" in page
    assert "python run_pipeline.py classify --config" in page
    assert "http://" not in page
    assert "https://" not in page


def test_a_report_of_nothing_is_an_error(tmp_path: Path) -> None:
    from report.build import run
    from report.config import ReportConfig

    with pytest.raises(InputError, match="no run folder"):
        run(ReportConfig(folder=tmp_path))
