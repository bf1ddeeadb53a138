"""Configuration of the study of uncertainties."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from common.config import StageConfig
from e2e.low_level.regression import RegressionConfig
from envs.refinement.config import EnvironmentConfig
from rl.learning.config import AgentConfig


def _one_step() -> EnvironmentConfig:
    return EnvironmentConfig(
        steps=1,
        start="regression",
        reward="negative_distance",
        ranges=(0.08, 0.001, 0.001),
        weights=(1.0, 0.0, 0.0),
    )


class HypothesesConfig(StageConfig):
    """Several results for one event."""

    seeds: int = Field(3, ge=2, description="agents that differ by their seed")
    noise: float = Field(
        0.15, gt=0, description="action noise of the noisy rollouts, in units of the largest action"
    )
    copies: int = Field(16, ge=2, description="noisy rollouts per photon")
    events: int = Field(500, ge=0, description="events in hypotheses.h5")


class UncertaintyConfig(StageConfig):
    """The critic as per-photon resolution, beside supervised heads with identical inputs."""

    train_store: Path = Field(description="event store that the agent was trained on (the gun)")
    store: Path = Field(description="event store to predict resolutions of, and to judge them on")
    classifier: Path = Field(description="run folder or checkpoint of `classify`")
    classifier_store: Path | None = Field(
        None,
        description="event store the classifier was trained on: events of its parton events are "
        "left out of `store` unless held out; without: only events that its split holds out stay",
    )
    agent: Path = Field(description="run folder of `rl`, whose refined photons are judged")
    output: Path = Field(Path("runs/uncertainty"), description="run folder")
    environment: EnvironmentConfig = Field(
        default_factory=_one_step,
        description="environment of the critic: it starts from the refined photon, takes one step "
        "and pays minus the distance that is left; position is left as refined",
    )
    critic: AgentConfig = Field(
        AgentConfig(updates=3000, buffer_size=100_000), description="agent whose critic it is"
    )
    regression: RegressionConfig = Field(
        RegressionConfig(epochs=12, weight_decay=1.0),
        description="supervised heads, and the critic fitted anew; errors of single photons are "
        "soon learned by heart, hence few passes and a strong decay",
    )
    actions: int = Field(
        6, ge=2, description="actions per photon that the critic is fitted anew on, half of them "
        "near the policy's, half anywhere",
    )  # fmt: skip
    hypotheses: HypothesesConfig = Field(HypothesesConfig(), description="several hypotheses")
    categories: int = Field(4, ge=2, description="categories of predicted mass resolution")
    diphoton_yield: float = Field(58_000, gt=0, description="expected γγ events in `store`")
    gamma_jet_yield: float = Field(53_000, gt=0, description="expected γ+jet events in `store`")
    higgs_yield: float = Field(320, gt=0, description="expected H→γγ events in `store`")
    bootstrap: int = Field(100, ge=2, description="replicas for errors")
    seed: int = Field(0, ge=0, description="seed of networks, agents and splits")
