"""Imports run one way: common -> data -> e2e -> envs -> rl -> report."""

from __future__ import annotations

import ast
import re
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


# Labels and evaluation of the classifier; rewards and metrics of the environment.
# The head of crystals' shares and the regressions of photons are taught and judged by truth.
# Flavours of jets (e2e/jets) are labels too.
TRUTH_READERS = {
    "e2e/labels.py",
    "e2e/jets/labels.py",
    "e2e/low_level/targets.py",
    "envs/photons/truth.py",
    # True profiles of showers: rewards, labels and metrics of their environment.
    "envs/profile/photons.py",
    "envs/profile/sample.py",
}
READS_TRUTH = re.compile(r"\.truth\(|\.truth_event\(|[\"']truth/")


def test_truth_is_read_by_labels_rewards_and_metrics_only() -> None:
    """Beyond the store's own room; a new reader of truth has to be argued for here."""
    readers = {
        str(module.relative_to(ROOT))
        for room in ROOMS[ROOMS.index("data") + 1 :]
        for module in (ROOT / room).rglob("*.py")
        if READS_TRUTH.search(module.read_text(encoding="utf-8"))
    }
    assert readers == TRUTH_READERS
