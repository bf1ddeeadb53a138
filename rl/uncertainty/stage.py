"""The `uncertainty` stage: how well the critic knows a photon's error, and what that is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.runs import RunFolder
from data.store import EventStore
from envs.photons.low_level import low_level_outputs
from envs.photons.table import PhotonTable
from rl.evaluation.metrics import HIGGS
from rl.refinement.networks import one_thread
from rl.refinement.refiner import Refiner, agent_files
from rl.refinement.samples import StorePhotons, read_photons
from rl.uncertainty import figures, masses, models
from rl.uncertainty.config import UncertaintyConfig
from rl.uncertainty.evaluation import Calibration, HypothesisStudy, judge
from rl.uncertainty.events import RefinedEvents, write_hypotheses
from rl.uncertainty.models import Models
from rl.uncertainty.parts import parts_of
from rl.uncertainty.photons import (
    RefinedPhotons,
    energy_error,
    refine,
    refined_gun,
    with_result,
)
from rl.uncertainty.products import RESOLUTIONS, event_columns, write_product
from rl.uncertainty.tables import add_tables

_SCHEMES = ("critic", "critic_refitted", "head", "laplace", "control", "permuted")
_SHOWN = 4  # photons in the picture of hypotheses


def run(config: UncertaintyConfig) -> dict[str, Any]:
    """Run the stage; a complete run is not repeated, an interrupted one keeps its agents.

    Returns
    -------
    dict
        The metrics, as in `metrics.json`.

    Raises
    ------
    InputError
        If agent, classifier and stores do not belong together.
    """
    folder = RunFolder(config.output, "uncertainty", config, _inputs(config))
    if folder.is_complete():
        folder.log.info("uncertainty: complete already: %s", config.output)
        return folder.read_metrics()
    refiner = Refiner.load(config.agent)
    config = _with_blocks(config, refiner)
    gun, events, sha256 = _photons(config, folder, refiner)
    with one_thread():
        found = refined_gun(refiner, gun.table, config.agent, config.regression)
        folder.log.info("uncertainty: %d photons to train on", len(found.train))
        trained = models.train(found.train, config, parts_of(folder))
        table = with_result(events.table, refine(refiner, events.table))
        metrics = _run(config, folder, found, trained, (table, events, sha256))
    folder.write_metrics(metrics)
    add_tables(folder, metrics)
    folder.complete()
    return metrics


def _run(
    config: UncertaintyConfig,
    folder: RunFolder,
    gun: RefinedPhotons,
    trained: Models,
    store: tuple[PhotonTable, StorePhotons, str],
) -> dict[str, Any]:
    table, photons, sha256 = store
    calibrated = Calibration.fit(trained, gun.calibration)
    events = RefinedEvents.of(table, photons.vertex_z, trained, calibrated, config)
    known = np.isfinite(energy_error(table)) & (table.label == HIGGS)
    higgs = table.take(np.flatnonzero(known))
    study = HypothesisStudy(trained, gun.calibration)
    schemes: dict[str, masses.Scheme] = {
        "inclusive": masses.inclusive,
        "r9_eta": masses.r9_and_eta,
        **{name: masses.by_resolution(name, config.categories) for name in _SCHEMES},
    }
    pairs = events.mass_events(config)
    replicas = config.bootstrap
    metrics = {
        "gun": judge(trained, calibrated, gun.test, replicas),
        "higgs": judge(trained, calibrated, higgs, replicas),
        "sets": study.judge(gun.test, config.seed, replicas),
        "gains": masses.gains(pairs, schemes, replicas),
        "sculpting": {
            name: masses.sculpting(pairs, schemes[name], replicas)
            for name in ("r9_eta", "critic_refitted", "laplace")
        },
        "photons": {
            name: {
                "number": len(part),
                "mean_error": float(np.minimum(np.abs(energy_error(part)), trained.cap).mean()),
            }
            for name, part in (("train", gun.train), ("calibration", gun.calibration),
                               ("test", gun.test), ("higgs", higgs))
        },
        "events": len(pairs.mass),
    }  # fmt: skip
    _products(config, folder, events, study, {"simulation": photons.simulation,
                                              "classifier_sha256": sha256})  # fmt: skip
    _figures(folder, metrics, trained, study, gun)
    return metrics


def _inputs(config: UncertaintyConfig) -> list[Path]:
    classifier = config.classifier
    checkpoint = classifier / "classifier.pt" if classifier.is_dir() else classifier
    paths = [config.train_store, config.store, checkpoint, *agent_files(config.agent)]
    return paths + ([config.classifier_store] if config.classifier_store else [])


def _with_blocks(config: UncertaintyConfig, refiner: Refiner) -> UncertaintyConfig:
    """The critic sees what the agent saw; its `regression` is the agent's result."""
    blocks = [*refiner.environment.blocks]
    if "regression" not in blocks:
        blocks.append("regression")
    environment = config.environment.model_copy(update={"blocks": blocks})
    return config.model_copy(update={"environment": environment})


def _photons(
    config: UncertaintyConfig, folder: RunFolder, refiner: Refiner
) -> tuple[StorePhotons, StorePhotons, str]:
    outputs = [
        low_level_outputs(path, config.classifier, folder.path(f"low_level_{name}.h5"))
        for name, path in (("train", config.train_store), ("events", config.store))
    ]
    if refiner.needs_classifier:
        refiner.check_classifier(outputs[0].classifier_sha256, config.classifier)
    gun, events = (
        read_photons(path, found)
        for path, found in zip((config.train_store, config.store), outputs, strict=True)
    )
    return gun, events, outputs[0].classifier_sha256


def _products(
    config: UncertaintyConfig,
    folder: RunFolder,
    events: RefinedEvents,
    study: HypothesisStudy,
    attributes: dict[str, str | int | float | bool],
) -> None:
    table, pairs = events.table, events.pairs
    with EventStore(config.store) as store:
        identity = {name: store.event(name) for name in ("run", "lumi", "event", "label")}
    n_events = len(identity["run"])
    place = np.stack([pairs.first, pairs.second], axis=1)
    outputs = low_level_outputs(config.store, config.classifier, folder.path("low_level_events.h5"))
    values: dict[str, NDArray[Any]] = {
        "m_gg": events.masses,
        "photons/r9": table.r9[place],
        "photons/eta": events.eta()[place],
        **{f"sigma_energy/{name}": sigma[place] for name, sigma in events.sigma.items()},
        **{f"sigma_m/{name}": events.mass_resolution(name) for name in events.sigma},
    }
    columns = {
        **{f"event/{name}": value for name, value in identity.items()},
        "event/unseen": events.unseen.astype(np.int8),
        "scores": outputs.scores.astype(np.float32),
        **event_columns(pairs.row, n_events, values),
    }
    attributes = {**attributes, "store": str(config.store)}
    write_product(folder.path("resolutions.h5"), RESOLUTIONS, columns, attributes)
    write_hypotheses(folder.path("hypotheses.h5"), events, study, config, attributes)


def _figures(
    folder: RunFolder,
    metrics: dict[str, Any],
    trained: Models,
    study: HypothesisStudy,
    gun: RefinedPhotons,
) -> None:
    folder.save_figure(
        figures.calibration(metrics), "calibration",
        "Predicted and actual error by fifths of the prediction.",
    )  # fmt: skip
    folder.save_figure(
        figures.coverage(
            trained.predict(gun.test), energy_error(gun.test),
            trained.predict(gun.calibration), energy_error(gun.calibration),
        ),
        "coverage", "Coverage minus its nominal level, held-out photons of the gun.",
    )  # fmt: skip
    folder.save_figure(
        figures.gains(metrics["gains"]), "gains",
        "What categories of predicted mass resolution are worth.",
    )  # fmt: skip
    some = gun.test.take(np.arange(_SHOWN))
    values = study.critic.values(models.observations(trained.dynamics(some)))
    reach = trained.config.environment.ranges[0]
    folder.save_figure(
        figures.hypotheses(
            np.linspace(-reach, reach, values.shape[1]), values,
            energy_error(some).tolist(), study.thresholds,
        ),
        "hypotheses", "Energies of four photons that the critic keeps; the truth is only drawn.",
    )  # fmt: skip
