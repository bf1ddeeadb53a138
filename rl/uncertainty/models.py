"""Everything that predicts a photon's error, trained on the same photons and the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from common.files import atomic_path
from data.detector.geometry import eb_eta_phi
from envs.photons.table import FloatArray, PhotonTable
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.observation import ObservationModel
from rl.evaluation.pairs import Floats
from rl.learning.agents import ALGORITHMS, policy_of, save_agent
from rl.learning.training import train_agent
from rl.uncertainty.config import UncertaintyConfig
from rl.uncertainty.critics import AgentCritic, FittedCritic, fit_critic, still
from rl.uncertainty.heads import Head, train_head
from rl.uncertainty.photons import energy_error, shuffled

TITLES = {
    "critic": "critic, as the agent leaves it",
    "critic_refitted": "critic, fitted anew to the frozen agent",
    "head": "supervised head, the critic's own loss",
    "laplace": "supervised head, likelihood",
    "r9_eta": "R9 and η categories",
    "constant": "one value for all",
    "control": "critic on other photons' errors",
    "permuted": "fitted critic's value of another photon",
}
#: By whose prediction easy photons are told from hard ones.
REFERENCE = "laplace"
_R9_EDGES, _ETA_EDGES = (0.94,), (1.0,)


@dataclass(frozen=True)
class CategoryMeans:
    """Mean error of training photons by R9 and |eta|."""

    means: NDArray[np.float64]

    @classmethod
    def fit(cls, table: PhotonTable, error: FloatArray) -> CategoryMeans:
        """Average absolute errors (n,)."""
        place = _r9_eta(table)
        count = np.bincount(place, minlength=4)
        total = np.bincount(place, error, minlength=4)
        return cls(np.where(count > 0, total / np.maximum(count, 1), error.mean()))

    def predict(self, table: PhotonTable) -> Floats:
        """(n,) errors."""
        return self.means[_r9_eta(table)]


@dataclass(frozen=True)
class Models:
    """Trained predictors of |change of log energy|.

    Attributes
    ----------
    model
        Observation model of the critic's environment.
    agents
        Agents that differ by their seed; the first one's critic is judged.
    refitted, control
        Critics fitted to the end, on true errors and on those of other photons.
    heads
        Supervised heads by name.
    categories
        Means by R9 and eta.
    mean
        Mean error of the training photons.
    """

    config: UncertaintyConfig
    model: ObservationModel
    agents: list[OffPolicyAlgorithm]
    refitted: FittedCritic
    control: FittedCritic
    heads: Mapping[str, Head]
    categories: CategoryMeans
    mean: float

    @property
    def scale(self) -> float:
        """Error of log energy that is the reward's unit."""
        return self.config.environment.scales[0]

    @property
    def cap(self) -> float:
        """Largest error of log energy that the reward tells from others."""
        return self.scale * self.config.environment.cap

    def dynamics(self, table: PhotonTable) -> RefinementDynamics:
        """The critic's environment on refined photons; no reward, so that no truth is needed."""
        return RefinementDynamics(table, self.model, self.config.environment, with_reward=False)

    def predict(self, table: PhotonTable) -> dict[str, Floats]:
        """Method to (n,) expected |change of log energy| of the photons' refined results."""
        seen = observations(self.dynamics(table))
        none = still(len(table))
        found = {
            "critic": AgentCritic(self.agents[0]).predict(seen, none),
            "critic_refitted": self.refitted.predict(seen, none),
            **{name: head.predict(seen) for name, head in self.heads.items()},
            "control": self.control.predict(seen, none),
        }
        found = {name: self.scale * value for name, value in found.items()}
        found["r9_eta"] = self.categories.predict(table)
        found["constant"] = np.full(len(table), self.mean)
        rng = np.random.default_rng(self.config.seed)
        found["permuted"] = rng.permutation(found["critic_refitted"])
        return {name: found[name] for name in TITLES}


def train(train: PhotonTable, config: UncertaintyConfig, parts: Path) -> Models:
    """Train everything; agents that an interrupted run left in `parts` are read.

    Parameters
    ----------
    train
        Training photons with their refined results.
    """
    environment = config.environment
    model = ObservationModel.fit(train, environment)
    dynamics = RefinementDynamics(train, model, environment)
    agents = [_agent(dynamics, config, k, parts) for k in range(config.hypotheses.seeds)]
    policy, noise = policy_of(agents[0]), config.critic.noise
    mixed = RefinementDynamics(
        shuffled(train, np.random.default_rng(config.seed)), model, environment
    )
    seen = observations(dynamics)
    error = np.abs(energy_error(train))
    capped = np.minimum(error / environment.scales[0], environment.cap).astype(np.float32)
    settings, seed = config.regression, config.seed
    return Models(
        config=config,
        model=model,
        agents=agents,
        refitted=fit_critic(dynamics, policy, noise, config.actions, settings, seed),
        control=fit_critic(mixed, policy, noise, config.actions, settings, seed),
        heads={
            "head": train_head(seen, capped, "squares", settings, seed),
            "laplace": train_head(seen, capped, "laplace", settings, seed),
        },
        categories=CategoryMeans.fit(train, environment.scales[0] * capped),
        mean=float(environment.scales[0] * capped.mean()),
    )


def observations(dynamics: RefinementDynamics) -> FloatArray:
    """(n, d) observations of the refined results."""
    return dynamics.observe(dynamics.start(np.arange(len(dynamics))))


def _agent(
    dynamics: RefinementDynamics, config: UncertaintyConfig, index: int, parts: Path
) -> OffPolicyAlgorithm:
    path = parts / f"agent_{index}.zip"
    if not path.is_file():
        agent, _ = train_agent(dynamics, config.critic, config.seed + index, lambda _: {}, 1)
        with atomic_path(path) as temporary:
            save_agent(agent, temporary)
    return ALGORITHMS[config.critic.algorithm].load(path, device="cpu")


def _r9_eta(table: PhotonTable) -> NDArray[np.int64]:
    eta, _ = eb_eta_phi(table.u, table.v)
    wide = 1 - np.searchsorted(_R9_EDGES, np.nan_to_num(table.r9))
    return (2 * wide + np.searchsorted(_ETA_EDGES, np.abs(eta))).astype(np.int64)
