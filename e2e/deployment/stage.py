"""The deploy stage: a classifier as files that other programs run, checked and described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import PipelineError
from common.progress import log
from common.runs import RunFolder
from data.store import EventStore
from e2e.deployment.card import write_card
from e2e.deployment.config import DeployConfig
from e2e.deployment.formats import FILES, WRITERS, Runner, milliseconds
from e2e.deployment.portable import PortableClassifier, made_up_inputs, raw_inputs
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import EventInputs
from e2e.training.checkpoint import Classifier, load_classifier
from e2e.training.prediction import predict_logits


def run(config: DeployConfig) -> Path:
    """Export, check and describe a classifier; returns the run folder.

    Raises
    ------
    InputError
        If checkpoint or store cannot be used.
    PipelineError
        If an exported file disagrees with the classifier.
    """
    checkpoint = config.checkpoint
    checkpoint = checkpoint / "classifier.pt" if checkpoint.is_dir() else checkpoint
    classifier = load_classifier(checkpoint)
    stores = [config.store] if config.store else []
    folder = RunFolder(config.output, "deploy", config, [checkpoint, *stores])
    if folder.is_complete():
        log.info("deploy: already complete: %s", config.output)
        return folder.folder
    inputs = _inputs(classifier, config)
    module = PortableClassifier(classifier.network, config.mirrors).eval()
    rows = np.arange(len(inputs))
    expected = predict_logits(classifier.network, inputs, rows, mirrors=config.mirrors)
    found: dict[str, dict[str, Any]] = {}
    for name in config.formats:
        path = folder.path(FILES[name])
        runner = WRITERS[name](path, module, raw_inputs(inputs, module.names, rows[:3]))
        found[name] = _compare(runner, module, inputs, expected) | {"bytes": path.stat().st_size}
        folder.log.info(
            "deploy: %s: largest difference of a logit %.1e on %d events, %.2f ms/event",
            path.name, found[name]["largest_difference"], len(rows), found[name]["ms_per_event"],
        )  # fmt: skip
    folder.write_metrics({"inputs": list(module.names), "mirrors": config.mirrors, **found})
    _table(folder, found)
    write_card(folder.path("MODEL_CARD.md"), classifier, _metrics(checkpoint), found)
    # Negated, so that a difference that is not a number is no success either.
    wrong = [n for n in found if not found[n]["largest_difference"] <= config.tolerance]
    if wrong:
        raise PipelineError(
            f"{', '.join(wrong)}: differs from the classifier by more than {config.tolerance:g}; "
            f"do not use the files in {config.output}"
        )
    folder.complete()
    return folder.folder


def _inputs(classifier: Classifier, config: DeployConfig) -> EventInputs:
    if config.store is None:
        return made_up_inputs(classifier, config.events, config.seed)
    with EventStore(config.store) as store:
        return read_inputs(store, classifier.inputs, 0, min(config.events, len(store)))


def _compare(
    runner: Runner, module: PortableClassifier, inputs: EventInputs, expected: NDArray[np.float32]
) -> dict[str, Any]:
    """Run all events at once, some, and one alone: the number of events is free."""
    largest = 0.0
    for rows in (np.arange(len(inputs)), np.arange(min(7, len(inputs))), np.array([0])):
        logits, scores = runner(raw_inputs(inputs, module.names, rows))
        odds = np.exp(expected[rows] - expected[rows].max(axis=1, keepdims=True))
        differences = (logits - expected[rows], scores - odds / odds.sum(axis=1, keepdims=True))
        largest = float(np.max([largest, *(np.abs(d).max() for d in differences)]))
    every = raw_inputs(inputs, module.names, np.arange(len(inputs)))
    return {"largest_difference": largest, "ms_per_event": milliseconds(runner, every)}


def _table(folder: RunFolder, found: dict[str, dict[str, Any]]) -> None:
    folder.add_table(
        "Exported classifier",
        ["format", "largest difference of a logit or score", "ms per event", "kB"],
        [
            [name, f"{row['largest_difference']:.1e}", f"{row['ms_per_event']:.2f}",
             f"{row['bytes'] / 1e3:.0f}"]
            for name, row in found.items()
        ],
        "Against the network itself, on the same events.",
    )  # fmt: skip


def _metrics(checkpoint: Path) -> dict[str, Any]:
    """Metrics of the run that made a checkpoint, where they lie beside it."""
    path = checkpoint.parent / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
