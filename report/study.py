"""Run a whole study: every stage in turn, each skipped when already complete, then the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import data.preprocessing.stage
import data.simulation.stage
import report.build
from common.files import write_json
from common.progress import log
from report.config import ReportConfig, StudyConfig

# Sections of a study after its stores are made, in the order in which they are run.
_STAGES = {
    "classify": "e2e.classify",
    "compare": "e2e.comparison.stage",
    "decorrelate": "e2e.decorrelation.stage",
    "share": "e2e.low_level.shares.stage",
    "attribution": "e2e.low_level.attribution.stage",
    "ladder": "e2e.low_level.ladder.stage",
    "jets": "e2e.jets.stage",
    "rl": "rl.refinement.refine",
    "ablation": "rl.ablation.stage",
    "resonance": "rl.resonance.stage",
    "calibrate": "rl.calibration.stage",
    "uncertainty": "rl.uncertainty.stage",
    "categorise": "rl.categories.stage",
    "profile": "rl.profile.stage",
}


def run(config: StudyConfig) -> None:
    """Run all stages of a study and write `metrics.json` and `report.html` into its folder."""
    started = time.monotonic()
    steps: list[tuple[str, Callable[[Any], Any], Any]] = []
    if config.simulate is not None:
        steps.append(("simulate", data.simulation.stage.run, config.simulate))
    for name, settings in config.preprocess.items():
        steps.append((f"preprocess {name}", data.preprocessing.stage.run, settings))
    for name, module in _STAGES.items():
        settings = getattr(config, name)
        if settings is not None:
            steps.append((name, import_module(module).run, settings))
    seconds: dict[str, float] = {}
    for name, stage, settings in steps:
        log.info("== %s", name)
        begin = time.monotonic()
        stage(settings)
        seconds[name] = round(time.monotonic() - begin, 1)
    seconds["total"] = round(time.monotonic() - started, 1)
    metrics = {"seconds": seconds, **report.build.collect_metrics(config.folder)}
    write_json(config.folder / "metrics.json", metrics)
    report.build.run(ReportConfig(folder=config.folder, title=config.title))
    log.info("study done in %.0f s: open %s", seconds["total"], config.folder / "report.html")
