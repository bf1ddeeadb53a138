"""The files of a batch job, from the templates in `batch/`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from common.errors import ConfigError
from data.submit.config import SubmitConfig

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "batch"


@dataclass(frozen=True)
class Place:
    """Where jobs run and what they leave.

    Attributes
    ----------
    folder
        `<output>.batch`, for scripts and logs.
    directory
        The working directory, to which the configuration's relative paths belong.
    """

    folder: Path
    directory: Path

    def __post_init__(self) -> None:
        for path in (self.folder, self.directory):
            if any(character in str(path) for character in "\n\r\"'\\$"):
                raise ConfigError(
                    f"{path}: quotes, dollars and backslashes in a path cannot be told to a batch "
                    "system; choose another folder"
                )


def array_files(config: SubmitConfig, place: Place, parts: Sequence[int], n: int) -> dict[str, str]:
    """Files of a preprocessing array: parts to make, out of n, then the merging job."""
    return _render(config, place, ("convert", "merge"), parts=list(parts), n_parts=n)


def job_files(config: SubmitConfig, place: Place) -> dict[str, str]:
    """Files of a single job that runs one stage."""
    return _render(config, place, ("job",), parts=[], n_parts=0)


def command_of(config: SubmitConfig) -> list[str]:
    """The words that start the program in a job."""
    if config.command:
        return list(config.command)
    return [sys.executable, str(ROOT / "run_pipeline.py")]


def array_ranges(parts: Sequence[int]) -> str:
    """Numbers as Slurm lists them: 0,2-4."""
    ranges: list[list[int]] = []
    for part in sorted(parts):
        if ranges and part == ranges[-1][1] + 1:
            ranges[-1][1] = part
        else:
            ranges.append([part, part])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _render(
    config: SubmitConfig, place: Place, roles: tuple[str, ...], **values: Any
) -> dict[str, str]:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES / config.system),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    configuration = place.folder / f"{config.stage}.yaml"
    minutes = max(1, round(config.hours * 60))
    words = [*command_of(config), config.stage, "--config", str(configuration)]
    values |= {
        "config": config,
        "place": place,
        "command": shlex.join(words),
        "array": array_ranges(values["parts"]),
        "megabytes": round(config.memory * 1024),
        "minutes": minutes,
        # Shards are made in as many processes as there are cores.
        "threads": 1 if config.stage == "preprocess" else config.cpus,
        "warning": min(300, minutes * 15),
        "name": place.folder.name.removesuffix(".batch").replace(" ", "_"),
    }
    names = {
        "slurm": [f"{role}.sh" for role in roles],
        "htcondor": [f"{role}.sub" for role in roles] + ["run.sh"],
    }[config.system]
    names += ["array.dag"] if config.system == "htcondor" and "convert" in roles else []
    names.append("submit_array.sh" if "convert" in roles else "submit_job.sh")
    return {name: environment.get_template(f"{name}.j2").render(values) for name in names}
