"""Dask workers as jobs of Slurm or HTCondor: started, watched, replaced, cancelled at the end."""

from __future__ import annotations

import getpass
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import ConfigError, PipelineError
from common.progress import log
from data.config import PreprocessConfig
from data.engines.worker import EngineError

if TYPE_CHECKING:
    from dask_jobqueue.core import JobQueueCluster

ROOT = Path(__file__).resolve().parents[2]
SUBMIT_COMMANDS = {"slurm": "sbatch", "htcondor": "condor_submit"}
_CONDOR_STATES = {"1": "idle", "2": "running", "5": "held"}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "slurm": {"cores": 1, "memory": "2GB", "walltime": "04:00:00"},
    "htcondor": {"cores": 1, "memory": "2GB", "disk": "2GB"},
}
# Replacements per worker without a shard made in between, before the run gives up.
_PATIENCE = 3


def batch_folder(output: Path) -> Path:
    """`<output>.batch`: scripts and logs of the batch jobs that make an output."""
    return output.with_name(output.name + ".batch").absolute()


class JobKeeper:
    """Keeps as many jobs in the batch system as there should be workers."""

    def __init__(self, cluster: JobQueueCluster, system: str, jobs: int, logs: Path) -> None:
        self.cluster = cluster
        self._system = system
        self._jobs = jobs
        self._logs = logs
        self._numbers = count()
        self._was_connected = False
        self._progress = 0
        self._replaced = 0

    def start(self) -> None:
        """Submit the missing jobs; go on with fewer if the batch system refuses some.

        Raises
        ------
        RuntimeError
            What the batch system said, if it refuses all.
        """
        refusal = self.cluster.sync(self._submit)
        if refusal is None:
            return
        self._jobs = len(self.cluster.workers)
        if not self._jobs:
            raise refusal
        log.warning("%s; going on with %d jobs", _one_line(refusal), self._jobs)

    async def _submit(self) -> Exception | None:
        cluster, refusal = self.cluster, None
        for name in set(cluster.worker_spec) - set(cluster.workers):  # ended, and noticed by Dask
            del cluster.worker_spec[name]
        while len(cluster.worker_spec) < self._jobs:
            # A name of its own: Dask closes, after a while, what bears a lost worker's name.
            cluster.worker_spec[f"job-{next(self._numbers)}"] = cluster.new_spec
        try:
            # Private, but what `scale` runs in the background, where errors reach a log only.
            await cluster._correct_state()
        except (RuntimeError, ValueError, OSError) as error:
            refusal = error
        for name, job in list(cluster.workers.items()):
            if job.job_id is None:  # refused: Dask cannot close what never ran
                del cluster.workers[name], cluster.worker_spec[name]
                cluster._created.discard(job)
        return refusal

    def look(self, completed: int) -> None:
        """Replace jobs that ended; called every few seconds.

        Raises
        ------
        EngineError
            If jobs end without a worker that works.
        """
        if completed > self._progress:
            self._progress, self._replaced = completed, 0
        listed = _listed(self._system)
        connected = {str(w.name) for w in list(self.cluster.scheduler.workers.values())}
        self._was_connected |= bool(connected) or completed > 0
        if listed is None:
            return
        ended = [
            name
            for name, job in list(self.cluster.workers.items())
            if job.job_id and job.job_id not in listed and not _has_worker(str(name), connected)
        ]
        missing = self._jobs - (len(self.cluster.workers) - len(ended))
        if not missing:
            return
        self._replaced += missing
        if ended and not self._was_connected:
            raise EngineError(f"a batch job ended before its worker started; {self._advice()}")
        if self._replaced > _PATIENCE * self._jobs:
            raise EngineError(f"batch jobs keep ending without making a shard; {self._advice()}")
        log.info("%d batch job(s) ended (time limit?): submitting others", missing)
        for name in ended:
            self.cluster.workers.pop(name, None)
        self.start()

    def waiting(self) -> str:
        """Where the jobs are, for the log."""
        states = _listed(self._system) or {}
        jobs = list(self.cluster.workers.values())
        counts = Counter(states.get(job.job_id, "ended") for job in jobs)
        text = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        return f"jobs in {self._system}: {text}"

    def _advice(self) -> str:
        files = [p for p in self._logs.glob("*") if p.is_file() and p.stat().st_size]
        newest = max(files, key=lambda path: path.stat().st_mtime, default=None)
        if newest is None:
            return f"their logs are in {self._logs}"
        lines = newest.read_text(errors="replace").strip().splitlines()[-3:]
        return f"{newest} ends with:\n" + "\n".join(f"    {line}" for line in lines)


@contextmanager
def open_jobs(config: PreprocessConfig) -> Iterator[JobKeeper]:
    """Start `config.workers` jobs and cancel them at the end.

    Raises
    ------
    PipelineError
        If the batch system is not here or refuses the jobs; ConfigError for unknown options.
    """
    system = config.engine
    program = SUBMIT_COMMANDS[system]
    if shutil.which(program) is None:
        raise PipelineError(
            f"engine {system} needs the program {program}, which is not on this machine: run the "
            "command on a submit node, or choose engine processes or dask"
        )
    logs = batch_folder(config.output) / "workers"
    cluster = _cluster(system, worker_options(config, logs))
    keeper = JobKeeper(cluster, system, config.workers, logs)
    try:
        keeper.start()
    except (RuntimeError, ValueError, OSError) as error:
        cluster.close()
        raise PipelineError(f"{program} refused the jobs: {_one_line(error)}") from error
    log.info("%d job(s) submitted to %s; logs: %s", len(cluster.workers), system, logs)
    try:
        yield keeper
    finally:
        cluster.close()


def worker_options(config: PreprocessConfig, logs: Path) -> dict[str, Any]:
    """The options of dask-jobqueue's cluster: ours, and over them the user's."""
    logs.mkdir(parents=True, exist_ok=True)
    options = _DEFAULTS[config.engine] | config.jobqueue
    if config.engine == "slurm" and "log_directory" not in options:
        # Not by log_directory, which dask-jobqueue writes without quotes.
        output = shlex.quote(f"--output={str(logs).replace('%', '%%')}/%j.log")
        options["job_extra_directives"] = [output, *options.get("job_extra_directives", [])]
    elif config.engine == "htcondor":
        options.setdefault("log_directory", str(logs))
    # One thread per process: Python's lock would make further threads wait.
    options.setdefault("processes", options["cores"])
    if isinstance(options.get("walltime"), int):
        options["walltime"] = clock(options["walltime"])
    inherited = "${PYTHONPATH:+:$PYTHONPATH}" if config.engine == "slurm" else ""
    found = f"export PYTHONPATH={shlex.quote(str(ROOT))}{inherited}"
    options["job_script_prologue"] = [found, *options.get("job_script_prologue", [])]
    options["scheduler_options"] = {"dashboard_address": ":0"} | options.get(
        "scheduler_options", {}
    )
    return options


def clock(seconds: int) -> str:
    """H:MM:SS; YAML reads an unquoted 10:00:00 as the number of seconds."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _cluster(system: str, options: dict[str, Any]) -> JobQueueCluster:
    from dask_jobqueue import HTCondorCluster, SLURMCluster

    kind = {"slurm": SLURMCluster, "htcondor": HTCondorCluster}[system]
    try:
        return kind(**options)
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(
            f"jobqueue: {_one_line(error)} (options are those of dask_jobqueue.{kind.__name__})"
        ) from error


def _listed(system: str) -> dict[str, str] | None:
    """State of each of this user's jobs in the batch system; None if it does not answer."""
    if system == "slurm":
        command = ["squeue", "--noheader", "--format=%A %T %r", "--user", getpass.getuser()]
    else:
        command = ["condor_q", "-autoformat", "ClusterId", "ProcId", "JobStatus", "HoldReason"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.splitlines()
    if system == "slurm":
        rows = [line.split(maxsplit=2) for line in lines]
        return {i: f"{state.lower()} ({reason})" for i, state, reason in rows}
    rows = [line.split(maxsplit=3) for line in lines]
    return {
        f"{cluster}.{process}": f"{_CONDOR_STATES.get(state, state)} ({reason})"
        for cluster, process, state, reason in rows
    }


def _has_worker(name: str, connected: set[str]) -> bool:
    """Whether a job's worker, or one of its several, is connected."""
    return name in connected or any(worker.startswith(f"{name}-") for worker in connected)


def _one_line(error: BaseException) -> str:
    """What a program said on standard error, or the first line of an exception."""
    text, _, said = str(error).partition("stderr:")
    lines = [line.strip() for line in (said or text).splitlines() if line.strip()]
    return " ".join(lines) if said else lines[0].partition(" Very likely")[0]
