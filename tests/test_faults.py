"""Damage, bad files, a full disk and a kill: a part of what `python -m tests.faults` does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import uproot

from tests.conftest import ROOT
from tests.faults.__main__ import interruptions, single_faults
from tests.faults.reading import Outcome, Reader, Task, outcome, read_digest
from tests.faults.sweep import sweep
from tests.faults.table import BEGIN, END, damage_table, undetected_table
from tests.made_files import make_events, write_aod, write_rhtree

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


def test_a_damaged_file_teaches_uproot_nothing(tmp_path: Path) -> None:
    """uproot makes classes from what files say of themselves, and keeps them for other files."""
    good = write_aod(tmp_path / "good.root", make_events(2))
    expected = read_digest(Task(good))
    versions = uproot.classes["TBranch"].known_versions
    known = dict(versions)
    versions[13], versions[99] = versions[10], versions[10]
    uproot.classes["TMade"] = uproot.classes["TList"]
    assert outcome(Task(good, expected)) == Outcome("right", "")
    assert versions == known
    assert "TMade" not in uproot.classes


@pytest.mark.parametrize("name", ["fEntries", "fBasketEntry"])
def test_entries_that_do_not_add_up(name: str, tmp_path: Path) -> None:
    """A flipped bit in the tree's own numbers neither hides events nor makes millions."""
    path = write_rhtree(tmp_path / "a.root", make_events(4), step=2, compression=None)
    content = path.read_bytes()
    with uproot.open(path) as file:
        tree = file["fevt/RHTree"]
        wanted = [4] if name == "fEntries" else list(tree["EB_energy"].member("fBasketEntry")[:3])
    pattern = b"".join(int(n).to_bytes(8, "big") for n in wanted)
    found = 0
    for match in re.finditer(re.escape(pattern), content):
        damaged = bytearray(content)
        damaged[match.start() + len(pattern) - 7 - 8 * (name == "fBasketEntry")] ^= 0x10
        path.write_bytes(damaged)
        assert outcome(Task(path)).kind in ("refused", "wrong")  # no digest is expected: "wrong"
        found += outcome(Task(path)).kind == "refused"
    assert found > 3
