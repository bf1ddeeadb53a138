"""What is checked on a real Slurm: every way to make an event store ends with the same bytes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.files import sha256
from tests.conftest import ROOT
from tests.made_files import make_events, write_rhtree
from tests.slurm.node import single_node
from tests.slurm.training import check_training

N_FILES = 6
PACKAGES = ("batch", "common", "configs", "data", "e2e", "envs", "report", "rl")


@dataclass
class Bench:
    """A copy of the program, input files, and the Slurm they are used with."""

    folder: Path
    environment: dict[str, str]

    @property
    def study(self) -> Path:
        """The folder with inputs and outputs; its name has a space."""
        return self.folder / "my study"

    def program(self, *words: str, status: int = 0) -> str:
        """Run the command line in the study's folder; returns what it logged."""
        done = self.start(*words)
        text = done.communicate(timeout=120)[0]
        assert done.returncode == status, text
        return text

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the command line in the study's folder."""
        return subprocess.Popen(
            [sys.executable, str(self.folder / "source" / "run_pipeline.py"), *words],
            cwd=self.study, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def slurm(self, *words: str) -> str:
        """Run one of Slurm's commands."""
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, check=True
        ).stdout

    def queue(self) -> dict[str, str]:
        """State of every job that is pending or runs; tasks as 12_3."""
        lines = self.slurm("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def wait(self, ready: Callable[[], object], what: str, seconds: float = 120) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + seconds
        while not ready():
            logs = "\n".join(
                f"== {p}\n{p.read_text(errors='replace')}"
                for p in self.study.glob("*.batch/logs/*")
            )
            assert time.monotonic() < deadline, f"{what}: {self.queue()}\n{logs}"
            time.sleep(0.2)

    def state(self, job: str) -> str:
        """How a job ended, such as COMPLETED; GONE for a task cancelled before it started."""
        done = subprocess.run(
            ["scontrol", "show", "job", job], env=self.environment, capture_output=True, text=True
        )
        found = re.search(r"JobState=(\w+)", done.stdout)
        return found.group(1) if found else "GONE"

    def is_same(self, name: str) -> None:
        """Whether an event store has the bytes of the one that was made in one process."""
        assert sha256(self.study / name) == sha256(self.study / "local.h5"), name
        assert not list(self.study.glob(f".{name}*")), "files left behind"


def prepare(folder: Path, environment: dict[str, str]) -> Bench:
    """Copy the program (a commit meanwhile changes no bytes), make input files and a reference."""
    bench = Bench(folder, environment | {"PYTHONPATH": ""})
    bench.study.mkdir(parents=True)
    source = folder / "source"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pyc*"))
    shutil.copy(ROOT / "run_pipeline.py", source)
    for i in range(N_FILES):
        write_rhtree(
            bench.study / f"in{i}.root", make_events(5, seed=i, run=200000 + i), truth=True
        )
    inputs = ", ".join(f"in{i}.root" for i in range(N_FILES))
    (bench.study / "study.yaml").write_text(f"preprocess:\n  input: [{inputs}]\n")
    bench.program("preprocess", "--config", "study.yaml", "--output", "local.h5")
    return bench


def submit(bench: Bench, output: str, *words: str) -> tuple[str, list[str]]:
    """Submit an array; returns the log and the jobs' identifiers."""
    log = bench.program(
        "submit", "--study", "study.yaml", "--memory", "1", f"options.output={output}", *words
    )
    found = re.search(r"job\(s\) ([\d ]+);", log)
    return log, found.group(1).split() if found else []


def check_array(bench: Bench) -> None:
    """An array and its merging job, one task of which is cancelled: the merge makes up for it."""
    _, (convert, merge) = submit(bench, "array.h5", "--tasks", "3")
    bench.slurm("scancel", f"{convert}_2")
    bench.wait(lambda: not bench.queue(), "array and merge")
    assert bench.state(f"{convert}_0") == "COMPLETED"
    assert bench.state(f"{convert}_2") in ("CANCELLED", "GONE")
    assert bench.state(merge) == "COMPLETED"
    bench.is_same("array.h5")
    log, jobs = submit(bench, "array.h5", "--tasks", "3")
    assert not jobs
    assert "up to date" in log


def check_resubmission(bench: Bench) -> None:
    """An array of which all is cancelled half-way; submitted again it makes what is missing."""
    _, jobs = submit(bench, "again.h5", "--tasks", "6", "--at-once", "1")
    shards = bench.study / "again.h5.shards"
    bench.wait(lambda: len(list(shards.glob("[!.]*.h5"))) >= 2, "first shards")
    bench.slurm("scancel", *jobs)
    bench.wait(lambda: not bench.queue(), "cancelled jobs")
    n_made = len(list(shards.glob("[!.]*.h5")))
    assert 2 <= n_made < N_FILES
    log, _ = submit(bench, "again.h5", "--tasks", "6")
    assert f"{N_FILES - n_made} are to be made" in log
    bench.wait(lambda: not bench.queue(), "array and merge")
    bench.is_same("again.h5")


def check_bad_input(bench: Bench) -> None:
    """A damaged input: the others are merged, and the merging job fails with its name."""
    (bench.study / "bad.root").write_bytes((bench.study / "in0.root").read_bytes()[:5000])
    _, (_, merge) = submit(bench, "bad.h5", "--tasks", "2", "options.input=[bad.root,in1.root]")
    bench.wait(lambda: not bench.queue(), "array and merge")
    assert bench.state(merge) == "FAILED"
    assert "bad.root" in (bench.study / "bad.h5.batch" / "logs" / "merge.log").read_text()
    assert (bench.study / "bad.h5").is_file()


def check_job(bench: Bench) -> None:
    """Any other stage as one job."""
    words = ["--stage", "export", "--memory", "1", "options.store=local.h5"]
    bench.program("submit", *words, "options.output=images.npz", "--setup", "export A='b c'")
    bench.wait(lambda: not bench.queue(), "job")
    log = (bench.study / "images.npz.batch" / "logs" / "export.log").read_text()
    assert (bench.study / "images.npz").is_file(), log


def check_dask_jobs(bench: Bench) -> None:
    """Dask workers as jobs; one is cancelled while it works."""
    words = ["preprocess", "--config", "study.yaml", "--output", "dask.h5", "--engine", "slurm"]
    running = bench.start(*words, "--workers", "2", "jobqueue.memory=1GB", "jobqueue.queue=short")
    try:
        bench.wait(lambda: "RUNNING" in bench.queue().values(), "workers")
        time.sleep(1.0)
        bench.slurm("scancel", next(iter(bench.queue())))
        text = running.communicate(timeout=120)[0]
    finally:
        running.kill()
    assert running.returncode == 0, text
    bench.is_same("dask.h5")
    bench.wait(lambda: not bench.queue(), "the workers' end")


def check_time_limit(bench: Bench) -> None:
    """A job that meets its time limit goes back into the queue and ends in a later run."""
    script = "[ -e first ] && exit 0; touch first; sleep 300"
    command = f"options.store=local.h5 options.output=limit.npz command=[bash,-c,'{script}']"
    words = ["--stage", "export", "--memory", "1", "--hours", "0.01", *command.split(" ", 2)]
    _, (job,) = "", re.findall(r"job\(s\) (\d+)", bench.program("submit", *words))
    bench.wait(lambda: not bench.queue(), "a job that is started again", seconds=400)
    assert "Restarts=1" in bench.slurm("scontrol", "show", "job", job)
    assert bench.state(job) == "COMPLETED"


CHECKS = (check_array, check_resubmission, check_bad_input, check_job, check_dask_jobs)


def run_all(folder: Path, with_requeue: bool = False) -> None:
    """Start Slurm, run every check, print what was done."""
    checks = (*CHECKS, check_time_limit, check_training) if with_requeue else CHECKS
    started = time.monotonic()
    with single_node(folder / "slurm", environment=dict(os.environ)) as environment:
        bench = prepare(folder, environment)
        print(f"{bench.slurm('sinfo', '--version').strip()}; ready in {_since(started)}")
        for check in checks:
            begin = time.monotonic()
            check(bench)
            print(f"passed in {_since(begin)}: {(check.__doc__ or '').splitlines()[0]}", flush=True)
    print(f"all {len(checks)} checks passed in {_since(started)}")


def _since(start: float) -> str:
    return f"{time.monotonic() - start:.1f} s"
