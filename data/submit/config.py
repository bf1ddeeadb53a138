"""Configuration of the submit stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from common.config import StageConfig

System = Literal["slurm", "htcondor"]


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError("must be one line")
    return text


# Not a plain list of names: these may hold commas.
Line = Annotated[str, AfterValidator(_one_line)]


class SubmitConfig(StageConfig):
    """A stage as jobs of a batch system: preprocess as an array, any other as one job."""

    stage: str = Field("preprocess", description="stage to run")
    study: Path | None = Field(
        None, description="YAML file of the stage's keys: its section of that name, or all of it"
    )
    study_section: str | None = Field(
        None, description="another section of that file, such as preprocess.signal"
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="the stage's own keys, such as options.output=events.h5, over the file's",
    )
    system: System = Field("slurm", description="batch system: slurm or htcondor")
    tasks: int = Field(10, gt=0, description="preprocess: parts that are made side by side")
    at_once: int | None = Field(None, gt=0, description="tasks that may run at the same time")
    cpus: int = Field(1, gt=0, description="cores per job")
    gpus: int = Field(0, ge=0, description="GPUs of the job")
    memory: float = Field(4.0, gt=0, description="GB per job")
    hours: float = Field(8.0, gt=0, description="time limit of a job in hours")
    queue: Line | None = Field(None, description="Slurm's partition")
    account: Line | None = Field(None, description="Slurm's account, HTCondor's accounting group")
    directives: list[Line] = Field(
        default_factory=list,
        description="further lines for the batch system: `--constraint=a100` (Slurm), "
        '`requirements = (OpSysAndVer == "AlmaLinux9")` (HTCondor)',
    )
    setup: list[Line] = Field(
        default_factory=list,
        description="lines of shell before the program, such as `module load cuda`",
    )
    command: list[Line] = Field(
        default_factory=list,
        description="words that start the program (default: this Python, or with `setup` the one "
        "it finds, and run_pipeline.py)",
    )
    restarts: int = Field(
        5,
        ge=0,
        description="how often a job is started again: by Slurm near its time limit, by HTCondor "
        "when it was killed",
    )
    submit: bool = Field(True, description="submit the jobs; off: write the files and stop")
