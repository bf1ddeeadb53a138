"""Faults met by the whole command: bad files in a batch, duplicates, a full disk, a kill."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from common.files import sha256
from data.store import EventStore
from data.store.schema import GROUPS
from tests.conftest import ROOT
from tests.faults.reading import Outcome

# Without a repository the revision in the store does not change while others commit.
_ENVIRONMENT = os.environ | {"GIT_DIR": "/nonexistent", "OMP_NUM_THREADS": "1"}
_SECONDS = 180


def command(output: Path, inputs: list[Path], *overrides: str) -> list[str]:
    """The preprocessing of files into a store, as a user types it."""
    files = [str(path) for path in inputs]
    arguments = ["preprocess", "--input", *files, "--output", str(output), *overrides]
    return [sys.executable, str(ROOT / "run_pipeline.py"), *arguments]


def preprocess(
    output: Path, inputs: list[Path], *overrides: str, limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; `limit` is the largest file in bytes that it may write."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        command(output, inputs, *overrides), cwd=ROOT, env=_ENVIRONMENT, preexec_fn=limited,
        capture_output=True, text=True, timeout=_SECONDS,
    )  # fmt: skip


def manifest(output: Path) -> dict[str, Any]:
    """The run's record."""
    return json.loads(Path(f"{output}.manifest.json").read_text(encoding="utf-8"))


def numbers(path: Path) -> dict[str, bytes]:
    """Everything a store holds but its attributes, which name the inputs."""
    with EventStore(path) as store:
        tables = [g for g in GROUPS if store.has_truth or not g.startswith("truth")]
        found = {
            f"{group}/{name}": np.asarray(store.column(f"{group}/{name}")).tobytes()
            for group in tables
            for name in GROUPS[group]
        }
        for channel in store.channels:
            hits = store.hits(channel)
            found |= {f"{channel}/{n}": column.tobytes() for n, column in hits.columns.items()}
            found[f"{channel}/offsets"] = hits.offsets.tobytes()
    return found


def clean_failure(done: subprocess.CompletedProcess[str], *mentioned: str) -> str:
    """What is wrong with a failed command's way of failing; empty if nothing."""
    if done.returncode == 0:
        return "exit code 0"
    if "Traceback" in done.stderr:
        return f"a traceback: {done.stderr[-5000:]}"
    absent = [text for text in mentioned if text not in done.stderr]
    return f"the message does not mention {absent[0]}: {done.stderr[-500:]}" if absent else ""


def leftovers(output: Path) -> list[str]:
    """Half-written files beside the output, and the output itself."""
    names = [p.name for p in output.parent.iterdir() if ".part" in p.name]
    return names + ([output.name] if output.exists() else [])


def bad_files_in_a_batch(
    folder: Path, good: Path, bad: dict[str, Path], empty: Path
) -> dict[str, Outcome]:
    """One command reads a good file, one without events, and bad ones; outcome of each bad one.

    Refused means: exit code 1, no traceback, a reason that names the file in the manifest, and
    the good file's events in the store as if it had been alone.
    """
    output = folder / "batch.h5"
    done = preprocess(output, [good, empty, *bad.values()])
    problem = clean_failure(done)
    if done.returncode != 1:
        problem = problem or f"exit code {done.returncode}"
    if not problem and numbers(output) != numbers(once(folder, good)):
        problem = "the good file's events are not what they are alone"
    if problem:
        return dict.fromkeys(bad, Outcome("broken", problem))
    records = {record["location"]: record for record in manifest(output)["files"]}
    if records[str(empty)]["status"] != "done":
        return {"a tree without events": Outcome("broken", records[str(empty)]["reason"])}
    return {name: _recorded(records[str(path)], path) for name, path in bad.items()}


def _recorded(record: dict[str, Any], path: Path) -> Outcome:
    if record["status"] == "done":
        return Outcome("wrong", "accepted")
    if str(path) not in (record["reason"] or ""):
        return Outcome("broken", f"reason without the file's name: {record['reason']}")
    return Outcome("refused", record["reason"])


def once(folder: Path, good: Path) -> Path:
    """The store of a good file alone."""
    output = folder / "once.h5"
    if not output.exists():
        preprocess(output, [good])
    return output


def same_file_twice(folder: Path, good: Path) -> Outcome:
    """The second mention is refused, the events are there once."""
    output = folder / "twice.h5"
    done = preprocess(output, [good, good])
    if problem := clean_failure(done, str(good)):
        return Outcome("broken", problem)
    is_right = numbers(output) == numbers(once(folder, good))
    return Outcome("refused" if is_right else "wrong", done.stderr.strip().splitlines()[-1])


def repeated_events(folder: Path, inputs: list[Path], repeated: int) -> Outcome:
    """Collisions that occur more than once are kept, counted, and share a group."""
    output = folder / "repeated.h5"
    done = preprocess(output, inputs)
    if done.returncode != 0:
        return Outcome("broken", done.stderr[-500:])
    counts = {t: n for t, n in manifest(output)["warnings"].items() if "more than once" in t}
    with EventStore(output) as store:
        groups = store.event("group")
    shared = len(groups) - len(np.unique(groups))
    if list(counts.values()) != [repeated] or shared != repeated:
        return Outcome("wrong", f"{repeated} repeated, counted {counts}, sharing a group {shared}")
    return Outcome("right", f"{repeated} x {next(iter(counts))}")


def full_disk(
    folder: Path, inputs: list[Path], expected: Path, size: int, *overrides: str
) -> Outcome:
    """A disk of `size` bytes fills; with room, the same command ends with the expected bytes.

    The disk is a tmpfs where mounting one is permitted, otherwise a limit on the size of files.
    """
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    output = disk / expected.name
    with _small_disk(disk, size) as grow:
        done = preprocess(output, inputs, *overrides, limit=None if grow else size)
        says = ("No space left", "File too large")
        if problem := clean_failure(done):
            return Outcome("broken", problem)
        if not any(text in done.stderr for text in says):
            return Outcome("broken", f"no word of the full disk: {done.stderr[-500:]}")
        if left := leftovers(output):
            return Outcome("broken", f"left behind: {left}")
        message = done.stderr.strip().splitlines()[-1]
        if grow:
            grow()
        return _finished(output, inputs, expected, message)


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[Callable[[], None] | None]:
    """Mount a small disk; yields what enlarges it, or None where mounting is not permitted."""
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(options, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        yield None
        return

    def grow() -> None:
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)

    try:
        yield grow
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def killed(folder: Path, inputs: list[Path], expected: Path, after: float, seed: int) -> Outcome:
    """Kill -9 some seconds after the start; the same command then ends with the expected bytes.

    Odd seeds kill the process only and leave its workers to themselves, even ones the group.
    """
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / expected.name
    process = subprocess.Popen(
        command(output, inputs, "workers=2"), cwd=ROOT, env=_ENVIRONMENT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(after)
    ended = process.poll() is not None
    if not ended:
        (os.kill if seed % 2 else os.killpg)(process.pid, signal.SIGKILL)
    process.wait()
    whole = sha256(output) == sha256(expected) if output.exists() else None
    if whole is False:
        return Outcome("wrong", "a half-written store under its final name")
    moment = "after its end" if ended else "before the merge" if whole is None else "at its end"
    return _finished(output, inputs, expected, f"killed {moment}", "workers=2")


def _finished(
    output: Path, inputs: list[Path], expected: Path, text: str, *overrides: str
) -> Outcome:
    """Run the command again; right if it ends with the expected bytes."""
    again = preprocess(output, inputs, *overrides)
    if again.returncode != 0:
        return Outcome("broken", f"the second run failed: {again.stderr[-500:]}")
    return Outcome("right" if sha256(output) == sha256(expected) else "wrong", text)
