"""`python -m tests.faults`: make every fault, print what came of each, write `docs/faults.md`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.conftest import ROOT
from tests.faults import bad_files, commands
from tests.faults.reading import Outcome, Reader
from tests.faults.sweep import Row, sweep
from tests.faults.table import case_table, damage_table, publish, summary, undetected_table
from tests.made_files import make_events, write_aod, write_rhtree


def main() -> int:
    """Run all faults; exit with 1 if the program did what it never should."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few seeds, nothing written to docs/")
    parser.add_argument("--seeds", type=int, default=200, help="flipped bits per kind of file")
    parser.add_argument("--kills", type=int, default=20, help="moments of kill -9")
    arguments = parser.parse_args()
    seeds = 20 if arguments.quick else arguments.seeds
    kills = 2 if arguments.quick else arguments.kills
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name, Reader() as reader:
        folder = Path(name)
        rows: list[Row] = []
        for row in sweep(folder, reader, seeds, n_events=40):
            print(damage_table([row]).splitlines()[-1], *row.broken, sep="\n", flush=True)
            rows.append(row)
        cases = single_faults(folder / "cases") | repetitions(folder / "cases")
        cases |= interruptions(folder / "interruptions", kills)
    parts = [
        damage_table(rows), undetected_table(rows), case_table(cases), summary(rows, cases),
    ]  # fmt: skip
    print(*parts[1:], sep="\n\n")
    print(f"{time.monotonic() - started:.0f} s")
    if not arguments.quick:
        publish(ROOT / "docs" / "faults.md", "\n\n".join(parts))
    return int("FAULTS" in parts[-1])


def single_faults(folder: Path) -> dict[str, Outcome]:
    """Bad files in one batch with a good one and one without events."""
    folder.mkdir()
    good = write_aod(folder / "good.root", make_events(5, seed=1))
    empty = bad_files.empty_tree(folder / "empty.root")
    return commands.bad_files_in_a_batch(folder, good, bad_files.bad_files(folder / "bad"), empty)


def repetitions(folder: Path) -> dict[str, Outcome]:
    """Events that occur more than once."""
    good = folder / "good.root"
    twice = bad_files.events_twice(folder / "events_twice.root")
    other = write_rhtree(folder / "other.root", make_events(5, seed=1))
    repeated = commands.repeated_events
    return {
        "the same file twice": commands.same_file_twice(folder, good),
        "two collisions twice within a file": repeated(folder, [twice], 2),
        "five collisions in two files of different formats": repeated(folder, [good, other], 5),
    }


def interruptions(
    folder: Path, kills: int, sizes: tuple[float, ...] = (0.02, 0.5, 1.5)
) -> dict[str, Outcome]:
    """A disk that fills at several shares of the store, kill -9 at moments of the whole run."""
    folder.mkdir()
    inputs = [
        write_rhtree(folder / f"input{i}.root", make_events(40, seed=i), "sparse", truth=True)
        for i in range(4)
    ]
    expected = folder / "events.h5"
    started = time.monotonic()
    done = commands.preprocess(expected, inputs, *(["workers=2"] if kills else []))
    duration = time.monotonic() - started
    if done.returncode != 0:
        return {"an uninterrupted run": Outcome("broken", done.stderr[-500:])}
    size = expected.stat().st_size
    cases: dict[str, Outcome] = {}
    for share in sizes:
        override = "workers=2" if share > 1 else "workers=1"
        name = f"the disk is full after {share:g} of the store's size ({override}); then has room"
        disk = folder / f"disk{share}"
        disk.mkdir()
        cases[name] = commands.full_disk(disk, inputs, expected, int(share * size), override)
    moments = np.random.default_rng(1).uniform(0.2 * duration, duration, kills)
    for seed, moment in enumerate(moments):
        kind = "the process" if seed % 2 else "the process and its workers"
        name = f"kill -9 of {kind} after {moment:.2f} of {duration:.2f} s; then the same command"
        cases[name] = commands.killed(folder / f"kill{seed}", inputs, expected, moment, seed)
    return cases


if __name__ == "__main__":
    raise SystemExit(main())
