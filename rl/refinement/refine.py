"""The `rl` stage: train the agent with its peers and control, judge them, refine the events."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import ConfigError
from common.runs import RunFolder
from e2e.low_level.regression import Regression
from envs.photons.low_level import low_level_outputs
from envs.refinement.dynamics import RefinementDynamics
from rl.evaluation.metrics import (
    DIPHOTON,
    HIGGS,
    STANDARD,
    Sample,
    gain_shares,
    mass_metrics,
    photon_metrics,
)
from rl.evaluation.pairs import Floats, Pairs
from rl.learning.agents import policy_of
from rl.refinement import networks, plots, tables
from rl.refinement.config import RefineConfig
from rl.refinement.episodes import roll_out
from rl.refinement.networks import Training, one_thread
from rl.refinement.products import write_refined
from rl.refinement.refiner import FOLDER, Refiner
from rl.refinement.rollouts import several_rollouts, write_rollouts
from rl.refinement.samples import StorePhotons, read_photons, split_by_group

METHODS = ("standard", "kinematics", "regression", "peer", "agent", "control")


def run(config: RefineConfig) -> dict[str, Any]:
    """Run the stage; a complete run is not repeated, an interrupted one goes on.

    Returns
    -------
    dict
        The metrics, as in `metrics.json`.
    """
    config = _without_missing_blocks(config)
    folder = RunFolder(config.output, "rl", config, _inputs(config))
    if folder.is_complete():
        folder.log.info("rl: complete already: %s", config.output)
        return folder.read_metrics()
    clock = Clock()
    gun, events, classifier_sha256 = _photons(config)
    clock.lap("photons")
    with one_thread():
        metrics = _run(config, folder, gun, events, classifier_sha256, clock)
    folder.write_metrics(metrics)
    folder.complete()
    return metrics


def _run(
    config: RefineConfig,
    folder: RunFolder,
    gun: StorePhotons,
    events: StorePhotons,
    classifier_sha256: str,
    clock: Clock,
) -> dict[str, Any]:
    parts = _parts_folder(folder)
    train, held_out = split_by_group(gun.table, config.evaluation.test_fraction, config.seed)
    folder.log.info("rl: %d photons to train on, %d held out", len(train), len(held_out))
    training = networks.prepare(train, held_out, config, parts)
    networks.train_networks(training, config, parts, folder.log)
    clock.lap("training")
    judged = Judged(config, training, parts)
    gun_sample = judged.sample(StorePhotons(held_out, gun.vertex_z, gun.simulation))
    event_sample = judged.sample(events)
    metrics = _judge(config, gun_sample, event_sample)
    clock.lap("evaluation")
    refiner = judged.refiner(classifier_sha256)
    refiner.save(folder.path(FOLDER))
    attributes = {
        "simulation": events.simulation,
        "agent": config.agent.algorithm,
        "classifier_sha256": refiner.classifier_sha256,
    }
    write_refined(folder.path("refined_photons.h5"), config.store, event_sample, attributes)
    _rollouts(config, folder, judged, gun_sample, attributes)
    _figures(folder, parts, metrics, gun_sample, event_sample)
    tables.add_tables(folder, metrics)
    clock.lap("products")
    return metrics | {
        "photons_trained_on": len(train),
        "updates": config.agent.updates,
        "curve": networks.load_curve(parts, "agent"),
        "seconds": clock.laps,
    }


def _without_missing_blocks(config: RefineConfig) -> RefineConfig:
    """Without a classifier there are no low-level outputs to observe."""
    if config.classifier is not None:
        return config
    blocks = [b for b in config.environment.blocks if b not in ("embedding", "feature_map")]
    environment = config.environment.model_copy(update={"blocks": blocks})
    return config.model_copy(update={"environment": environment})


class Clock:
    """Wall time of the stage's parts."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        """Close a part."""
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 1)
        self._last = now


@dataclass(frozen=True)
class Judged:
    """The trained networks of a run, applied to any photons."""

    config: RefineConfig
    training: Training
    parts: Path

    def sample(self, photons: StorePhotons) -> Sample:
        """Corrections of every method."""
        training = self.training
        table = photons.table
        regression = training.regression.predict(training.inputs.constant(table))
        table = table.with_regression(regression)
        dynamics = RefinementDynamics(
            table, training.observation, self.config.environment, with_reward=False
        )
        baseline = networks.baseline_model(training.train.table, self.config.environment)
        corrections = {
            STANDARD: np.zeros((len(table), 3), dtype=np.float32),
            "kinematics": self._network("kinematics").predict(baseline.constant(table)),
            "regression": regression,
            "peer": self._network("peer").predict(networks.first_observation(dynamics)),
        }
        for name in ("agent", "control"):
            agent = networks.load_agent(self.parts, name, self.config)
            corrections[name] = roll_out(dynamics, policy_of(agent)).final
        return Sample(table, photons.vertex_z, corrections)

    def refiner(self, classifier_sha256: str) -> Refiner:
        """The agent with all it needs."""
        return Refiner(
            environment=self.config.environment,
            inputs=self.training.inputs,
            regression=self.training.regression,
            observation=self.training.observation,
            agent=networks.load_agent(self.parts, "agent", self.config),
            algorithm=self.config.agent.algorithm,
            classifier_sha256=classifier_sha256,
        )

    def _network(self, name: str) -> Regression:
        return networks.load_regression(self.parts, name)


def _photons(config: RefineConfig) -> tuple[StorePhotons, StorePhotons, str]:
    """Photons of the training store and of the events, and the classifier's checksum."""
    if config.classifier is None:
        return read_photons(config.train_store, None), read_photons(config.store, None), ""
    stores = {"train": config.train_store, "events": config.store}
    outputs = {
        name: low_level_outputs(path, config.classifier, config.output / f"low_level_{name}.h5")
        for name, path in stores.items()
    }
    gun, events = (read_photons(path, outputs[name]) for name, path in stores.items())
    return gun, events, outputs["train"].classifier_sha256


def _inputs(config: RefineConfig) -> list[Path]:
    paths = [config.train_store, config.store]
    if config.classifier is not None:
        path = config.classifier
        paths.append(path / "classifier.pt" if path.is_dir() else path)
    return paths


def _parts_folder(folder: RunFolder) -> Path:
    """Folder of the finished networks; emptied when they belong to another configuration."""
    parts = folder.path("parts")
    mark = parts / "fingerprint"
    if parts.is_dir() and (not mark.is_file() or mark.read_text() != folder.fingerprint()):
        shutil.rmtree(parts)
    parts.mkdir(exist_ok=True)
    mark.write_text(folder.fingerprint())
    return parts


def _judge(config: RefineConfig, gun: Sample, events: Sample) -> dict[str, Any]:
    replicas = config.evaluation.bootstrap
    higgs, diphoton = events.matched(HIGGS), events.matched(DIPHOTON)
    if len(higgs.pairs) == 0 or len(diphoton.pairs) == 0:
        raise ConfigError(
            f"{config.store}: no H→γγ or no γγ pairs with truth, and the mass is judged on them"
        )
    return {
        "photons": photon_metrics(gun, replicas),
        "higgs_photons": photon_metrics(higgs, replicas),
        "mass": mass_metrics(higgs, {"diphoton": diphoton, "gun": gun}, replicas),
        "share_of_peer_gain": {
            "energy": gain_shares(gun.energy_ratios(), gun.table.group, replicas),
            "mass": gain_shares(higgs.masses(), higgs.pairs.group, replicas),
        },
    }


def _rollouts(
    config: RefineConfig,
    folder: RunFolder,
    judged: Judged,
    gun: Sample,
    attributes: dict[str, Any],
) -> None:
    settings = config.evaluation
    if settings.rollout_events == 0:
        return
    pairs = gun.pairs
    first = pairs.first[: settings.rollout_events]
    rows = np.sort(np.concatenate([first, first + 1]))
    table = gun.table.take(rows)
    dynamics = RefinementDynamics(table, judged.training.observation, config.environment)
    policies = {
        name: policy_of(networks.load_agent(judged.parts, name, config))
        for name in ("agent", "control")
    }
    found = several_rollouts(
        dynamics, policies, settings.rollout_noise, settings.rollout_copies, config.seed
    )
    write_rollouts(
        folder.path("rollouts"),
        Pairs.of(table, gun.vertex_z),
        found,
        {**attributes, "store": str(config.train_store)},
    )
    shown = [r for r in found if r.name != "control"]
    moved = np.abs(found[0].rollout.final[:, 0])
    photon = int(np.argsort(moved)[int(0.9 * len(moved))])  # one that needed a correction
    folder.save_figure(
        plots.rollout_plane(dynamics, shown, photon),
        "rollout",
        "One photon: crystals, expected shower and residual at the last hypothesis; the "
        "hypotheses of the agent (blue) and of its noisy copies (orange); the star is the truth.",
    )


def _figures(
    folder: RunFolder, parts: Path, metrics: dict[str, Any], gun: Sample, events: Sample
) -> None:
    higgs, diphoton = events.matched(HIGGS).masses(), events.matched(DIPHOTON).masses()
    gun_masses = gun.masses()
    smooth: dict[str, Floats] = {
        name: np.concatenate([mass, gun_masses[name]]) for name, mass in diphoton.items()
    }
    levels = {
        name: metrics["photons"][name]["sigma_eff_energy"]["value"]
        for name in ("standard", "kinematics", "regression", "peer")
    }
    curves = {name: networks.load_curve(parts, name) for name in ("agent", "control")}
    figures = (
        ("resolutions", plots.resolutions(metrics["photons"], metrics["mass"]),
         "Resolutions on photons and H→γγ pairs that no training of the agent saw."),
        ("energy", plots.energy_ratios(gun.energy_ratios()),
         "Energy over true energy of held-out photons."),
        ("masses", plots.masses(higgs, smooth),
         "Diphoton mass; the background may not rise in the shaded band."),
        ("learning_curve", plots.learning_curve(curves, levels),
         "Held-out energy resolution while the agent and its control learn."),
    )  # fmt: skip
    for name, figure, caption in figures:
        folder.save_figure(figure, name, caption)
