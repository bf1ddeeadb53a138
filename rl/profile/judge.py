"""Every method on the same held-out photons: distances to the truth, photon by photon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path
from data.detector.edges import edge_distances
from envs.profile.dynamics import ProfileDynamics
from envs.profile.finder import crystals_of, find_peaks
from rl.profile import baselines
from rl.profile.config import ProfileConfig
from rl.profile.metrics import compare, describe
from rl.profile.networks import PeakRegression
from rl.profile.samples import Half, Study
from rl.profile.training import (
    AGENT,
    MAP,
    PEER,
    REFINER,
    Task,
    load_halves,
    load_map,
    load_peer,
    load_policy,
    play,
    regressed,
)

FloatArray = NDArray[np.float32]
Method = Callable[[ProfileDynamics], FloatArray]

MEAN, NEAREST, BICUBIC = "mean profile", "crystals, nearest", "crystals, bicubic"
ONE, FINDER, FIT = "one shower at the standard position", "peak finder", "peak fit (the start)"
PEERS, AGENTS, MAPS = "regression of the peaks", "agent", "supervised map"
HALVES, REFINERS = "regressions of two halves", "agent from these regressions"
SHUFFLED_AGENT, SHUFFLED_MAP = "agent, shuffled truth", "supervised map, shuffled truth"
TRUTH = "true profile"

LATE_RADIUS = 60.0  # cm; conversions beyond have legs that the field hardly parts
NEAR_CRACK = 1.0  # crystals from an edge of a module or supermodule
CLASSES = ("all", "unconverted", "late conversion", "early conversion", "near a crack")
_FILE = "judged.npz"


def methods_of(config: ProfileConfig, study: Study) -> dict[str, list[Method]]:
    """Every method by its name, once per seed: what it makes of a dynamics' photons."""
    mean = study.train.photons.profile.astype(np.float64).mean(axis=0).astype(np.float32)
    seeds = range(config.seeds)
    found: dict[str, list[Method]] = {
        MEAN: [lambda d: np.broadcast_to(mean, (len(d), *mean.shape))],
        NEAREST: [lambda d: baselines.nearest(d.table)],
        BICUBIC: [lambda d: baselines.bicubic(d.table)],
        ONE: [lambda d: baselines.one_shower(d.table)],
        FINDER: [lambda d: baselines.drawn(find_peaks(crystals_of(d.table)))],
        FIT: [lambda d: baselines.drawn(d.first_peaks)],
        PEERS: [_peer(Task(PEER, k), config) for k in seeds],
        AGENTS: [_agent(Task(AGENT, k), config) for k in seeds],
        MAPS: [_map(Task(MAP, k), config) for k in seeds],
    }
    halves = load_halves(config)
    found[HALVES] = [lambda d: baselines.drawn(regressed(d, halves).first_peaks)]
    found[REFINERS] = [_refiner(Task(REFINER, k), config, halves) for k in seeds]
    for reward in config.rewards:
        found[reward_name(reward)] = [_agent(Task(AGENT, reward=reward), config)]
    found[SHUFFLED_AGENT] = [_agent(Task(AGENT, is_shuffled=True), config)]
    found[SHUFFLED_MAP] = [_map(Task(MAP, is_shuffled=True), config)]
    return found


def reward_name(reward: str) -> str:
    """Name of the agent that is paid otherwise."""
    return f"agent, reward {reward}"


@dataclass(frozen=True)
class Judged:
    """What was measured on n held-out photons.

    Attributes
    ----------
    values
        By method, then measure: (seeds, n). Measures are those of `metrics.compare` and of
        `metrics.describe`; of the true profile only the latter.
    classes
        (n, 5) membership in `CLASSES`.
    group
        (n,) events, which errors are bootstrapped over.
    """

    values: dict[str, dict[str, FloatArray]]
    classes: NDArray[np.bool_]
    group: NDArray[np.int64]

    def mean(self, method: str, measure: str) -> FloatArray:
        """(n,) mean over seeds."""
        mean: FloatArray = self.values[method][measure].mean(axis=0)
        return mean


def take(dynamics: ProfileDynamics, rows: NDArray[np.int64]) -> ProfileDynamics:
    """Some of the photons, without their truth."""
    return ProfileDynamics(
        dynamics.table.take(rows), dynamics.inputs, dynamics.config, None,
        dynamics.first_peaks[rows],
    )  # fmt: skip


def judge(config: ProfileConfig, study: Study, log: Any) -> Judged:
    """Measure every method; the numbers are kept in the run folder."""
    path = config.output / _FILE
    if not path.is_file():
        _write(path, _measured(config, study, log))
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files}
    values: dict[str, dict[str, FloatArray]] = {}
    for name, array in content.items():
        method, measure = name.split("|")
        values.setdefault(method, {})[measure] = array
    test = study.test
    return Judged(values, classes_of(test), test.photons.photons.group)


def classes_of(half: Half) -> NDArray[np.bool_]:
    """(n, 5) membership in `CLASSES`."""
    radius, table = half.photons.radius, half.photons.photons
    du, dv = edge_distances(table.u, table.v)
    is_near = (np.abs(du) < NEAR_CRACK) | (np.abs(dv) < NEAR_CRACK)
    converted = np.isfinite(radius)
    late = radius > LATE_RADIUS
    everyone = np.ones(len(radius), dtype=bool)
    return np.stack([everyone, ~converted, converted & late, ~late, is_near], axis=1)


def _measured(config: ProfileConfig, study: Study, log: Any) -> dict[str, list[dict[str, Any]]]:
    dynamics, truth = study.test.dynamics, study.test.photons.profile
    found: dict[str, list[dict[str, Any]]] = {TRUTH: [describe(truth)]}
    for name, each in methods_of(config, study).items():
        found[name] = []
        for method in each:
            profile = method(dynamics)
            found[name].append({**compare(profile, truth), **describe(profile)})
        log.info("profile: judged %s: L1 %.3f", name, found[name][0]["l1"].mean())
    return found


def _write(path: Path, found: dict[str, list[dict[str, Any]]]) -> None:
    content: dict[str, Any] = {
        f"{method}|{measure}": np.stack([seed[measure] for seed in seeds])
        for method, seeds in found.items()
        for measure in seeds[0]
    }
    with atomic_path(path) as temporary:
        np.savez(temporary, **content)


def _agent(task: Task, config: ProfileConfig) -> Method:
    policy = load_policy(task, config)
    return lambda dynamics: baselines.drawn(play(dynamics, policy).peaks[-1])


def _refiner(task: Task, config: ProfileConfig, halves: list[PeakRegression]) -> Method:
    policy = load_policy(task, config)
    return lambda dynamics: baselines.drawn(play(regressed(dynamics, halves), policy).peaks[-1])


def _peer(task: Task, config: ProfileConfig) -> Method:
    regression = load_peer(task, config)
    return lambda dynamics: baselines.drawn(regression.predict(dynamics))


def _map(task: Task, config: ProfileConfig) -> Method:
    network = load_map(task, config)
    return network.predict
