"""Make a small sample for the environment from simulated photons and a trained classifier.

Run as
`python -m envs.refinement.make_sample --store runs/demo/gun.h5 --classifier runs/demo/classify`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from common.config import build
from common.errors import PipelineError
from common.progress import log, setup_logging
from data.store import EventStore
from envs.photons.gather import gather_photons
from envs.photons.low_level import low_level_outputs
from envs.refinement.config import EnvironmentConfig
from envs.refinement.observation import ObservationModel
from envs.refinement.sample import SHIPPED, write_sample

LOW_LEVEL_BLOCKS = ["embedding", "feature_map"]


def make_sample(
    store: Path, output: Path, photons: int, seed: int, classifier: Path | None = None
) -> None:
    """Fit an observation model on a store's matched photons and write some of them with it.

    The classifier's outputs are stored with the photons, so that the sample needs no checkpoint;
    without a classifier their blocks are left out.
    """
    blocks = ["kinematics", "shapes", *(LOW_LEVEL_BLOCKS if classifier else []), "residual"]
    config = build(EnvironmentConfig, {"blocks": blocks})
    low_level = None
    if classifier is not None:
        with TemporaryDirectory() as folder:
            low_level = low_level_outputs(store, classifier, Path(folder) / "low_level.h5")
    with EventStore(store) as events:
        table = gather_photons(events, low_level)
    table = table.matched()
    model = ObservationModel.fit(table, config)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(table))[:photons])
    write_sample(output, table.take(chosen), model, config)
    log.info("%d of %d photons written to %s", len(chosen), len(table), output)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m envs.refinement.make_sample", description=__doc__
    )
    parser.add_argument("--store", type=Path, required=True, help="event store of photon pairs")
    parser.add_argument("--classifier", type=Path, help="run folder of `classify`")
    parser.add_argument("--output", type=Path, default=SHIPPED, help="sample to write")
    parser.add_argument("--photons", type=int, default=3000, help="photons in the sample")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of photons")
    arguments = parser.parse_args(argv)
    setup_logging()
    try:
        make_sample(
            arguments.store,
            arguments.output,
            arguments.photons,
            arguments.seed,
            arguments.classifier,
        )
    except PipelineError as error:
        log.error("error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
