"""The `rl` stage: train the agent with its peers and control, judge them, refine the events."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from common.runs import RunFolder
from envs.photons.low_level import low_level_outputs
from envs.refinement.dynamics import RefinementDynamics
from rl.evaluation.metrics import DIPHOTON, HIGGS, Sample
from rl.evaluation.pairs import Floats, Pairs
from rl.learning.agents import policy_of
from rl.refinement import networks, plots, tables
from rl.refinement.config import RefineConfig
from rl.refinement.judge import METHODS, Judged, judge, judge_singles
from rl.refinement.networks import one_thread
from rl.refinement.products import write_refined
from rl.refinement.refiner import FOLDER
from rl.refinement.rollouts import several_rollouts, write_rollouts
from rl.refinement.samples import StorePhotons, read_photons, split_by_group

__all__ = ["METHODS", "inputs_of", "photons_of", "run", "without_missing_blocks"]


def run(config: RefineConfig) -> dict[str, Any]:
    """Run the stage; a complete run is not repeated, an interrupted one goes on.

    Returns
    -------
    dict
        The metrics, as in `metrics.json`.
    """
    config = without_missing_blocks(config)
    folder = RunFolder(config.output, "rl", config, inputs_of(config))
    if folder.is_complete():
        folder.log.info("rl: complete already: %s", config.output)
        return folder.read_metrics()
    clock = Clock()
    gun, events, classifier_sha256 = photons_of(config)
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
    training = networks.prepare(train, held_out, config, parts, classifier_sha256)
    networks.train_networks(training, config, parts, folder.log)
    clock.lap("training")
    judged = Judged(config, training, parts)
    held_out_gun = StorePhotons(held_out, gun.vertex_z, gun.simulation)
    gun_sample, event_sample = judged.sample(held_out_gun), judged.sample(events)
    metrics = judge(config, gun_sample, event_sample)
    metrics["singles"] = judge_singles(
        config, judged.single_sample(held_out_gun), judged.single_sample(events)
    )
    clock.lap("evaluation")
    refiner = judged.refiner()
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
        "curve": networks.load_curve(parts, networks.agent_name(0)),
        "seconds": clock.laps,
    }


def without_missing_blocks(config: RefineConfig) -> RefineConfig:
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


def photons_of(config: RefineConfig) -> tuple[StorePhotons, StorePhotons, str]:
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


def inputs_of(config: RefineConfig) -> list[Path]:
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
        "agent": policy_of(networks.load_agents(judged.parts, config)),
        "control": policy_of(networks.load_agent(judged.parts, "control", config)),
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
    curves = {
        "agent": networks.load_curve(parts, networks.agent_name(0)),
        "control": networks.load_curve(parts, "control"),
    }
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
