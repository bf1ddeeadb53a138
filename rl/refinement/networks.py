"""Train what a run needs, each network one file: what is there after a kill is not made again."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from common.files import atomic_path, write_json
from e2e.low_level import regression
from e2e.low_level.regression import Regression
from envs.photons.table import FloatArray, PhotonTable
from envs.refinement.config import EnvironmentConfig
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.observation import ObservationModel
from rl.learning.agents import ALGORITHMS, save_agent
from rl.learning.checkpoint import Checkpoint, checksum
from rl.learning.training import CurvePoint, train_agent
from rl.refinement.config import RefineConfig
from rl.refinement.episodes import measure

#: Blocks that a network sees before the first hypothesis; the others follow from them.
INPUT_BLOCKS = ("kinematics", "shapes", "embedding", "feature_map")
_CURVE_PHOTONS = 4000


@dataclass(frozen=True)
class Training:
    """Everything the networks are trained on.

    Attributes
    ----------
    inputs
        Observation model of the regression shown to the agent.
    regression
        That regression.
    observation
        The agent's observation model.
    train, held_out
        Dynamics on the training photons, with out-of-fold predictions, and on held-out ones.
    classifier_sha256
        Checksum of the classifier whose outputs the photons have; empty for none.
    """

    inputs: ObservationModel
    regression: Regression
    observation: ObservationModel
    train: RefinementDynamics
    held_out: RefinementDynamics
    classifier_sha256: str = ""

    def applied_to(self, table: PhotonTable) -> RefinementDynamics:
        """Dynamics on other photons, with the regression's prediction and without their truth."""
        seen = table.with_regression(self.regression.predict(self.inputs.constant(table)))
        return RefinementDynamics(seen, self.observation, self.train.config, with_reward=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread in torch: these networks are small, and sums then do not depend on the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def prepare(
    train: PhotonTable,
    held_out: PhotonTable,
    config: RefineConfig,
    folder: Path,
    classifier_sha256: str = "",
) -> Training:
    """Fit the observation models and train the regression that the agent is shown."""
    environment = config.environment
    inputs = ObservationModel.fit(train, _restricted(environment, INPUT_BLOCKS))
    path, out_of_fold = folder / "regression.pt", folder / "out_of_fold.npy"
    if not (path.is_file() and out_of_fold.is_file()):
        found, predictions = regression.train_out_of_fold(
            inputs.constant(train), _target(train), train.group,
            environment, config.regression, config.seed,
        )  # fmt: skip
        with atomic_path(out_of_fold) as temporary:
            np.save(temporary, predictions)
        found.save(path)
    found = Regression.load(path)
    train = train.with_regression(np.load(out_of_fold))
    held_out = held_out.with_regression(found.predict(inputs.constant(held_out)))
    observation = ObservationModel.fit(train, environment)
    return Training(
        inputs=inputs,
        regression=found,
        observation=observation,
        train=RefinementDynamics(train, observation, environment),
        held_out=RefinementDynamics(held_out, observation, environment),
        classifier_sha256=classifier_sha256,
    )


def train_networks(training: Training, config: RefineConfig, folder: Path, log: Any) -> None:
    """Train baseline, peer, agent and control, side by side in processes of one thread each."""
    sent = replace(training, held_out=head(training.held_out))
    tasks: dict[str, Callable[[Training, RefineConfig, Path], None]] = {
        "kinematics": _train_baseline,
        "peer": _train_peer,
        **{agent_name(k): partial(_train_agent, k) for k in range(config.agent.networks)},
        "control": _train_control,
    }
    missing = {name: task for name, task in tasks.items() if not _file(folder, name).is_file()}
    workers = min(config.workers, len(missing))
    if workers <= 1:
        for name, task in missing.items():
            task(sent, config, folder)
            log.info("rl: trained %s", name)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        running: dict[str, Future[None]] = {
            name: pool.submit(task, sent, config, folder) for name, task in missing.items()
        }
        for name, future in running.items():
            future.result()
            log.info("rl: trained %s", name)


def load_regression(folder: Path, name: str) -> Regression:
    """A supervised network of the run."""
    return Regression.load(_file(folder, name))


def agent_name(k: int) -> str:
    """What the k-th agent is called among the parts of a run."""
    return f"agent_{k}"


def load_agents(folder: Path, config: RefineConfig) -> list[OffPolicyAlgorithm]:
    """The agents of the run, which differ by their seed."""
    return [load_agent(folder, agent_name(k), config) for k in range(config.agent.networks)]


def load_agent(folder: Path, name: str, config: RefineConfig) -> OffPolicyAlgorithm:
    """One agent of the run, or its control."""
    return ALGORITHMS[config.agent.algorithm].load(_file(folder, name), device="cpu")


def load_curve(folder: Path, name: str) -> list[CurvePoint]:
    """The learning curve of an agent."""
    return json.loads((folder / f"{name}_curve.json").read_text(encoding="utf-8"))


def baseline_model(train: PhotonTable, environment: EnvironmentConfig) -> ObservationModel:
    """Observation model of the kinematics-only regression."""
    return ObservationModel.fit(train, _restricted(environment, ("kinematics",)))


def first_observation(dynamics: RefinementDynamics) -> FloatArray:
    """(n, d) observations of the first hypothesis: the peer's inputs, identical to the agent's."""
    return dynamics.observe(dynamics.start(np.arange(len(dynamics))))


def _file(folder: Path, name: str) -> Path:
    suffix = ".pt" if name in ("kinematics", "peer") else ".zip"
    return folder / f"{name}{suffix}"


def _train_baseline(training: Training, config: RefineConfig, folder: Path) -> None:
    table = training.train.table
    model = baseline_model(table, config.environment)
    _supervise(model.constant(table), table, config, 1).save(_file(folder, "kinematics"))


def _train_peer(training: Training, config: RefineConfig, folder: Path) -> None:
    features = first_observation(training.train)
    found = _supervise(features, training.train.table, config, config.regression.networks)
    found.save(_file(folder, "peer"))


def _supervise(
    features: FloatArray, table: PhotonTable, config: RefineConfig, n_networks: int
) -> Regression:
    """The mean of networks that differ by their seed."""
    return regression.mean(
        [
            regression.train(
                features, _target(table), config.environment, config.regression, config.seed + k
            )
            for k in range(n_networks)
        ]
    )


def _train_agent(k: int, training: Training, config: RefineConfig, folder: Path) -> None:
    _reinforce(agent_name(k), training, training.train, config, folder, config.seed + k)


def _train_control(training: Training, config: RefineConfig, folder: Path) -> None:
    """The same agent, paid by the truth of other photons."""
    table = training.train.table
    order = np.random.default_rng(config.seed).permutation(len(table))
    shuffled = replace(table, target=_target(table)[order])
    dynamics = RefinementDynamics(shuffled, training.observation, config.environment)
    _reinforce("control", training, dynamics, config, folder, config.seed)


def _reinforce(
    name: str,
    training: Training,
    dynamics: RefinementDynamics,
    config: RefineConfig,
    folder: Path,
    seed: int,
) -> None:
    """Train one agent, from its checkpoint where there is one; its file takes that one's place."""
    checkpoint = Checkpoint(
        folder / f"{name}.checkpoint",
        identity={
            "agent": name,
            "seed": seed,
            "configuration of the agent": config.agent.model_dump(mode="json"),
            "configuration of the environment": config.environment.model_dump(mode="json"),
            "classifier": training.classifier_sha256,
            "set of training photons": checksum(dynamics.table.columns()),
            "normalisation": checksum(training.observation.to_arrays()),
        },
        every=config.agent.checkpoint_every,
        normalisation=training.observation.to_arrays(),
    )
    agent, curve = train_agent(
        dynamics, config.agent, seed, measure(training.held_out), config.evaluation.curve_points,
        checkpoint=checkpoint,
    )  # fmt: skip
    write_json(folder / f"{name}_curve.json", curve)
    with atomic_path(_file(folder, name)) as temporary:
        save_agent(agent, temporary)
    checkpoint.path.unlink(missing_ok=True)


def _target(table: PhotonTable) -> FloatArray:
    assert table.target is not None
    return table.target


def _restricted(environment: EnvironmentConfig, blocks: tuple[str, ...]) -> EnvironmentConfig:
    kept = [block for block in environment.blocks if block in blocks]
    return environment.model_copy(update={"blocks": kept or ["kinematics"]})


def head(dynamics: RefinementDynamics) -> RefinementDynamics:
    """Some of the photons: enough for a learning curve."""
    rows = np.arange(min(_CURVE_PHOTONS, len(dynamics)))
    return RefinementDynamics(dynamics.table.take(rows), dynamics.model, dynamics.config)
