"""The refiner: a trained agent with everything needed to apply it, as one folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from common.config import build
from common.errors import InputError
from common.files import atomic_path, write_json
from e2e.low_level.regression import Regression
from envs.photons.table import PhotonTable
from envs.refinement.config import EnvironmentConfig
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.observation import ObservationModel
from rl.learning.agents import ALGORITHMS, Agent, policy_of, save_agent
from rl.refinement.episodes import Rollout, roll_out

FOLDER = "refiner"
_FORMAT, _READ = 2, (1, 2)  # of the first there is one agent, and no count of them
_REMEDY = "give the run folder of a complete `rl` run"


@dataclass(frozen=True)
class Refiner:
    """A policy with its observation models, its regression and its settings.

    Attributes
    ----------
    environment
        Settings of the environment it was trained in.
    inputs, regression
        Regression shown to the agent, and the model of its inputs.
    observation
        The agent's observation model.
    agent
        The trained agent, or several of which the mean action is taken.
    algorithm
        Its key.
    classifier_sha256
        Checksum of the classifier whose low-level outputs it was trained on; empty for none.
    """

    environment: EnvironmentConfig
    inputs: ObservationModel
    regression: Regression
    observation: ObservationModel
    agent: Agent
    algorithm: str
    classifier_sha256: str = ""

    @property
    def agents(self) -> list[OffPolicyAlgorithm]:
        """The agents whose mean action is taken."""
        return [self.agent] if isinstance(self.agent, OffPolicyAlgorithm) else list(self.agent)

    @property
    def needs_classifier(self) -> bool:
        """Whether the agent observes a classifier's low-level outputs."""
        return bool({"embedding", "feature_map"} & set(self.environment.blocks))

    def dynamics(self, table: PhotonTable) -> RefinementDynamics:
        """Dynamics on photons whose truth is not known, or not to be looked at."""
        seen = table.with_regression(self.regression.predict(self.inputs.constant(table)))
        return RefinementDynamics(seen, self.observation, self.environment, with_reward=False)

    def refine(self, table: PhotonTable) -> Rollout:
        """Follow the policy on every photon."""
        return roll_out(self.dynamics(table), policy_of(self.agent))

    def check_classifier(self, sha256: str, path: str | Path) -> None:
        """Refuse low-level outputs of another classifier than the agent's.

        Raises
        ------
        InputError
            If the checksums differ.
        """
        if sha256 != self.classifier_sha256:
            raise InputError(
                path,
                f"classifier {sha256[:12] or 'none'}, but the agent was trained on the outputs of "
                f"{self.classifier_sha256[:12] or 'none'}",
                "give the classifier the agent was trained with, or train the agent again",
            )

    def save(self, folder: Path) -> None:
        """Write the folder; the manifest comes last and marks it complete."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, model in (("inputs", self.inputs), ("observation", self.observation)):
            content: dict[str, Any] = dict(model.to_arrays())
            with atomic_path(folder / f"{name}.npz") as temporary:
                np.savez_compressed(temporary, **content)
        self.regression.save(folder / "regression.pt")
        for k, agent in enumerate(self.agents):
            with atomic_path(folder / _agent_file(k)) as temporary:
                save_agent(agent, temporary)
        manifest = {
            "format": _FORMAT,
            "algorithm": self.algorithm,
            "agents": len(self.agents),
            "classifier_sha256": self.classifier_sha256,
            "environment": self.environment.model_dump(mode="json"),
        }
        write_json(folder / "manifest.json", manifest)

    @classmethod
    def load(cls, path: str | Path) -> Refiner:
        """Read a refiner, from its folder or from the run folder it lies in.

        Raises
        ------
        InputError
            If there is none.
        """
        folder = Path(path)
        if (folder / FOLDER).is_dir():
            folder = folder / FOLDER
        manifest = _manifest(folder)
        try:
            return cls(
                environment=build(EnvironmentConfig, manifest["environment"]),
                inputs=_model(folder / "inputs.npz"),
                regression=Regression.load(folder / "regression.pt"),
                observation=_model(folder / "observation.npz"),
                agent=[
                    ALGORITHMS[manifest["algorithm"]].load(folder / _agent_file(k), device="cpu")
                    for k in range(manifest.get("agents", 1))
                ],
                algorithm=manifest["algorithm"],
                classifier_sha256=manifest["classifier_sha256"],
            )
        except (OSError, ValueError, KeyError, EOFError, RuntimeError) as error:
            raise InputError(folder, f"damaged refiner ({error})", _REMEDY) from error


def agent_files(path: Path) -> list[Path]:
    """The agents' files of a refiner, given its folder or the run folder it lies in."""
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    return sorted(folder.glob("agent*.zip"))


def _agent_file(k: int) -> str:
    return f"agent_{k}.zip" if k else "agent.zip"


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise InputError(folder, "no trained agent in this folder", _REMEDY)
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("format") not in _READ:
        raise InputError(
            path, f"format {manifest.get('format')}, this program reads {_FORMAT}",
            "run `rl` again with this revision",
        )  # fmt: skip
    return manifest


def _model(path: Path) -> ObservationModel:
    with np.load(path) as archive:
        return ObservationModel.from_arrays({name: archive[name] for name in archive.files})
