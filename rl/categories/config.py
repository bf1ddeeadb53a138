"""Configuration of the study of categories."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.config import StageConfig
from envs.categories.config import CategoryConfig
from rl.learning.config import AgentConfig, Algorithm


class TreeConfig(StageConfig):
    """The usual categorisation: a boosted tree, and edges of its output one after the other."""

    iterations: int = Field(150, gt=0, description="trees")
    learning_rate: float = Field(0.05, gt=0, description="shrinkage")
    leaves: int = Field(15, gt=1, description="leaves of a tree")
    places: int = Field(40, ge=2, description="places that an edge is tried at")
    folds: int = Field(3, ge=2, description="trees, each blind to a part of the training half")


class EventAgentConfig(StageConfig):
    """The agent that gives each event a coordinate, paid by what the event's move is worth."""

    algorithm: Algorithm = Field("SAC", description="agent of stable-baselines3")
    rounds: int = Field(10, gt=0, description="times that all events are sorted anew")
    updates: int = Field(200, gt=0, description="gradient steps in a round")
    hidden: list[int] = Field([64, 64], description="units of actor's and critic's layers")
    learning_rate: float = Field(1e-3, gt=0, description="of both")
    batch_size: int = Field(1024, gt=0, description="events of a gradient step")
    noise: float = Field(
        0.3, ge=0, description="Gaussian exploration of the coordinate; SAC has its own"
    )
    peer_rounds: int = Field(8, gt=0, description="rounds of the supervised peer")


class CategoriseConfig(StageConfig):
    """Categories by an agent with expected significance as reward, against the usual ways."""

    store: Path = Field(description="event store of H→γγ, γγ and γ+jet")
    resolutions: Path = Field(description="run folder of `uncertainty` on the same store")
    method: str = Field(
        "critic_refitted", description="whose predicted resolution is used, as in resolutions.h5"
    )
    score: Literal["prompt", "higgs"] = Field(
        "prompt",
        description="prompt: two prompt photons against γ+jet; higgs: H→γγ against both "
        "backgrounds, which knows their transverse momentum as the generator has it",
    )
    match_pt: bool = Field(
        True,
        description="weight the signal so that pt/m of its pairs is that of the backgrounds: a "
        "generator of leading order makes hardly any γγ of high pt, and to find out would pay "
        "more than anything an experiment could gain",
    )
    output: Path = Field(Path("runs/categorise"), description="run folder")
    categories: CategoryConfig = Field(
        CategoryConfig(steps=6, replicas=64), description="environment"
    )
    agent: AgentConfig = Field(
        AgentConfig(
            environments=512,
            updates=1500,
            updates_per_step=16,
            buffer_size=60_000,
            learning_rate=1e-3,
            noise=0.3,
            gamma=0.5,
        ),
        description="agent that moves the edges",
    )
    seeds: int = Field(3, ge=1, description="agents that differ by their seed")
    evaluations: list[int] = Field(
        [7, 30, 100, 300, 1000, 3000],
        min_length=1,
        description="evaluations of the significance that searches may spend",
    )
    scenarios: int = Field(
        12, ge=0, description="other yields of the backgrounds that edges are moved for"
    )
    scenario_spread: float = Field(
        0.7, gt=0, description="deviation of the logarithm of the backgrounds' yields in them"
    )
    tree: TreeConfig = Field(TreeConfig(), description="boosted tree")
    event_agent: EventAgentConfig = Field(EventAgentConfig(), description="agent per event")
    diphoton_yield: float = Field(58_000, gt=0, description="expected γγ events in `store`")
    gamma_jet_yield: float = Field(53_000, gt=0, description="expected γ+jet events in `store`")
    higgs_yield: float = Field(320, gt=0, description="expected H→γγ events in `store`")
    bootstrap: int = Field(100, ge=2, description="replicas for errors")
    seed: int = Field(0, ge=0, description="seed of halves, agents and searches")
