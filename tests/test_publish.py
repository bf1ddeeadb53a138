"""Tables and figures reach the documentation from run folders, never by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import InputError
from common.files import write_json
from report.publish import fill, publish

PAGE = "before\n<!-- table: classify/AUC -->\nold\n<!-- end -->\n![roc](figures/classify/roc.png)\n"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "study" / "classify"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "roc.png").write_bytes(b"png")
    table = {"title": "AUC", "columns": ["m", "|v|"], "rows": [["net", "0.9"]], "caption": "Note."}
    write_json(folder / "report.json", {"tables": [table]})
    return folder.parent


def test_a_marked_place_is_filled_again_and_again(study: Path) -> None:
    once = fill(PAGE, [study])
    assert "| net | 0.9 |" in once
    assert r"| m | \|v\| |" in once
    assert "old" not in once
    assert fill(once, [study]) == once


def test_a_missing_table_is_named(study: Path) -> None:
    with pytest.raises(InputError, match="no table 'ROC'"):
        fill(PAGE.replace("/AUC", "/ROC"), [study])


def test_places_of_other_studies_are_left_alone(study: Path, tmp_path: Path) -> None:
    other = PAGE.replace("table: classify/", "table: jets/")
    assert fill(other, [study]) == other
    second = tmp_path / "second" / "jets"
    second.mkdir(parents=True)
    table = {"title": "AUC", "columns": ["m"], "rows": [["tree"]], "caption": ""}
    write_json(second / "report.json", {"tables": [table]})
    both = fill(PAGE + other, [study, second.parent])
    assert "| net | 0.9 |" in both
    assert "| tree |" in both


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run folder"):
        publish([tmp_path], tmp_path)


def test_figures_are_copied_beside_the_pages(study: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "README.md").write_text("nothing to fill")
    (root / "docs" / "page.md").write_text(PAGE)
    assert publish([study], root) == [root / "docs" / "page.md"]
    assert (root / "docs" / "figures" / "classify" / "roc.png").read_bytes() == b"png"
