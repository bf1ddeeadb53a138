"""Batch jobs: the files that are written, what is submitted, and what is not submitted again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.cli import parse
from common.config import build
from common.errors import ConfigError, PipelineError
from common.files import sha256
from data.config import PreprocessConfig
from data.preprocessing import shards
from data.preprocessing.stage import run as preprocess
from data.submit import stage
from data.submit.config import SubmitConfig
from data.submit.scripts import Place, array_ranges, job_files
from run_pipeline import DESCRIPTION, STAGES
from tests.batch_examples import EXAMPLES, examples
from tests.made_files import make_events, write_rhtree

N_FILES = 3


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, with a space in its name, of small files; it is the working directory."""
    folder = tmp_path / "my study"
    folder.mkdir()
    for i in range(N_FILES):
        write_rhtree(folder / f"in{i}.root", make_events(5, seed=i, run=200000 + i), truth=True)
    (folder / "study.yaml").write_text("preprocess: {input: ['in*.root'], selection: pair}\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(shards, "SHARD_EVENTS", 4)
    for module in ("stage", "plan"):
        monkeypatch.setattr(f"data.preprocessing.{module}.git_revision", lambda: "fixed")
    return folder


def submit(output: str = "a.h5", **keys: Any) -> list[str]:
    given = {"study": "study.yaml", "options": {"output": output}, "submit": False} | keys
    return stage.run(build(SubmitConfig, given))


def fake(folder: Path, program: str, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of the batch system that writes its arguments to a file and runs a script."""
    folder.mkdir(exist_ok=True)
    path = folder / program
    path.write_text(f'#!/bin/bash\necho "$@" >> "$0.calls"\n{script}\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Path(f"{path}.calls")


def test_the_examples_are_what_is_written() -> None:
    """After a change: `python -m tests.batch_examples`."""
    found = {str(p.relative_to(EXAMPLES)): p.read_text() for p in EXAMPLES.rglob("*.*")}
    assert found == examples()


def test_the_examples_are_valid_shell() -> None:
    for path in EXAMPLES.rglob("*.sh"):
        subprocess.run(["bash", "-n", str(path)], check=True)


def test_files_of_an_array(study: Path) -> None:
    assert submit(tasks=4, cpus=2) == []
    folder = study / "a.h5.batch"
    names = {path.name for path in folder.iterdir()}
    assert names == {"convert.sh", "merge.sh", "submit_array.sh", "preprocess.yaml", "logs"}
    content = yaml.safe_load((folder / "preprocess.yaml").read_text())["preprocess"]
    config = build(PreprocessConfig, content)
    assert (config.selection, config.workers, config.engine) == ("pair", 2, "processes")
    script = (folder / "convert.sh").read_text()
    assert "#SBATCH --array=0-3\n" in script
    assert f"cd '{study}'" in script
    assert '--part "$SLURM_ARRAY_TASK_ID/4"' in script
    assert os.access(folder / "convert.sh", os.X_OK)


def test_only_missing_parts_are_submitted(
    study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Part by part to the bytes of a single run; a finished store is left alone."""
    calls = fake(tmp_path / "bin", "sbatch", 'echo "$((41 + $(wc -l < "$0.calls")))"', monkeypatch)
    config = build(PreprocessConfig, {"input": ["in*.root"], "selection": "pair", "output": "a.h5"})
    for part in (0, 2):
        preprocess(config.model_copy(update={"part": f"{part}/4"}))
    assert submit(tasks=4, submit=True) == ["42", "43"]
    assert "--array=1,3\n" in (study / "a.h5.batch" / "convert.sh").read_text()
    assert calls.read_text().splitlines() == [
        "--parsable convert.sh", "--parsable --dependency=afterany:42 merge.sh",
    ]  # fmt: skip
    for part in (1, 3):
        preprocess(config.model_copy(update={"part": f"{part}/4"}))
    assert submit(tasks=4, submit=True) == ["44"]
    assert calls.read_text().splitlines()[-1] == "--parsable merge.sh"
    preprocess(config)
    preprocess(config.model_copy(update={"output": Path("b.h5")}))
    assert sha256("a.h5") == sha256("b.h5")
    assert submit(tasks=4, submit=True) == []
    assert len(calls.read_text().splitlines()) == 3


def test_no_more_tasks_than_shards(study: Path) -> None:
    submit(tasks=100, system="htcondor")
    dag = (study / "a.h5.batch" / "array.dag").read_text()
    assert dag.count("JOB part") == 2 * N_FILES
    assert "FINAL merge merge.sub" in dag


def test_a_job_of_another_stage(
    study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = fake(
        tmp_path / "bin", "condor_submit", "echo '1 job(s) submitted to cluster 7.'", monkeypatch
    )
    options = {"store": "a.h5", "output": "runs/c", "training": {"epochs": 3}}
    keys = {"stage": "classify", "system": "htcondor", "gpus": 2, "options": options}
    assert stage.run(build(SubmitConfig, keys)) == ["7"]
    assert calls.read_text() == "job.sub\n"
    folder = study / "runs" / "c.batch"
    assert "request_gpus = 2" in (folder / "job.sub").read_text()
    content = yaml.safe_load((folder / "classify.yaml").read_text())["classify"]
    assert content["training"]["epochs"] == 3
    assert content["network"]["kind"] == "diphoton"


def test_wrong_keys_are_found_before_submission(study: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean selection"):
        submit(options={"selectoin": "pair"})
    with pytest.raises(ConfigError, match="invalid choice: 'clasify'"):
        submit(stage="clasify")
    with pytest.raises(ConfigError, match="must be one line"):
        submit(setup=["a\nb"])
    with pytest.raises(PipelineError, match="nothing to submit"):
        submit(options={"input": ["study.yaml"], "output": "a.h5"})
    with pytest.raises(ConfigError, match="choose another folder"):
        submit(output="a'b.h5")
    assert not list(study.glob("*.batch"))


def test_no_batch_system_or_a_refusal(
    study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PipelineError, match=r"on a submit node run bash .*submit_array\.sh"):
        submit(submit=True)
    monkeypatch.setenv("PATH", path)
    fake(tmp_path / "bin", "sbatch", "echo 'no such partition' >&2; exit 1", monkeypatch)
    with pytest.raises(PipelineError, match="sbatch refused the job: no such partition"):
        submit(submit=True)


def test_words_reach_the_program_as_they_are(tmp_path: Path) -> None:
    """The script is run by a shell: no word is split, expanded or executed."""
    nasty = "a b; $(touch hacked) 'q' \"d\" \\ * ~ é"
    command = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", nasty]
    config = SubmitConfig(stage="export", command=command, setup=["export SEEN=1"])
    place = Place(tmp_path / "my out.batch", tmp_path)
    script = tmp_path / "job.sh"
    script.write_text(job_files(config, place)["job.sh"])
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        nasty, "export", "--config", str(tmp_path / "my out.batch" / "export.yaml"),
    ]  # fmt: skip
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("code", ["sys.exit(3)", "time.sleep(1); sys.exit(3)"])
def test_the_programs_status_is_the_jobs(code: str, tmp_path: Path) -> None:
    """Near the time limit the script is signalled; it goes on waiting for the program."""
    config = SubmitConfig(
        stage="export", command=[sys.executable, "-c", f"import sys, time; {code}"], restarts=0
    )
    script = tmp_path / "job.sh"
    script.write_text(job_files(config, Place(tmp_path / "a.batch", tmp_path))["job.sh"])
    running = subprocess.Popen(["bash", str(script)])
    if "sleep" in code:
        subprocess.run(["sleep", "0.5"], check=True)
        subprocess.run(["kill", "-USR1", str(running.pid)], check=True)
    assert running.wait(20) == 3


@given(st.sets(st.integers(0, 60), min_size=1))
def test_array_ranges(parts: set[int]) -> None:
    found = set()
    for text in array_ranges(sorted(parts)).split(","):
        first, _, last = text.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    assert found == parts


def test_command_line() -> None:
    words = ["submit", "--stage", "classify", "--gpus", "1", "--no-submit"]
    words += ["options.training.epochs=3", "--setup", "export A=1,2"]
    words += ["command=[apptainer, exec, --nv, x.sif]", "directives=['--constraint=a100']"]
    config = parse(STAGES, words, DESCRIPTION).config
    assert isinstance(config, SubmitConfig)
    assert (config.stage, config.gpus, config.submit) == ("classify", 1, False)
    assert config.options == {"training": {"epochs": 3}}
    assert config.setup == ["export A=1,2"]
    assert config.command == ["apptainer", "exec", "--nv", "x.sif"]
    assert config.directives == ["--constraint=a100"]
