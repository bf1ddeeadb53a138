"""Apply a run's networks to photons that no training saw, and judge what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import ConfigError
from common.metrics import Estimate, bootstrap, relative_sigma_eff
from e2e.low_level.regression import Regression
from envs.refinement.reward import TruthDistance
from rl.evaluation.metrics import (
    DIPHOTON,
    HIGGS,
    PEER,
    STANDARD,
    Sample,
    gain_shares,
    mass_metrics,
    photon_metrics,
)
from rl.evaluation.pairs import Floats
from rl.learning.agents import policy_of
from rl.refinement import networks
from rl.refinement.config import RefineConfig
from rl.refinement.episodes import roll_out
from rl.refinement.networks import Training
from rl.refinement.refiner import Refiner
from rl.refinement.samples import StorePhotons

METHODS = (STANDARD, "kinematics", "regression", PEER, "agent", "control")
#: Pairs of methods whose difference is judged on the same photons.
DIFFERENCES = (("agent", "regression"), ("agent", PEER), (PEER, "regression"))
_PERCENT = 100.0


@dataclass(frozen=True)
class Judged:
    """The trained networks of a run, applied to any photons."""

    config: RefineConfig
    training: Training
    parts: Path

    def sample(self, photons: StorePhotons) -> Sample:
        """Corrections of every method."""
        dynamics = self.training.applied_to(photons.table)
        table = dynamics.table
        baseline = networks.baseline_model(self.training.train.table, self.config.environment)
        assert table.regression is not None
        corrections = {
            STANDARD: np.zeros((len(table), 3), dtype=np.float32),
            "kinematics": self._network("kinematics").predict(baseline.constant(table)),
            "regression": table.regression,
            PEER: self._network(PEER).predict(networks.first_observation(dynamics)),
        }
        agents = {
            "agent": policy_of(networks.load_agents(self.parts, self.config)),
            "control": policy_of(networks.load_agent(self.parts, "control", self.config)),
        }
        for name, policy in agents.items():
            corrections[name] = roll_out(dynamics, policy).final
        return Sample(table, photons.vertex_z, corrections)

    def single_sample(self, photons: StorePhotons) -> Sample:
        """Corrections of every agent and of every network of the peer on its own."""
        dynamics = self.training.applied_to(photons.table)
        table = dynamics.table
        assert table.regression is not None
        corrections = {
            STANDARD: np.zeros((len(table), 3), dtype=np.float32),
            "regression": table.regression,
        }
        for k, agent in enumerate(networks.load_agents(self.parts, self.config)):
            corrections[f"agent {k}"] = roll_out(dynamics, policy_of(agent)).final
        peer = self._network(PEER)
        observation = networks.first_observation(dynamics)
        for k, network in enumerate(peer.networks):
            alone = Regression([network], peer.scales, peer.hidden)
            corrections[f"peer {k}"] = alone.predict(observation)
        return Sample(table, photons.vertex_z, corrections)

    def refiner(self) -> Refiner:
        """The agent with all it needs."""
        return Refiner(
            environment=self.config.environment,
            inputs=self.training.inputs,
            regression=self.training.regression,
            observation=self.training.observation,
            agent=networks.load_agents(self.parts, self.config),
            algorithm=self.config.agent.algorithm,
            classifier_sha256=self.training.classifier_sha256,
        )

    def _network(self, name: str) -> Regression:
        return networks.load_regression(self.parts, name)


def judge(config: RefineConfig, gun: Sample, events: Sample) -> dict[str, Any]:
    """Resolutions, masses, shares of the peer's gain and paired differences.

    Parameters
    ----------
    gun
        Held-out photons of the training store.
    events
        Photons of the event store.

    Raises
    ------
    ConfigError
        If the event store has no pairs to judge the mass on.
    """
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
        "differences": {
            f"{first} - {second}": difference(config, gun, higgs, first, second)
            for first, second in DIFFERENCES
        },
    }


def difference(
    config: RefineConfig, gun: Sample, higgs: Sample, first: str, second: str
) -> dict[str, dict[str, float]]:
    """A method's figures minus another's on the same photons, errors by a paired bootstrap.

    Among them the mean distance to the truth, which agents and networks are trained for: it has
    the smallest errors of all.
    """
    replicas = config.evaluation.bootstrap
    ratios, masses = gun.energy_ratios(), higgs.masses()
    errors = {n: _errors(config, gun, n) for n in (first, second)}

    def on_photons(a: Floats, b: Floats, errors_a: Floats, errors_b: Floats) -> Floats:
        means = (errors_a - errors_b).mean(axis=0, dtype=np.float64)
        return np.concatenate([[resolutions(a, b)], means])

    def resolutions(a: Floats, b: Floats) -> float:
        return _PERCENT * (relative_sigma_eff(a) - relative_sigma_eff(b))

    photons = (ratios[first], ratios[second], errors[first], errors[second])
    pairs = (masses[first], masses[second])
    of_photons = bootstrap(on_photons, *photons, groups=gun.table.group, n=replicas)
    of_pairs = bootstrap(resolutions, *pairs, groups=higgs.pairs.group, n=replicas)
    values = [*on_photons(*photons), resolutions(*pairs)]
    names = ("sigma_eff_energy", "distance", "mean_abs_u", "mean_abs_v", "sigma_eff_mass")
    return {
        name: Estimate(float(value), float(spread))._asdict()
        for name, value, spread in zip(names, values, [*of_photons, of_pairs], strict=True)
    }


def _errors(config: RefineConfig, gun: Sample, method: str) -> Floats:
    """(n, 3) distance to the truth, and errors of u and v in crystals."""
    target, correction = gun.table.target, gun.corrections[method]
    assert target is not None
    distance = TruthDistance(target, config.environment)(np.arange(len(target)), correction)
    return np.column_stack([distance, np.abs(correction - target)[:, 1:]]).astype(np.float64)


def judge_singles(config: RefineConfig, gun: Sample, events: Sample) -> dict[str, Any]:
    """Every agent and every network of the peer alone, one seed each.

    Returns
    -------
    dict
        By name ("agent 0", "peer 2", ...) its figures, and of agents the part of the peer's gain:
        over the mean of the peer's networks alone, like with like.
    """
    higgs = events.matched(HIGGS)
    figures = single_figures(gun, higgs)
    found: dict[str, Any] = {}
    for name, row in figures.items():
        found[name] = dict(row)
        if name.startswith("agent"):
            found[name] |= _shares(figures, name)
            found[name]["difference"] = difference(config, gun, higgs, name, "regression")
    return found


def single_figures(gun: Sample, higgs: Sample) -> dict[str, dict[str, float]]:
    """By method: resolution of energies (gun) and masses (H→γγ) in per cent, position errors."""
    ratios, masses = gun.energy_ratios(), higgs.masses()
    target = gun.table.target
    assert target is not None
    return {
        name: {
            "sigma_eff_energy": _PERCENT * relative_sigma_eff(ratios[name]),
            "sigma_eff_mass": _PERCENT * relative_sigma_eff(masses[name]),
            "mean_abs_u": float(np.abs(correction - target)[:, 1].mean()),
            "mean_abs_v": float(np.abs(correction - target)[:, 2].mean()),
        }
        for name, correction in gun.corrections.items()
    }


def _shares(figures: Mapping[str, Mapping[str, float]], name: str) -> dict[str, float]:
    """Part of the gain that a single peer has on average."""
    peers = [row for n, row in figures.items() if n.startswith(PEER)]
    shares = {}
    for key, figure in (("share_energy", "sigma_eff_energy"), ("share_mass", "sigma_eff_mass")):
        before = figures[STANDARD][figure]
        best = float(np.mean([row[figure] for row in peers]))
        shares[key] = (before - figures[name][figure]) / (before - best)
    return shares
