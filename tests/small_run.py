"""A small refinement run, complete, for all tests that look at one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from common.config import build
from data.store import EventStore, StoreWriter
from rl.refinement.config import RefineConfig
from rl.refinement.refine import run
from tests.synthetic_photons import write_pairs

SMALL: dict[str, Any] = {
    "agent": {
        "updates": 64, "environments": 128, "buffer_size": 4000, "batch_size": 128,
        "hidden": [32],
    },
    "regression": {"epochs": 4, "networks": 2, "hidden": [32], "batch_size": 128},
    "evaluation": {
        "bootstrap": 5, "curve_points": 2, "rollout_events": 6, "rollout_copies": 2,
        "test_fraction": 0.25,
    },
    "environment": {"steps": 3},
    "workers": 1,
}  # fmt: skip


def _join(paths: list[Path], output: Path) -> Path:
    """Two stores, one after the other."""
    with StoreWriter(output, {"EB": ["cell", "energy"]}, with_truth=True) as writer:
        for path in paths:
            with h5py.File(path) as file, EventStore(path) as store:
                groups = ("event", "photons", "clusters", "vertex", "truth", "truth/photons")
                tables = {
                    g: {n: d[()] for n, d in file[g].items() if isinstance(d, h5py.Dataset)}
                    for g in groups
                }
                writer.append(tables, {"EB": store.hits("EB")})
        writer.set_attributes({"origin": "simulation"})
    return output


def make_run(folder: Path) -> RefineConfig:
    """Stores of synthetic photons and the run folder `rl` of the stage, in a folder."""
    stores = [write_pairs(folder / f"{kind}.h5", kind, 150) for kind in ("higgs", "diphoton")]
    inputs = {
        "train_store": write_pairs(folder / "gun.h5", "gun", 400),
        "store": _join(stores, folder / "events.h5"),
        "output": folder / "rl",
    }
    config = build(RefineConfig, SMALL, inputs)
    run(config)
    return config
