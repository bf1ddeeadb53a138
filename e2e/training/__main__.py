"""Train from a file, with torch, numpy and h5py alone: `python -m e2e.training SET --output DIR`.

Exit status: 0 trained; 1 an error; 2 wrong usage; 75 stopped by SIGTERM or SIGUSR1 with a
checkpoint written: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.errors import ConfigError, PipelineError
from common.progress import log, setup_logging
from common.settings import changed
from e2e.training.devices import choose_device, set_threads
from e2e.training.finder import find_learning_rate
from e2e.training.interrupts import Interrupts, Stopped
from e2e.training.processes import processes
from e2e.training.task import TrainingTask
from e2e.training.trainer import Trainer
from e2e.training.training_set import TrainingSet, read_training_set

EPILOG = """\
examples:
  python -m e2e.training training_set.h5 --output models --device cuda --precision bfloat16
  torchrun --nproc-per-node 4 -m e2e.training training_set.h5 --output models
  python -m e2e.training training_set.h5 --output finder --find-learning-rate

A training that was stopped or killed goes on where it was when the same command is given again
(exit status 75: stopped by a signal, checkpoint written). Copied to RUN/models/, finished
trainings are taken by `run_pipeline.py classify`, unless settings were changed here.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Train what a training set holds; returns the exit status."""
    words = _parser().parse_intermixed_args(argv)
    setup_logging(words.verbose)
    try:
        _run(words)
    except PipelineError as error:
        log.error("error: %s", error)
        return 1
    except KeyboardInterrupt:
        log.error("interrupted; the same command continues where it stopped")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m e2e.training",
        description="Train the networks of a training set made by `run_pipeline.py classify "
        "--prepare`.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("training_set", type=Path, help="file to train from")
    parser.add_argument("--output", type=Path, required=True, help="folder of the trainings' files")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="a training; may be repeated"
    )
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1 (default: the set's own)")
    parser.add_argument(
        "--precision",
        choices=["float32", "bfloat16"],
        help="where the set leaves it to the machine (precision auto)",
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: share all cores")
    parser.add_argument(
        "--find-learning-rate", action="store_true", help="range test instead of training"
    )
    parser.add_argument("--verbose", action="store_true", help="log every epoch")
    parser.add_argument(
        "changes", nargs="*", metavar="KEY=VALUE", help="settings of the training, as epochs=20"
    )
    return parser


def _run(words: argparse.Namespace) -> None:
    found = read_training_set(words.training_set)
    chosen = [_changed(task, words) for task in _chosen(found, words)]
    words.output.mkdir(parents=True, exist_ok=True)
    device = choose_device(words.device or chosen[0].training.device)
    with processes(device) as (group, own), Interrupts() as interrupts:
        set_threads(words.threads, group.local)
        options: dict[str, Any] = {
            "inputs": found.inputs,
            "processes": group,
            "device": own,
            "precision": words.precision,
        }
        for task in chosen:
            if words.find_learning_rate:
                rate = find_learning_rate(task, words.output, **options)
                log.info("%s: suggested learning_rate=%.2g", task.name, rate)
                continue
            trainer = Trainer(task, folder=words.output, **options)
            trainer.run()
            log.info("%s: trained: %s", task.name, json.dumps(trainer.history[-1]))
            if group.any(interrupts.requested):
                raise Stopped(task.name)


def _chosen(found: TrainingSet, words: argparse.Namespace) -> list[TrainingTask]:
    names = [task.name for task in found.tasks]
    unknown = sorted(set(words.only or ()) - set(names))
    if unknown:
        raise ConfigError(f"--only {' '.join(unknown)}: this set holds {', '.join(names)}")
    return [task for task in found.tasks if not words.only or task.name in words.only]


def _changed(task: TrainingTask, words: argparse.Namespace) -> TrainingTask:
    """The task with settings from the command line."""
    changes = {}
    for word in words.changes:
        key, separator, value = word.partition("=")
        if not separator:
            raise ConfigError(f"{word!r}: expected KEY=VALUE, such as epochs=20")
        changes[key.removeprefix("training.")] = _value(value)
    task = replace(task, training=changed(task.training, changes))
    own = task.training.precision
    if words.precision and own not in ("auto", words.precision):
        raise ConfigError(
            f"--precision {words.precision}: {task.name} is to be trained in {own}; to train "
            f"another model give precision={words.precision}"
        )
    return task


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


if __name__ == "__main__":
    sys.exit(main())
