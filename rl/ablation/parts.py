"""One agent and its peer: trained, applied to what neither saw, and kept as one file."""

from __future__ import annotations

import hashlib
import json
import re
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path
from e2e.low_level import regression
from envs.photons.table import FloatArray, PhotonTable
from rl.ablation.config import AblationConfig
from rl.evaluation.metrics import HIGGS, PEER, STANDARD, Sample
from rl.learning.agents import policy_of
from rl.learning.training import train_agent
from rl.refinement import networks
from rl.refinement.config import RefineConfig
from rl.refinement.episodes import measure, roll_out
from rl.refinement.networks import Training
from rl.refinement.refine import photons_of, without_missing_blocks
from rl.refinement.samples import StorePhotons, split_by_group

# Keys that decide what the photons are, and what their regression minimises.
_DECIDING = {"train_store", "store", "classifier", "output", "evaluation", "seed"}
_DISTANCE = {"feature_map_components", "scales", "weights", "cap"}
#: What is judged: photons of the gun that were held out, and of H→γγ events.
KINDS = ("gun", "higgs")
_METHODS = ("agent", PEER, "regression")


def path_of(config: AblationConfig, name: str, seed: int) -> Path:
    """The file of one row and seed; its name changes with whatever decides its content."""
    slug = re.sub(r"\W+", "_", name).strip("_").lower()
    variant = config.variant(name, seed)
    settings = variant.model_dump_json(exclude={"output", "workers", "evaluation"})
    decided_by = f"{settings} {config.evaluation.test_fraction} {config.seed}"
    return config.output / "parts" / f"{slug}_{_short_hash(decided_by)}_{seed}.npz"


def photons(config: AblationConfig) -> tuple[PhotonTable, StorePhotons, StorePhotons]:
    """Training photons, held-out photons of the gun, and photons of H→γγ events."""
    return _photons(config.model_dump_json(include=_DECIDING))


def prepare(config: AblationConfig, name: str) -> None:
    """Train the regression that the agents of a row start from, unless another row did."""
    variant = without_missing_blocks(config.variant(name, 0))
    _training(config, variant)


def train(config: AblationConfig, name: str, seed: int) -> None:
    """Train one agent and one network of the peer and write what they make of the photons."""
    variant = without_missing_blocks(config.variant(name, seed))
    training = _training(config, variant)
    started = time.monotonic()
    agent, _ = train_agent(
        training.train, variant.agent, variant.seed, measure(networks.head(training.held_out)), 1
    )
    seconds = time.monotonic() - started
    table = training.train.table
    assert table.target is not None
    peer = regression.train(
        networks.first_observation(training.train), table.target, variant.environment,
        variant.regression, variant.seed,
    )  # fmt: skip
    found: dict[str, NDArray[Any]] = {"seconds": np.array(seconds)}
    _, gun, higgs = photons(config)
    for kind, seen in zip(KINDS, (gun, higgs), strict=True):
        dynamics = training.applied_to(seen.table)
        found[f"{kind}/agent"] = roll_out(dynamics, policy_of(agent)).final
        found[f"{kind}/{PEER}"] = peer.predict(networks.first_observation(dynamics))
        assert dynamics.table.regression is not None
        found[f"{kind}/regression"] = dynamics.table.regression
    with atomic_path(path_of(config, name, seed)) as temporary:
        np.savez_compressed(temporary, **found)  # type: ignore[arg-type]


def read(config: AblationConfig, name: str, seed: int) -> tuple[dict[str, Sample], float]:
    """Samples by kind, with the corrections of the methods, and the seconds of training."""
    with np.load(path_of(config, name, seed)) as archive:
        content = {key: archive[key] for key in archive.files}
    _, *seen = photons(config)
    samples = {}
    for kind, one in zip(KINDS, seen, strict=True):
        corrections: dict[str, FloatArray] = {
            STANDARD: np.zeros((len(one.table), 3), dtype=np.float32)
        }
        corrections |= {method: content[f"{kind}/{method}"] for method in _METHODS}
        samples[kind] = Sample(one.table, one.vertex_z, corrections)
    return samples, float(content["seconds"])


def _training(config: AblationConfig, variant: RefineConfig) -> Training:
    """With the regression of all rows whose regression has the same inputs and distance."""
    table, gun, _ = photons(config)
    first = variant.model_copy(update={"seed": config.seed})
    folder = config.output / "parts" / f"regression_{_short_hash(_regression_key(first))}"
    folder.mkdir(parents=True, exist_ok=True)
    return networks.prepare(table, gun.table, first, folder)


def _regression_key(config: RefineConfig) -> str:
    environment = config.environment
    inputs = [block for block in environment.blocks if block in networks.INPUT_BLOCKS]
    settings = environment.model_dump_json(include=_DISTANCE)
    return json.dumps([inputs, settings, config.regression.model_dump_json(), config.seed])


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@lru_cache(maxsize=1)
def _photons(deciding: str) -> tuple[PhotonTable, StorePhotons, StorePhotons]:
    """Read once per process: a row takes longer than that, but not much."""
    config = RefineConfig.model_validate_json(deciding)
    gun, events, _ = photons_of(config)
    train, held_out = split_by_group(gun.table, config.evaluation.test_fraction, config.seed)
    matched = events.table.matched()
    higgs = matched.take(np.flatnonzero(matched.label == HIGGS))
    return (
        train,
        StorePhotons(held_out, gun.vertex_z, gun.simulation),
        StorePhotons(higgs, events.vertex_z, events.simulation),
    )
