"""Imports run one way: common -> data -> e2e -> envs -> rl -> report."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

ROOMS = ("common", "data", "e2e", "envs", "rl", "report")


def imported_rooms(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found & {*ROOMS, "run_pipeline", "tests"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_comes_before_it(room: str) -> None:
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    modules = sorted((ROOT / room).rglob("*.py"))
    assert modules
    for module in modules:
        wrong = imported_rooms(module) - allowed
        assert not wrong, f"{module.relative_to(ROOT)} imports {sorted(wrong)}"


def test_truth_is_read_by_labels_rewards_and_metrics_only() -> None:
    """One search shows every reader of truth; a new one has to be argued for here."""
    readers = {
        str(module.relative_to(ROOT))
        for room in ROOMS
        for module in (ROOT / room).rglob("*.py")
        if ".truth(" in module.read_text() or ".truth_event(" in module.read_text()
    }
    assert readers <= TRUTH_READERS


TRUTH_READERS: set[str] = set()
