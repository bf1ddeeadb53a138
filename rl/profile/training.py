"""Everything that is trained, each one file: what is there after a kill is not made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.files import atomic_path, write_json
from e2e.low_level.regression import fold_of
from envs.profile.dynamics import ProfileDynamics
from rl.learning.agents import ALGORITHMS, Policy, policy_of
from rl.learning.training import train_agent
from rl.profile import networks
from rl.profile.config import ProfileConfig
from rl.profile.networks import MapNetwork, PeakRegression
from rl.profile.samples import Study, load_study

FloatArray = NDArray[np.float32]

AGENT, PEER, MAP, SCORE = "agent", "peer", "map", "score"
#: Regressions of one half of the training photons, and agents that start from them.
HALF_PEER, REFINER = "half_peer", "refiner"
_HALVES = 2
_SHUFFLED = "shuffled"
_CURVE_PHOTONS, _CURVE_POINTS = 2000, 8


@dataclass(frozen=True)
class Task:
    """One network or agent: what it is, its seed, its reward, and whether its truth is mixed up."""

    kind: str
    seed: int = 0
    reward: str = ""
    is_shuffled: bool = False

    @property
    def name(self) -> str:
        """Of its file."""
        middle = self.reward or (_SHUFFLED if self.is_shuffled else str(self.seed))
        return f"{self.kind}_{middle}"

    def path(self, folder: Path) -> Path:
        """Its file."""
        return folder / f"{self.name}{'.zip' if self.kind in (AGENT, REFINER) else '.pt'}"


def tasks_of(config: ProfileConfig) -> list[Task]:
    """All that a run needs, the longest first; refiners last, as they need the half regressions."""
    seeds = range(config.seeds)
    found = [Task(kind, seed) for kind in (AGENT, MAP, PEER) for seed in seeds]
    found += [Task(AGENT, reward=reward) for reward in config.rewards]
    found += [Task(kind, is_shuffled=True) for kind in (AGENT, MAP)]
    found += [Task(SCORE), *(Task(HALF_PEER, half) for half in range(_HALVES))]
    return found + [Task(REFINER, seed) for seed in seeds]


def train_all(config: ProfileConfig, log: Any) -> None:
    """Train what is missing, side by side in processes of one thread each."""
    missing = [task for task in tasks_of(config) if not task.path(config.output).is_file()]
    for is_last in (False, True):
        tasks = [task for task in missing if (task.kind == REFINER) == is_last]
        for name in _trained(tasks, config):
            log.info("profile: trained %s", name)


def _trained(tasks: list[Task], config: ProfileConfig) -> Iterator[str]:
    settings = config.model_dump_json()
    if config.workers == 1 or len(tasks) <= 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield from (_train(task, settings) for task in tasks)
        torch.set_num_threads(threads)
        return
    workers = min(config.workers, len(tasks))
    with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        yield from pool.map(_train, tasks, [settings] * len(tasks))


def _train(task: Task, settings: str) -> str:
    config, study = ProfileConfig.model_validate_json(settings), load_study(settings)
    path = task.path(config.output)
    trainers: dict[str, Callable[[Task, ProfileConfig, Study, Path], None]] = {
        AGENT: _train_agent, PEER: _train_peer, MAP: _train_map, SCORE: _train_score,
        HALF_PEER: _train_half_peer, REFINER: _train_refiner,
    }  # fmt: skip
    trainers[task.kind](task, config, study, path)
    return task.name


def _train_agent(task: Task, config: ProfileConfig, study: Study, path: Path) -> None:
    train = variant(study.train.dynamics, task.reward, truth=_truth(task, config, study))
    _reinforce(task, config, train, variant(study.test.dynamics, task.reward), path)


def _train_refiner(task: Task, config: ProfileConfig, study: Study, path: Path) -> None:
    """An agent that is handed the regression: for training photons that of the other half."""
    train = study.train.dynamics
    halves = load_halves(config)
    member = _half_of(config, study)
    first, second = (half.predict(train) for half in halves)
    start = np.asarray(np.where((member == 0)[:, None], first, second))
    test = regressed(study.test.dynamics, halves)
    _reinforce(task, config, variant(train, start=start), test, path)


def _reinforce(
    task: Task, config: ProfileConfig, train: ProfileDynamics, test: ProfileDynamics, path: Path
) -> None:
    held_out = head(test, _CURVE_PHOTONS)

    def measure(policy: Policy) -> Mapping[str, float]:
        return {"distance": float(play(held_out, policy).distance.mean())}

    seed = config.seed + task.seed
    agent, curve = train_agent(train, config.agent, seed, measure, _CURVE_POINTS)
    write_json(path.with_name(f"{task.name}_curve.json"), curve)
    with atomic_path(path) as temporary:
        agent.save(temporary)


def _train_peer(task: Task, config: ProfileConfig, study: Study, path: Path) -> None:
    truth = _truth(task, config, study)
    found = networks.train_peaks(study.train.dynamics, truth, config.peer, config.seed + task.seed)
    networks.save(found.network, path)


def _train_half_peer(task: Task, config: ProfileConfig, study: Study, path: Path) -> None:
    """A regression that never saw the photons of its own number's half."""
    rows = np.flatnonzero(_half_of(config, study) != task.seed)
    train, truth = study.train.dynamics, study.train.photons.profile[rows]
    some = ProfileDynamics(
        train.table.take(rows), train.inputs, train.config, None, train.first_peaks[rows]
    )
    networks.save(networks.train_peaks(some, truth, config.peer, config.seed).network, path)


def _half_of(config: ProfileConfig, study: Study) -> NDArray[np.int64]:
    return fold_of(study.train.photons.photons.group, _HALVES, config.seed)


def _train_map(task: Task, config: ProfileConfig, study: Study, path: Path) -> None:
    truth = _truth(task, config, study)
    found = networks.train_map(study.train.dynamics, truth, config.map, config.seed + task.seed)
    networks.save(found.network, path)


def _train_score(task: Task, config: ProfileConfig, study: Study, path: Path) -> None:
    inputs = networks.first_observation(study.train.dynamics)
    converted = np.isfinite(study.train.photons.radius)
    networks.save(networks.train_score(inputs, converted, config.peer, config.seed), path)


def _truth(task: Task, config: ProfileConfig, study: Study) -> NDArray[np.floating]:
    """True profiles to learn from; for a control those of other photons."""
    truth = study.train.photons.profile
    if not task.is_shuffled:
        return truth
    return truth[np.random.default_rng(config.seed).permutation(len(truth))]


def variant(
    dynamics: ProfileDynamics,
    reward: str = "",
    truth: NDArray[np.floating] | None = None,
    start: FloatArray | None = None,
) -> ProfileDynamics:
    """The same photons with another reward, truth or start; without one, it stays."""
    config = dynamics.config
    if reward:
        config = type(config).model_validate({**config.model_dump(), "distance": reward})
    return ProfileDynamics(
        dynamics.table, dynamics.inputs, config,
        dynamics.truth if truth is None else truth,
        dynamics.first_peaks if start is None else start,
    )  # fmt: skip


def regressed(dynamics: ProfileDynamics, halves: Sequence[PeakRegression]) -> ProfileDynamics:
    """Photons that no regression has seen, started from the mean of those of both halves."""
    start: FloatArray = np.stack([half.predict(dynamics) for half in halves]).mean(axis=0)
    return variant(dynamics, start=start)


def head(dynamics: ProfileDynamics, n: int) -> ProfileDynamics:
    """The first of the photons."""
    rows = np.arange(min(n, len(dynamics)))
    truth = None if dynamics.truth is None else dynamics.truth[rows]
    return ProfileDynamics(
        dynamics.table.take(rows), dynamics.inputs, dynamics.config, truth,
        dynamics.first_peaks[rows],
    )  # fmt: skip


@dataclass(frozen=True)
class Played:
    """Episodes of n photons to their ends: peaks (K + 1, n, 10) and last distances (n,)."""

    peaks: FloatArray
    distance: FloatArray


def play(dynamics: ProfileDynamics, policy: Policy, at_a_time: int = 2048) -> Played:
    """Play an episode on every photon."""
    peaks, distance = [], []
    for first in range(0, len(dynamics), at_a_time):
        state = dynamics.start(np.arange(first, min(first + at_a_time, len(dynamics))))
        way = [state.peaks]
        for _ in range(dynamics.steps):
            state, _, _ = dynamics.step(state, policy(dynamics.observe(state)))
            way.append(state.peaks)
        peaks.append(np.stack(way))
        distance.append(state.distance)
    return Played(np.concatenate(peaks, axis=1), np.concatenate(distance))


def load_policy(task: Task, config: ProfileConfig) -> Policy:
    """The deterministic policy of a trained agent."""
    algorithm = ALGORITHMS[config.agent.algorithm]
    return policy_of(algorithm.load(task.path(config.output), device="cpu"))


def load_map(task: Task, config: ProfileConfig) -> MapNetwork:
    """A trained network that draws maps."""
    return MapNetwork(networks.load(task.path(config.output), config.map.hidden))


def load_peer(task: Task, config: ProfileConfig) -> PeakRegression:
    """A trained regression of the peaks."""
    return PeakRegression(networks.load(task.path(config.output), config.peer.hidden))


def load_halves(config: ProfileConfig) -> list[PeakRegression]:
    """The regressions of both halves of the training photons."""
    return [load_peer(Task(HALF_PEER, half), config) for half in range(_HALVES)]
