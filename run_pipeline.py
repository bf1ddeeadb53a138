#!/usr/bin/env python3
"""Command line of the project: one word per stage; see `python run_pipeline.py --help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from common.cli import Stage, parse
from common.config import dump
from common.errors import PipelineError
from common.progress import log, setup_logging

ROOT = Path(__file__).resolve().parent
DESCRIPTION = """\
From a CMS Open Data file to detector images, a diphoton classifier and a refined photon
reconstruction. Stages, in the order in which data flows:"""

STAGES = (
    Stage(
        "simulate",
        "particle lists to simulated fevt/RHTree files",
        "data.simulation.config:SimulateConfig",
        "data.simulation.stage:run",
        "simulate --output runs/simulate",
    ),
    Stage(
        "catalog",
        "the CERN Open Data records this project knows, and the files of a record",
        "data.catalog:CatalogConfig",
        "data.catalog:run",
        "catalog --record 7783 --files 0:4 --output higgs.json",
    ),
    Stage(
        "preprocess",
        "CMS or simulated files, here or on a server, to one event store",
        "data.config:PreprocessConfig",
        "data.preprocessing.stage:run",
        "preprocess --input DoublePhoton.root --output events.h5 --selection diphoton2012",
    ),
    Stage(
        "submit",
        "a stage as jobs of Slurm or HTCondor: preprocess as an array, any other as one job",
        "data.submit.config:SubmitConfig",
        "data.submit.stage:run",
        "submit --system slurm --tasks 40 --study study.yaml options.output=events.h5",
    ),
    Stage(
        "export",
        "an event store to dense images under the ntuple's names",
        "data.config:ExportConfig",
        "data.export.stage:run",
        "export --store events.h5 --images EB_energy,HBHE_energy --output images.npz",
    ),
    Stage(
        "classify",
        "train the diphoton classifier and its baselines; write scores and low-level outputs",
        "e2e.config:ClassifyConfig",
        "e2e.classify:run",
        "classify --store events.h5 --output runs/classify training.epochs=12",
    ),
    Stage(
        "compare",
        "train every network and baseline on the same folds: one table, and learning curves",
        "e2e.comparison.config:CompareConfig",
        "e2e.comparison.stage:run",
        "compare --store events.h5 --output runs/compare workers=2",
    ),
    Stage(
        "decorrelate",
        "ways to keep the score from following m_gg, what each does to the background and costs",
        "e2e.decorrelation.config:DecorrelateConfig",
        "e2e.decorrelation.stage:run",
        "decorrelate --store events.h5 --output runs/decorrelate",
    ),
    Stage(
        "low_level",
        "a classifier's low-level outputs for any event store: embeddings, maps, crystals' shares",
        "e2e.low_level.config:LowLevelConfig",
        "e2e.low_level.export:run",
        "low_level --classifier runs/demo/classify --store events.h5 --output low_level.h5",
    ),
    Stage(
        "share",
        "judge a classifier's head of crystals' shares: photon against pile-up and jets",
        "e2e.low_level.config:ShareConfig",
        "e2e.low_level.shares.stage:run",
        "share --classifier runs/demo/classify --store events.h5",
    ),
    Stage(
        "attribution",
        "which crystals decide: attributions with pictures for every class, and tests of them",
        "e2e.low_level.config:AttributionConfig",
        "e2e.low_level.attribution.stage:run",
        "attribution --classifier runs/demo/classify --store events.h5",
    ),
    Stage(
        "ladder",
        "what each kind of low-level output adds for a photon's energy and position",
        "e2e.low_level.config:LadderConfig",
        "e2e.low_level.ladder.stage:run",
        "ladder --classifier runs/demo/classify --store events.h5",
    ),
    Stage(
        "jets",
        "train quark-gluon classifiers on images of jets, and a boosted tree on their shapes",
        "e2e.jets.config:JetsConfig",
        "e2e.jets.stage:run",
        "jets --store jets.h5 --output runs/jets",
    ),
    Stage(
        "deploy",
        "a trained classifier to TorchScript and ONNX, checked, with its model card",
        "e2e.deployment.config:DeployConfig",
        "e2e.deployment.stage:run",
        "deploy --checkpoint runs/demo/classify --output runs/deploy",
    ),
    Stage(
        "rl",
        "train the agent that refines the photons, its peers and its control",
        "rl.refinement.config:RefineConfig",
        "rl.refinement.refine:run",
        "rl --config configs/demo.yaml",
    ),
    Stage(
        "resonance",
        "simulate Z to two electrons and H to two photons in distorted detectors, as pairs",
        "rl.resonance.config:ResonanceConfig",
        "rl.resonance.stage:run",
        "resonance --config configs/resonance.yaml workers=2",
    ),
    Stage(
        "calibrate",
        "calibrate a distorted detector on its Z to two electrons alone: agents, maps, controls",
        "rl.calibration.config:CalibrateConfig",
        "rl.calibration.stage:run",
        "calibrate --samples runs/calibration/samples --output runs/calibrate",
    ),
    Stage(
        "uncertainty",
        "the critic as per-photon resolution beside supervised heads; several results per event",
        "rl.uncertainty.config:UncertaintyConfig",
        "rl.uncertainty.stage:run",
        "uncertainty --agent runs/demo/rl --classifier runs/demo/classify --store events.h5 "
        "--train-store gun.h5",
    ),
    Stage(
        "categorise",
        "event categories by an agent paid by expected significance, against searches and trees",
        "rl.categories.config:CategoriseConfig",
        "rl.categories.stage:run",
        "categorise --store events.h5 --resolutions runs/uncertainty",
    ),
    Stage(
        "ablation",
        "what each choice of the agent's environment and learner is worth, beside its own peer",
        "rl.ablation.config:AblationConfig",
        "rl.ablation.stage:run",
        "ablation --config configs/agent.yaml",
    ),
    Stage(
        "apply",
        "run a trained chain on files: scores, refined photons, event pictures",
        "rl.refinement.config:ApplyConfig",
        "rl.refinement.apply:run",
        "apply --input DoublePhoton.ig --classifier runs/demo/classify --agent runs/demo/rl",
    ),
    Stage(
        "profile",
        "photons' profiles at a fifth of a crystal: an agent that refines peaks, a map, controls",
        "rl.profile.config:ProfileConfig",
        "rl.profile.stage:run",
        "profile --output runs/profile",
    ),
    Stage(
        "deploy_agent",
        "a trained agent with its regression to TorchScript and ONNX, checked against itself",
        "rl.refinement.config:DeployAgentConfig",
        "rl.refinement.deployment:run",
        "deploy_agent --agent runs/demo/rl --store runs/demo/events.h5 "
        "--classifier runs/demo/classify",
    ),
    Stage(
        "report",
        "one self-contained HTML page from a study's run folders",
        "report.config:ReportConfig",
        "report.build:run",
        "report --folder runs/demo",
    ),
    Stage(
        "study",
        "any chain of stages from one file, such as the classifier's larger study",
        "report.config:StudyConfig",
        "report.study:run",
        "study --config configs/classifier.yaml",
    ),
    Stage(
        "demo",
        "the whole chain on simulated events: simulate, preprocess, classify, rl, report",
        "report.config:StudyConfig",
        "report.study:run",
        "demo --folder runs/demo",
        default_yaml=ROOT / "configs" / "demo.yaml",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; returns the exit status: 0 success, 1 failure, 2 wrong usage."""
    setup_logging()
    try:
        invocation = parse(STAGES, sys.argv[1:] if argv is None else argv, DESCRIPTION)
        if invocation.print_config:
            print(dump(invocation.config), end="")
            return 0
        setup_logging(invocation.verbose)
        invocation.stage.load_run()(invocation.config)
    except PipelineError as error:
        log.error("error: %s", error)
        return 1
    except KeyboardInterrupt:
        log.error("interrupted; the same command continues where it stopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
