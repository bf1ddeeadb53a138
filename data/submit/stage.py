"""The submit stage: write the files of a batch job, submit them, say how to follow them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from common.config import build
from common.errors import ConfigError, PipelineError
from common.files import atomic_path
from common.progress import log
from data.config import PreprocessConfig
from data.engines.jobs import SUBMIT_COMMANDS, batch_folder
from data.preprocessing.manifest import Manifest
from data.preprocessing.plan import Plan, fingerprint, make_jobs, make_plan, part_of
from data.submit.config import SubmitConfig
from data.submit.scripts import ROOT, Place, array_files, job_files

_INSPECTING_THREADS = 8


def run(config: SubmitConfig) -> list[str]:
    """Write the job's files into `<output>.batch` and submit them.

    Submitting again makes only what is missing.

    Returns
    -------
    Identifiers of the submitted jobs.

    Raises
    ------
    PipelineError
        If the stage's configuration is wrong, or the batch system is absent or refuses the job.
    """
    options = stage_options(config)
    output = options.get("output") or options.get("folder")
    if not output:
        raise ConfigError(f"stage {config.stage} has no output of its own: it cannot be submitted")
    place = Place(batch_folder(Path(output)), Path.cwd())
    if config.stage == "preprocess":
        files = _preprocess_files(config, build(PreprocessConfig, options), place)
        if files is None:
            return []
    else:
        files = job_files(config, place)
    _write(files | {f"{config.stage}.yaml": _dump(config.stage, options)}, place)
    script = place.folder / next(name for name in files if name.startswith("submit_"))
    if not config.submit:
        log.info("written to %s; to submit it: bash %s", place.folder, script)
        return []
    jobs = _submit(config, script)
    _tell(config, place, jobs)
    return jobs


def stage_options(config: SubmitConfig) -> dict[str, Any]:
    """The stage's complete configuration, checked by the stage itself.

    Asked of the command line, as this room of the project may not import the later ones.
    """
    words = [sys.executable, str(ROOT / "run_pipeline.py"), config.stage, "--print-config"]
    if config.study is not None:
        words += ["--config", str(config.study)]
    if config.study_section is not None:
        words += ["--section", config.study_section]
    options = dict(_flat(config.options))
    if config.stage == "preprocess":
        options |= {"engine": "processes", "workers": config.cpus, "part": None}
    words += [f"{key}={json.dumps(value)}" for key, value in options.items()]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = re.sub(r"^\d\d:\d\d:\d\d error: ", "", done.stderr.strip())
        raise ConfigError(f"stage {config.stage}: {said}")
    content = yaml.safe_load(done.stdout)
    assert isinstance(content, dict)
    return content


def _preprocess_files(
    config: SubmitConfig, stage: PreprocessConfig, place: Place
) -> dict[str, str] | None:
    """Files of the array for the parts with missing shards; None if the store is up to date."""
    with ThreadPoolExecutor(_INSPECTING_THREADS) as pool:
        plan = make_plan(stage, pool)
    if not plan.tasks:
        raise PipelineError("none of the input files can be used: nothing to submit")
    if not plan.failed and Manifest(stage.output, fingerprint(stage, plan)).is_complete():
        log.info("submit: %s is up to date", stage.output)
        return None
    n_parts = min(config.tasks, len(plan.tasks))
    parts = missing_parts(stage, plan, n_parts)
    log.info(
        "submit: %d shards of %d files in %d parts, of which %d are to be made",
        len(plan.tasks), len(plan.files), n_parts, len(parts),
    )  # fmt: skip
    return array_files(config, place, parts, n_parts)


def missing_parts(config: PreprocessConfig, plan: Plan, n_parts: int) -> list[int]:
    """Parts with a shard that does not exist; damaged ones are found by the merging job."""
    jobs = make_jobs(config, plan)
    return [
        part
        for part in range(n_parts)
        if any(
            not jobs[source].shard_path(start, stop).is_file()
            for source, start, stop in part_of(plan.tasks, f"{part}/{n_parts}")
        )
    ]


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _dump(stage: str, options: dict[str, Any]) -> str:
    return yaml.safe_dump({stage: options}, sort_keys=False, allow_unicode=True)


def _write(files: dict[str, str], place: Place) -> None:
    (place.folder / "logs").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with atomic_path(place.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
            temporary.chmod(0o755 if name.endswith(".sh") else 0o644)


def _submit(config: SubmitConfig, script: Path) -> list[str]:
    program = SUBMIT_COMMANDS[config.system]
    if shutil.which(program) is None:
        raise PipelineError(
            f"{program} is not on this machine; the files are written: on a submit node run "
            f"bash {script}"
        )
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise PipelineError(f"{program} refused the job: {said} (files: {script.parent})")
    if config.system == "slurm":
        return [line.split()[-1] for line in done.stdout.splitlines() if line.strip()]
    return re.findall(r"submitted to cluster (\d+)", done.stdout)


def _tell(config: SubmitConfig, place: Place, jobs: list[str]) -> None:
    watch, cancel = {
        "slurm": (f"squeue --jobs {','.join(jobs)}", f"scancel {' '.join(jobs)}"),
        "htcondor": (f"condor_q {' '.join(jobs)}", f"condor_rm {' '.join(jobs)}"),
    }[config.system]
    log.info("submit: job(s) %s; files and logs in %s", " ".join(jobs), place.folder)
    log.info("  watch:  %s; tail -f %s/logs/*.log", watch, place.folder)
    log.info("  cancel: %s", cancel)
    log.info("  resume: the same command again; it goes on with what is missing")
