"""Damage, bad files, a full disk and a kill: a part of what `python -m tests.faults` does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.__main__ import interruptions, single_faults
from tests.faults.reading import Reader
from tests.faults.sweep import sweep
from tests.faults.table import BEGIN, END, damage_table, undetected_table

HAVE_CHECKSUMS = ("event display", "event store")


def test_damaged_files(tmp_path: Path) -> None:
    """Nothing but right numbers, a refusal, or what a codec without checksums lets through."""
    with Reader(seconds=20) as reader:
        rows = list(sweep(tmp_path, reader, seeds=6, n_events=4, real=False))
    for row in rows:
        assert not row.broken, row
        assert row.tries == row.outcomes["right"] + row.outcomes["refused"] + row.outcomes["wrong"]
        if row.file in HAVE_CHECKSUMS:
            assert row.outcomes["wrong"] == 0, row
        if row.caught_by_sum is not None:
            assert row.caught_by_sum == row.tries, row
        if row.damage == "truncated":
            assert row.outcomes["refused"] == row.tries, row
    refused = sum(row.outcomes["refused"] for row in rows)
    assert refused > sum(row.tries for row in rows) / 3
    assert len(damage_table(rows).splitlines()) == len(rows) + 2
    assert "| dense Parquet |" in undetected_table(rows)


def test_bad_files_in_a_batch(tmp_path: Path) -> None:
    outcomes = single_faults(tmp_path / "cases")
    assert len(outcomes) > 30
    assert {found.kind for found in outcomes.values()} == {"refused"}, outcomes


def test_full_disk(tmp_path: Path) -> None:
    outcomes = interruptions(tmp_path / "interruptions", kills=0, sizes=(0.5,))
    assert {found.kind for found in outcomes.values()} == {"right"}, outcomes


FORBIDDEN = re.compile(
    r"\b(eval|exec|literal_eval|pickle|cPickle|dill|marshal|shelve|__import__)\s*[.(]"
    r"|allow_pickle\s*=\s*True|import (pickle|dill|marshal|shelve)\b|yaml\.(unsafe_)?load\("
)


@pytest.mark.parametrize("path", sorted((ROOT / "data").rglob("*.py")), ids=lambda p: p.stem)
def test_nothing_in_a_file_is_ever_run(path: Path) -> None:
    """No way from the content of an input to code."""
    found = [line for line in path.read_text("utf-8").splitlines() if FORBIDDEN.search(line)]
    assert not found


def test_the_document_has_its_table() -> None:
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    table = text.partition(BEGIN)[2].partition(END)[0]
    assert "| AOD, ZSTD | one bit flipped |" in table
