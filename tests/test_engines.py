"""Engines: the same bytes from all of them; workers that die; clusters that are not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError, InputError, PipelineError
from common.files import sha256
from data.config import PreprocessConfig
from data.engines import dask_engine, jobs, lost_worker, open_engine
from data.engines.jobs import clock, worker_options
from data.engines.window import WindowedExecutor
from data.engines.worker import EngineError, call, expectation
from data.preprocessing import shards
from data.preprocessing.stage import run
from tests.conftest import ROOT
from tests.engine_calls import die, die_once, refuse, square
from tests.made_files import make_events, write_aod, write_rhtree

N_EVENTS = 12


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_EVENTS", 4)
    for module in ("stage", "plan"):
        monkeypatch.setattr(f"data.preprocessing.{module}.git_revision", lambda: "fixed")
    # A commit between the start of a worker and that of a test is no other program.
    monkeypatch.setattr("data.engines.worker.git_revision", lambda: "unknown")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("inputs")
    events = make_events(N_EVENTS)
    simulated = write_rhtree(folder / "simulated.root", events, truth=True)
    return [simulated, write_aod(folder / "aod.root", make_events(N_EVENTS, seed=1))]


@pytest.fixture(scope="module")
def reference(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Checksum of the store that one process makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_EVENTS", 4)
        for module in ("stage", "plan"):
            patch.setattr(f"data.preprocessing.{module}.git_revision", lambda: "fixed")
        output = tmp_path_factory.mktemp("reference") / "events.h5"
        run(PreprocessConfig(input=inputs, output=output))
    return sha256(output)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A running Dask cluster of two processes."""
    distributed = pytest.importorskip("distributed")
    import dask

    settings = {
        "distributed.deploy.lost-worker-timeout": "1000d",
        "distributed.scheduler.allowed-failures": 1,
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as running,
    ):
        yield running


def connected(cluster: Any, output: Path, **keys: Any) -> PreprocessConfig:
    return PreprocessConfig(
        input=["none"], output=output, engine="dask", scheduler=cluster.scheduler_address
    ).model_copy(update=keys)


def test_dask_is_imported_only_when_used() -> None:
    code = "import sys, data.preprocessing.stage; sys.exit('distributed' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_one_worker_is_this_process(tmp_path: Path) -> None:
    with open_engine(PreprocessConfig(input=["none"], output=tmp_path / "a.h5")) as executor:
        assert executor is None


def test_a_killed_process_is_a_lost_worker(tmp_path: Path) -> None:
    config = PreprocessConfig(input=["none"], output=tmp_path / "a.h5", workers=2)
    with open_engine(config) as executor:
        assert executor is not None
        error = executor.submit(die).exception()
    assert error is not None
    assert "run the same command again" in lost_worker(error)
    assert not lost_worker(ValueError())


WAITING = """
import sys, time
from pathlib import Path
from data.config import PreprocessConfig
from data.engines import open_engine
from tests.engine_calls import square
if __name__ == "__main__":
    config = PreprocessConfig(input=["none"], output=Path(sys.argv[1]), workers=2)
    try:
        with open_engine(config) as executor:
            executor.submit(square, 2).result()
            futures = [executor.submit(time.sleep, 100) for _ in range(100)]
            print("works", flush=True)
            if sys.argv[2] == "dropped":
                try:
                    time.sleep(100)
                except KeyboardInterrupt:  # as in a destructor
                    pass
            futures[0].result()
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("case", ["ctrl-c", "dropped", "killed"])
def test_no_process_outlives_the_program(case: str, tmp_path: Path) -> None:
    """Ctrl-C ends it at once, even where Python drops the exception; so does a kill."""
    script = tmp_path / "waiting.py"
    script.write_text(WAITING)
    running = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "a.h5"), case],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert running.stdout is not None
    assert running.stdout.readline() == "works\n"
    if case == "killed":
        running.kill()
        assert running.wait(10) == -signal.SIGKILL
    else:
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(10) == 130
    deadline = time.monotonic() + 10
    while _session_lives(running.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _session_lives(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_local_dask_cluster_gives_the_same_bytes(
    inputs: list[Path], reference: str, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    output = tmp_path / "dask.h5"
    run(PreprocessConfig(input=inputs, output=output, engine="dask", workers=2))
    assert sha256(output) == reference
    assert {p.name for p in tmp_path.iterdir()} <= {
        "dask.h5", "dask.h5.manifest.json", "dask.h5.plan.json",
    }  # fmt: skip


def test_a_running_scheduler_and_a_worker_killed_half_way(
    cluster: Any, inputs: list[Path], reference: str, tmp_path: Path
) -> None:
    output = tmp_path / "dask.h5"
    config = connected(cluster, output, input=[str(p) for p in inputs])
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(run, config)
        folder = tmp_path / "dask.h5.shards"
        while not list(folder.glob("[!.]*.h5")) and not running.done():
            time.sleep(0.01)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
        assert running.result(60).n_kept == 2 * N_EVENTS
    assert sha256(output) == reference


def test_errors_arrive_as_they_are_and_lost_workers_are_told(cluster: Any, tmp_path: Path) -> None:
    with open_engine(connected(cluster, tmp_path / "a.h5")) as executor:
        assert executor is not None
        futures = [executor.submit(square, x) for x in range(200)]
        assert sum(f.result() for f in as_completed(futures)) == sum(x * x for x in range(200))
        with pytest.raises(InputError, match=r"in\.root: damaged") as caught:
            executor.submit(refuse, "in.root").result(20)
        assert caught.value.remedy == "fetch it again"
        assert executor.submit(die_once, tmp_path / "mark").result(20) == "lived"
        error = executor.submit(die).exception(30)
        assert error is not None
        assert "a worker was lost" in lost_worker(error)
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 1, 0).result(20)


def test_a_worker_of_another_revision_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.engines.worker.git_revision", lambda: "other")
    with open_engine(connected(cluster, tmp_path / "a.h5")) as executor:
        assert executor is not None
        error = executor.submit(square, 2).exception(20)
    assert isinstance(error, EngineError)
    assert "start the workers anew" in str(error)


def test_a_worker_without_the_outputs_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.engines.worker._SECONDS_FOR_THE_FILE_SYSTEM", 0.1)
    with expectation(tmp_path / "a.h5") as expected:
        assert call(expected, square, 3) == 9
    with pytest.raises(EngineError, match="file system that all workers share"):
        call(replace(expected, mark=tmp_path / "unseen"), square, 3)
    assert not list(tmp_path.iterdir())


def test_a_lost_worker_ends_the_run_with_advice(
    cluster: Any, inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.preprocessing.stage.convert", die)
    config = connected(cluster, tmp_path / "a.h5", input=[str(inputs[0])])
    with pytest.raises(PipelineError, match="run the same command again"):
        run(config)


def test_no_scheduler_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(dask_engine, "CONNECT_SECONDS", 1.0)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        config = PreprocessConfig(
            input=["none"], output=tmp_path / "a.h5", engine="dask", scheduler=address
        )
        started = time.monotonic()
        with pytest.raises(PipelineError, match=f"no Dask scheduler answers at {address}"):
            open_engine(config).__enter__()
        assert time.monotonic() - started < 10
    assert not list(tmp_path.iterdir())


def test_a_scheduler_that_goes_away(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    running = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    )
    with (
        pytest.MonkeyPatch.context() as patch,
        open_engine(connected(running, tmp_path / "a.h5")) as executor,
    ):
        assert executor is not None
        patch.setattr(dask_engine, "_LOOK_SECONDS", 0.2)
        future = executor.submit(time.sleep, 2)
        time.sleep(0.3)
        running.close()
        error = future.exception(60)
    assert error is not None
    assert "scheduler was lost" in lost_worker(error)


def test_without_dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = PreprocessConfig(input=["none"], output=tmp_path / "a.h5", engine="dask")
    with pytest.raises(PipelineError, match=r"pip install 'cms-e2e-rl\[dask\]'"):
        open_engine(config).__enter__()


@settings(max_examples=30, deadline=None)
@given(limit=st.integers(1, 5), n_calls=st.integers(0, 30), n_threads=st.integers(1, 4))
def test_the_window_holds(limit: int, n_calls: int, n_threads: int) -> None:
    lock, running, most = threading.Lock(), [0], [0]

    def work(x: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.0005)
        with lock:
            running[0] -= 1
        if x % 7 == 6:
            raise ValueError(x)
        return x

    window = WindowedExecutor(ThreadPoolExecutor(n_threads), limit, Future.result)
    futures = [window.submit(work, x) for x in range(n_calls)]
    for x, future in enumerate(futures):
        error = future.exception(10)
        assert isinstance(error, ValueError) if x % 7 == 6 else future.result() == x
    window.shutdown()
    assert most[0] <= min(limit, n_threads)
    assert (window.completed, window.outstanding) == (n_calls, 0)


def test_the_window_drops_what_waits() -> None:
    gate = threading.Event()
    window = WindowedExecutor(ThreadPoolExecutor(1), 1, Future.result)
    first, second, third = (window.submit(gate.wait, 10) for _ in range(3))
    assert second.cancel()
    window.fail(EngineError("lost"))
    assert isinstance(first.exception(5), EngineError)
    assert isinstance(third.exception(5), EngineError)
    assert isinstance(window.submit(square, 2).exception(5), EngineError)
    gate.set()
    window.shutdown(cancel_futures=True)
    with pytest.raises(RuntimeError):
        window.submit(square, 2)


def test_options_of_batch_workers(tmp_path: Path) -> None:
    given = {"queue": "short", "walltime": 36000, "cores": 4, "job_extra_directives": ["--x"]}
    config = PreprocessConfig(input=["none"], engine="slurm", jobqueue=given)
    options = worker_options(config, tmp_path / "a%b c")
    assert options["walltime"] == "10:00:00"
    assert (options["queue"], options["memory"], options["processes"]) == ("short", "2GB", 4)
    assert options["job_extra_directives"][1:] == ["--x"]
    assert "a%%b c/%j.log'" in options["job_extra_directives"][0]
    assert str(ROOT) in options["job_script_prologue"][0]
    assert clock(3661) == "01:01:01"
    condor = worker_options(config.model_copy(update={"engine": "htcondor"}), tmp_path)
    assert "$" not in condor["job_script_prologue"][0]


START = 'setsid bash "$0.$$" > /dev/null 2>&1 & echo $! >> "${0%/*}/ids"'
ALIVE = 'for i in $(cat "${0%/*}/ids"); do kill -0 "$i" 2>/dev/null && echo'
FAKE_PROGRAMS = {
    "sbatch": 'grep -q "SBATCH -p gone" "$1" && { echo "no such partition" >&2; exit 1; }\n'
    f'cp "$1" "$0.$$"; {START}; echo "Submitted batch job $!"',
    "squeue": f'{ALIVE} "$i RUNNING None"; done; exit 0',
    "scancel": 'kill -TERM -- "-$1" 2>/dev/null; exit 0',
    # The command is what stands between the single quotes of `Arguments`.
    "condor_submit": """sed -n "s/^Arguments = .-c '\\(.*\\)'.$/\\1/p" "$1" > "$0.$$"\n"""
    f'{START}; echo "1 job(s) submitted to cluster $!."',
    "condor_q": f'{ALIVE} "$i 0 2 undefined"; done; exit 0',
    "condor_rm": 'kill -TERM -- "-${1%.0}" 2>/dev/null; exit 0',
}


@pytest.fixture
def batch_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for Slurm and HTCondor: jobs are processes; `ids` lists them."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, script in FAKE_PROGRAMS.items():
        path = folder / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(dask_engine, "_LOOK_SECONDS", 0.3)
    return folder / "ids"


def as_jobs(engine: str, output: Path, **jobqueue: Any) -> PreprocessConfig:
    config = {"engine": engine, "workers": 1, "jobqueue": jobqueue}
    return PreprocessConfig(input=["none"], output=output, **config)  # type: ignore[arg-type]


def test_batch_jobs_work_and_lost_ones_are_replaced(batch_system: Path, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    with open_engine(as_jobs("slurm", tmp_path / "a b.h5")) as executor:
        assert executor is not None
        assert executor.submit(square, 7).result(60) == 49
        os.killpg(int(batch_system.read_text()), signal.SIGKILL)
        assert executor.submit(square, 8).result(60) == 64
    assert len(batch_system.read_text().split()) == 2
    _wait_for_the_end_of_all_jobs("slurm")


def test_jobs_of_htcondor(batch_system: Path, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    with open_engine(as_jobs("htcondor", tmp_path / "a b.h5")) as executor:
        assert executor is not None
        assert executor.submit(square, 7).result(60) == 49
    _wait_for_the_end_of_all_jobs("htcondor")


def _wait_for_the_end_of_all_jobs(system: str) -> None:
    deadline = time.monotonic() + 10
    while jobs._listed(system) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert jobs._listed(system) == {}


def test_batch_jobs_that_cannot_start(batch_system: Path, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(PipelineError, match="sbatch refused the jobs: no such partition"):
        open_engine(as_jobs("slurm", tmp_path / "a.h5", queue="gone")).__enter__()
    with pytest.raises(ConfigError, match="jobqueue: Got unexpected keyword argument 'que'"):
        open_engine(as_jobs("slurm", tmp_path / "a.h5", que="x")).__enter__()
    with open_engine(as_jobs("slurm", tmp_path / "a.h5", python="/no/python")) as executor:
        assert executor is not None
        error = executor.submit(square, 7).exception(60)
    assert error is not None
    assert "ended before its worker started" in lost_worker(error)


def test_no_batch_system_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    for engine, program in (("slurm", "sbatch"), ("htcondor", "condor_submit")):
        config = PreprocessConfig(input=["none"], output=tmp_path / "a.h5", engine=engine)
        with pytest.raises(PipelineError, match=f"needs the program {program}"):
            open_engine(config).__enter__()
