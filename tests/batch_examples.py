"""`python -m tests.batch_examples`: write anew what `submit` writes, as examples in `batch/`."""

from __future__ import annotations

from pathlib import Path

from data.submit.config import SubmitConfig
from data.submit.scripts import TEMPLATES, Place, array_files, job_files

EXAMPLES = TEMPLATES / "examples"
PROGRAM = ["/shared/venv/bin/python", "/shared/cms-e2e-rl/run_pipeline.py"]
DIRECTIVES = {
    "slurm": ["--constraint=a100"],
    "htcondor": ["require_gpus = Capability >= 8.0"],
}


def examples() -> dict[str, str]:
    """Text of every example by its path in `batch/examples/`."""
    files: dict[str, str] = {}
    for system, lines in DIRECTIVES.items():
        array = SubmitConfig(system=system, command=PROGRAM, at_once=20, account="cms")  # type: ignore[arg-type]
        place = Place(Path("/shared/study/events.h5.batch"), Path("/shared/study"))
        job = array.model_copy(
            update={
                "stage": "classify", "gpus": 1, "cpus": 8, "memory": 32.0, "hours": 12.0,
                "queue": "gpu" if system == "slurm" else None, "directives": lines,
                "setup": ["module load cuda"],
            }
        )  # fmt: skip
        there = Place(Path("/shared/study/runs/classify.batch"), Path("/shared/study"))
        for name, text in array_files(array, place, [0, 1, 2, 7], 8).items():
            files[f"{system}/preprocess/{name}"] = text
        for name, text in job_files(job, there).items():
            files[f"{system}/classify/{name}"] = text
    return files


def main() -> None:
    """Write the examples."""
    for name, text in examples().items():
        path = EXAMPLES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
