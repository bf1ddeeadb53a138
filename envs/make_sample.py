"""Make a small sample for the environment: `python -m envs.make_sample --store gun.h5`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.config import build
from common.errors import PipelineError
from common.progress import log, setup_logging
from data.store import EventStore
from envs.config import EnvironmentConfig
from envs.gather import gather_photons
from envs.observation import ObservationModel
from envs.sample import SHIPPED, write_sample


def make_sample(store: Path, output: Path, photons: int, seed: int) -> None:
    """Fit an observation model on a store's matched photons and write some of them with it.

    The classifier's blocks are left out: the sample is to need no checkpoint.
    """
    config = build(EnvironmentConfig, {"blocks": ["kinematics", "shapes", "residual"]})
    with EventStore(store) as events:
        table = gather_photons(events)
    table = table.matched()
    model = ObservationModel.fit(table, config)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(table))[:photons])
    write_sample(output, table.take(chosen), model, config)
    log.info("%d of %d photons written to %s", len(chosen), len(table), output)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m envs.make_sample", description=__doc__)
    parser.add_argument("--store", type=Path, required=True, help="event store of photon pairs")
    parser.add_argument("--output", type=Path, default=SHIPPED, help="sample to write")
    parser.add_argument("--photons", type=int, default=3000, help="photons in the sample")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of photons")
    arguments = parser.parse_args(argv)
    setup_logging()
    try:
        make_sample(arguments.store, arguments.output, arguments.photons, arguments.seed)
    except PipelineError as error:
        log.error("error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
