"""The `calibrate` stage: make every method on every case, judge them, and look at real events."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from common.files import write_json
from common.runs import RunFolder
from envs.calibration.candidates import read_candidates, write_candidates
from envs.photons.table import FloatArray, PhotonTable
from rl.calibration import plots, real, tables
from rl.calibration.cases import NOMINAL, Case, cases, mix
from rl.calibration.config import CalibrateConfig
from rl.calibration.detectors import (
    Samples,
    kept_folder,
    key_of,
    sample_paths,
)
from rl.calibration.judge import Judged, judge
from rl.calibration.methods import (
    CaseFolder,
    Lessons,
    changes,
    make_maps,
    photon_changes,
    train_missing,
)
from rl.calibration.reference import make_reference, split_nominal
from rl.refinement.networks import one_thread

_SHOWN_CANDIDATES = 20_000
_CURVES = ("agent", "agent_maps", "control", "trap_agent")
_FOR_CASES = {  # keys of the configuration that decide what a case's methods learn
    "window", "reference_share", "environment", "maps_range", "agent", "network",
    "regression", "policies", "folds", "seed",
}  # fmt: skip


def run(config: CalibrateConfig) -> dict[str, Any]:
    """Run the stage; a complete run is not repeated, finished parts are used again.

    Returns
    -------
    dict
        The metrics, as in `metrics.json`.

    Raises
    ------
    InputError
        If a sample is missing.
    """
    names = (NOMINAL, *config.detectors)
    paths = [path for name in names for path in sample_paths(config, name).values()]
    files = [path for path in config.real if path.is_file()]
    folder = RunFolder(config.output, "calibrate", config, [*paths, *files])
    if folder.is_complete():
        folder.log.info("calibrate: complete already: %s", config.output)
        return folder.read_metrics()
    with one_thread():
        study = Study(config, folder)
        metrics: dict[str, Any] = {"cases": {c.name: study.result(c) for c in study.cases}}
        first = study.cases[0]
        metrics["curves"] = study.curves(first)
        metrics["real"] = real.look(study.corrections(first), files, folder)
        _products(folder, study, metrics)
    tables.add_tables(folder, metrics, config.policies)
    folder.write_metrics(metrics)
    folder.complete()
    return metrics


def _products(folder: RunFolder, study: Study, metrics: dict[str, Any]) -> None:
    """Figures, and candidates of the first case for `gym.make(..., sample=candidates.npz)`."""
    first = study.cases[0]
    judged = study.judged(first)
    candidates, settings = read_candidates(study.home(first).candidates)
    shown = candidates.take(np.arange(min(_SHOWN_CANDIDATES, len(candidates))))
    write_candidates(folder.path("candidates.npz"), shown, settings)
    name = first.detector
    for figure, title, caption in (
        (plots.peaks(judged), "peaks", f"H → γγ of {name}, before and after calibration."),
        (plots.correction_maps(judged.higgs, judged.higgs_changes), "maps",
         f"Corrections by tower: true ones of photons in {name}, and those found from Z → ee."),
        (plots.shares(list(metrics["cases"].values())), "shares",
         f"Share of the lost resolution that is recovered: {name} by candidates; all detectors."),
        (plots.learning_curves(metrics["curves"]), "learning_curves",
         f"Width of H → γγ of {name} while the agents learn from Z → ee."),
    ):  # fmt: skip
        folder.save_figure(figure, title, caption)


class Study:
    """The cases of a run, each with its candidates, methods and judgement.

    Parameters
    ----------
    config, folder
        Of the run; everything made on the way is kept under `parts/`.

    Attributes
    ----------
    samples
        Prepared samples, and the nominal regression.
    detectors
        Pairs by detector, the nominal one included.
    cases
        What is studied.
    """

    def __init__(self, config: CalibrateConfig, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        self.samples = Samples(config, folder)
        names = (NOMINAL, *config.detectors)
        self.detectors = {name: self.samples.prepared(name) for name in names}
        nominal = self.detectors[NOMINAL]
        for_reference, self._for_closure = split_nominal(nominal.zee, config.reference_share)
        self._reference = make_reference(
            for_reference, config, folder.path("parts/reference"), nominal.key
        )
        available = {name: len(self.detectors[name].zee) for name in config.detectors}
        self.cases = cases(config, {**available, NOMINAL: len(self._for_closure)})

    def home(self, case: Case) -> CaseFolder:
        """Folder of a case's parts, emptied if they were made from something else."""
        settings = self.config.model_dump(mode="json", include=_FOR_CASES)
        key = key_of(self.detectors[NOMINAL].key, self.detectors[case.detector].key, settings)
        kept = kept_folder(self.folder.path(f"parts/cases/{case.name}"), key)
        return CaseFolder(case, kept, self.detectors[case.detector].path)

    def result(self, case: Case) -> dict[str, Any]:
        """Make what is missing of a case, and judge its methods."""
        home = self.home(case)
        judged = self.detectors[case.detector].judged_key
        path = home.path / f"result_{key_of(asdict(case), judged, self.config.bootstrap)}.json"
        if not path.is_file():
            priors = self._learn(home)
            methods = judge(self.judged(case), self.config.bootstrap)
            write_json(path, {"case": asdict(case), "priors": priors, "methods": methods})
            self.folder.log.info("calibrate: judged %s", case.name)
        return json.loads(path.read_text(encoding="utf-8"))

    def judged(self, case: Case) -> Judged:
        """All methods of a case on the detector's H → γγ and gun pairs."""
        home, oracle = self.home(case), self.home(self._bearer(case))
        pairs = self.detectors[case.detector]
        return Judged(
            higgs=pairs.higgs,
            higgs_changes=changes(home, pairs.higgs, oracle),
            gun=pairs.gun,
            gun_changes=changes(home, pairs.gun, oracle),
        )

    def _bearer(self, case: Case) -> Case:
        """The case of the same detector that has its oracle."""
        return next(c for c in self.cases if c.detector == case.detector)

    def _learn(self, home: CaseFolder) -> dict[str, float]:
        case, config = home.case, self.config
        pairs = self.detectors[case.detector]
        zee = self._for_closure if case.detector == NOMINAL else pairs.zee
        mixed = mix(zee, pairs.background, case, config.window, config.seed)
        candidates = self._reference.candidates(mixed)
        kept = home.path / "priors.json"
        if not kept.is_file():
            write_json(kept, make_maps(home, candidates, mixed.group, config))
            self.folder.log.info("calibrate: %s: scales and maps", case.name)
        lessons = Lessons(pairs.gun_to_learn, self._reference.lesson(mixed), pairs.higgs)
        train_missing(home, lessons, config, self.folder.log)
        return json.loads(kept.read_text(encoding="utf-8"))

    def curves(self, case: Case) -> dict[str, list[dict[str, float]]]:
        """Learning curves of the case's agents."""
        paths = sorted(self.home(case).path.glob("*_curve.json"))
        found = {path.stem.removesuffix("_curve"): json.loads(path.read_text()) for path in paths}
        return {name: points for name, points in found.items() if name[:-2] in _CURVES}

    def corrections(self, case: Case) -> real.Corrections:
        """Nominal regression, and on top of it the calibration that agents found for the case."""
        policies, regression = self.home(case).networks("agent"), self.samples.regression

        def calibrated(photons: PhotonTable) -> FloatArray:
            found = regression(photons).copy()
            found[:, 0] += np.mean([photon_changes(p, photons) for p in policies], axis=0)
            return found

        return {"regression": regression, "calibrated": calibrated}
