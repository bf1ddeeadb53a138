"""Every method on one case: made, kept in files, and applied to pairs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.files import atomic_path, write_json
from common.metrics import relative_sigma_eff
from e2e.low_level.regression import fold_of
from envs.calibration.candidates import Candidates, read_candidates, write_candidates
from envs.calibration.config import Block, CalibrationEnvConfig
from envs.photons.table import FloatArray, PhotonTable
from rl.calibration.agent import train_policy
from rl.calibration.cases import SINGLE, Case, permuted
from rl.calibration.config import CalibrateConfig
from rl.calibration.judge import MAPS, NONE, ORACLE
from rl.calibration.maps import Maps, choose_priors, fit_maps, fit_scales
from rl.calibration.networks import PlaceNetwork, train_on_masses, train_on_truth
from rl.calibration.prepared import PreparedPairs
from rl.evaluation.pairs import Floats
from rl.evaluation.statistics import peak_shift

SCALES, ORACLE_GUN, OWN = "scales", "oracle_gun", "own"


@dataclass(frozen=True)
class CaseFolder:
    """Files of one case: candidates, maps, networks.

    Attributes
    ----------
    case
        Which one.
    path, detector
        Its folder, and that of the detector, where the oracle of its gun is.
    """

    case: Case
    path: Path
    detector: Path

    @property
    def candidates(self) -> Path:
        """The candidates, with out-of-fold maps."""
        return self.path / "candidates.npz"

    def network(self, method: str, k: int) -> Path:
        """The k-th network of a method."""
        return (self.detector if method == ORACLE_GUN else self.path) / f"{method}_{k}.pt"

    def networks(self, method: str) -> list[PlaceNetwork]:
        """All networks of a method that are there."""
        paths = sorted(self.network(method, 0).parent.glob(f"{method}_[0-9]*.pt"))
        return [PlaceNetwork.load(path) for path in paths]

    def curve(self, method: str, k: int) -> Path:
        """Learning curve of an agent."""
        return self.path / f"{method}_{k}_curve.json"

    def maps(self, method: str) -> Maps:
        """Scales or maps."""
        with np.load(self.path / f"{method}.npz") as archive:
            return Maps({name: archive[name] for name in archive.files})

    def save_maps(self, method: str, found: Maps) -> None:
        """Write scales or maps."""
        with atomic_path(self.path / f"{method}.npz") as temporary:
            tables: dict[str, Any] = dict(found.values)
            np.savez(temporary, **tables)


def environment_of(method: str, config: CalibrateConfig) -> CalibrationEnvConfig:
    """What a method observes and how far it may go."""
    blocks: list[Block] = list(config.environment.blocks)
    if method.startswith("trap"):
        return config.environment.model_copy(update={"blocks": [*blocks, "energy"]})
    if method.endswith("_maps"):
        update = {"blocks": [*blocks, "maps"], "range": config.maps_range}
        return config.environment.model_copy(update=update)
    return config.environment


def make_maps(
    folder: CaseFolder, candidates: Candidates, group: np.ndarray, config: CalibrateConfig
) -> dict[str, float]:
    """Fit scales and maps, and keep the candidates with maps that did not see them.

    Returns
    -------
    dict
        The prior deviations of towers and crystals that left-out pairs chose.
    """
    settings = config.environment
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.save_maps(SCALES, fit_scales(candidates, settings))
    priors = choose_priors(candidates, settings, config.seed)
    folder.save_maps(MAPS, fit_maps(candidates, settings, priors))
    fold = fold_of(group, config.folds, config.seed)
    column = np.zeros((len(candidates), 2), dtype=np.float32)
    for k in range(config.folds):
        inside = fold == k
        without = fit_maps(candidates.take(~inside), settings, priors)
        column[inside] = without(candidates.u[inside], candidates.v[inside])
    write_candidates(folder.candidates, replace(candidates, maps=column), settings.model_dump())
    return priors


@dataclass(frozen=True)
class Lessons:
    """What candidates do not tell.

    Attributes
    ----------
    gun, zee
        Pairs whose truth oracles learn: of a gun, and the Z → ee among the candidates.
    higgs
        H → γγ pairs; learning curves show their width.
    """

    gun: PreparedPairs
    zee: PreparedPairs
    higgs: PreparedPairs


def train_missing(folder: CaseFolder, lessons: Lessons, config: CalibrateConfig, log: Any) -> None:
    """Train the networks of the case whose files are not there."""
    tasks: list[tuple[str, int]] = [
        (method, k)
        for method in folder.case.networks
        for k in range(1 if method in SINGLE else config.policies)
        if not folder.network(method, k).is_file()
        and not (method == ORACLE_GUN and len(lessons.gun) == 0)
    ]
    train = partial(_train, folder, lessons, config)
    if min(config.workers, len(tasks)) <= 1:
        for method, k in tasks:
            train(method, k)
            log.info("calibrate: %s: %s %d", folder.case.name, method, k)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.workers, context, torch.set_num_threads, (1,)) as pool:
        running = [(task, pool.submit(train, *task)) for task in tasks]
        for (method, k), future in running:
            future.result()
            log.info("calibrate: %s: %s %d", folder.case.name, method, k)


def changes(folder: CaseFolder, pairs: PreparedPairs, oracle: CaseFolder) -> dict[str, Floats]:
    """(m, 2) changes of log energy by every method; the oracle may be another case's."""
    from_maps = folder.maps(MAPS)(pairs.u, pairs.v)
    found: dict[str, Floats] = {
        NONE: np.zeros((len(pairs), 2)),
        SCALES: folder.maps(SCALES)(pairs.u, pairs.v),
        MAPS: from_maps,
    }
    seen = replace(pairs.candidates(0.0), maps=from_maps.astype(np.float32))
    for method in (ORACLE, *(m for m in folder.case.networks if m != ORACLE)):
        networks = (oracle if method == ORACLE else folder).networks(method)
        if networks:
            start = from_maps if method.endswith("_maps") else 0.0
            found[method] = start + np.mean([network(seen) for network in networks], axis=0)
    if np.isfinite(pairs.own).all():
        found[OWN] = pairs.own
    return found


def photon_changes(network: PlaceNetwork, photons: PhotonTable) -> FloatArray:
    """(n,) changes of log energy of single photons."""

    def twice(values: FloatArray) -> FloatArray:
        return np.stack([values, values], axis=1)

    alone = Candidates(
        energy=twice(photons.energy),
        u=twice(photons.u),
        v=twice(photons.v),
        density=twice(photons.density),
        log_mass=np.zeros(len(photons), dtype=np.float32),
    )
    return network(alone)[:, 0]


def _train(
    folder: CaseFolder, lessons: Lessons, config: CalibrateConfig, method: str, k: int
) -> None:
    """Train one network of one method and write its file."""
    settings, seed = environment_of(method, config), config.seed + k
    candidates, _ = read_candidates(folder.candidates)
    if method.endswith("_maps"):
        assert candidates.maps is not None
        candidates = candidates.with_log_mass(candidates.log_mass + candidates.maps.sum(axis=1) / 2)
    if method in (ORACLE, ORACLE_GUN):
        pairs = lessons.zee if method == ORACLE else lessons.gun
        left = pairs.left.astype(np.float32)
        network = train_on_truth(pairs.candidates(0.0), left, settings, config.network, seed)
    elif "loss" in method:
        network = train_on_masses(candidates, settings, config.network, seed)
    else:
        if method == "control":
            candidates = permuted(candidates, config.seed)
        network, curve = train_policy(
            candidates, settings, config.agent, seed, _width(folder, method, lessons.higgs),
            config.curve_points,
        )  # fmt: skip
        write_json(folder.curve(method, k), curve)
    network.save(folder.network(method, k))


def _width(
    folder: CaseFolder, method: str, higgs: PreparedPairs
) -> Callable[[PlaceNetwork], dict[str, float]]:
    """What a learning curve shows: the width of H → γγ after a policy."""
    maps = folder.maps(MAPS)(higgs.u, higgs.v)
    start = maps if method.endswith("_maps") else np.zeros_like(maps)
    seen = replace(higgs.candidates(0.0), maps=maps.astype(np.float32))

    def measured(policy: PlaceNetwork) -> dict[str, float]:
        mass = higgs.corrected_mass(start + policy(seen))
        return {"sigma_eff_mass": relative_sigma_eff(mass), "peak_shift": peak_shift(mass)}

    return measured
