"""Every kind of file damaged again and again: how often the damage is noticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from common.files import adler32
from tests.conftest import REAL_DATA
from tests.faults.damage import DAMAGES
from tests.faults.files import REAL, makers
from tests.faults.reading import Outcome, Reader, Task, read_digest

_SHARE = {"one bit flipped": 1.0, "4 kB zeroed": 0.2, "truncated": 0.1}  # of the seeds


@dataclass
class Row:
    """Outcomes of one kind of damage to one file.

    Attributes
    ----------
    file, damage
        What was damaged, and how.
    outcomes
        Number of files by kind of outcome.
    unchecked
        Wrong numbers that would have been read without the checks of values.
    caught_by_sum
        Files refused when a list gives their Adler-32; None for event stores.
    broken
        Seeds and details of what should never happen.
    """

    file: str
    damage: str
    outcomes: Counter[str] = field(default_factory=Counter)
    unchecked: int = 0
    caught_by_sum: int | None = 0
    broken: list[str] = field(default_factory=list)

    @property
    def tries(self) -> int:
        """Number of damaged files."""
        return self.outcomes.total()


def sweep(
    folder: Path, reader: Reader, seeds: int, n_events: int = 12, real: bool = True
) -> Iterator[Row]:
    """Damage every kind of file `seeds` times, fewer for coarse damage; one row of outcomes each.

    `real` adds the real files and those with a real layout, where they are at hand.
    """
    for name, make in makers(n_events).items():
        yield from _rows(name, make(folder / "whole"), folder, reader, seeds)
    for name, relative in REAL.items():
        path = REAL_DATA / relative
        if real and path.is_file():
            # Reading the real display takes 0.3 s.
            few = seeds // 8 if path.suffix == ".ig" else seeds
            yield from _rows(name, path, folder, reader, few)


def _rows(name: str, path: Path, folder: Path, reader: Reader, seeds: int) -> Iterator[Row]:
    is_store = name == "event store"
    expected = read_digest(Task(path, is_store=is_store))
    content, known = path.read_bytes(), adler32(path)
    damaged = folder / "damaged"
    for damage, function in DAMAGES.items():
        row = Row(name, damage, caught_by_sum=None if is_store else 0)
        for seed in range(max(1, int(seeds * _SHARE[damage]))):
            damaged.write_bytes(function(content, seed))
            if damaged.read_bytes() == content:  # zeros that were zero
                continue
            _count(row, seed, damaged, Task(damaged, expected, is_store), reader, known)
        yield row


def _count(row: Row, seed: int, path: Path, task: Task, reader: Reader, known: str) -> None:
    found = reader.outcome(task)
    row.outcomes[found.kind] += 1
    if found.kind == "broken":
        row.broken.append(f"seed {seed}: {found.detail}")
    if row.caught_by_sum is None:
        return
    if found.kind != "right":
        without = reader.outcome(task._replace(checked=False))
        row.unchecked += without.kind == "wrong"
        if without.kind == "broken":
            row.broken.append(f"seed {seed}, without checks: {without.detail}")
    if row.caught_by_sum is not None:
        summed: Outcome = reader.outcome(task._replace(adler32=known))
        row.caught_by_sum += summed.kind == "refused"
