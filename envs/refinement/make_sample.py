"""Make a small sample for the environment from simulated photons and a trained classifier.

Run as
`python -m envs.refinement.make_sample --store runs/demo/gun.h5 --classifier runs/demo/classify`.
The regression in it is trained here, and what it says of each photon is out of fold.
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
from e2e.low_level.regression import RegressionConfig, train_out_of_fold
from envs.photons.gather import gather_photons
from envs.photons.low_level import low_level_outputs
from envs.photons.table import PhotonTable
from envs.refinement.config import EnvironmentConfig
from envs.refinement.observation import ObservationModel
from envs.refinement.sample import SHIPPED, write_sample

#: What the regression sees; the last two come from the classifier.
INPUT_BLOCKS = ["kinematics", "shapes", "embedding", "feature_map"]


def make_sample(
    store: Path, output: Path, photons: int, seed: int, classifier: Path | None = None
) -> None:
    """Fit regression and observation model on a store's matched photons and write some of them.

    The classifier's outputs are stored with the photons, so that the sample needs no checkpoint;
    without a classifier their blocks are left out.
    """
    inputs = INPUT_BLOCKS if classifier else INPUT_BLOCKS[:2]
    config = build(EnvironmentConfig, {"blocks": [*inputs, "regression", "residual"]})
    low_level = None
    if classifier is not None:
        with TemporaryDirectory() as folder:
            low_level = low_level_outputs(store, classifier, Path(folder) / "low_level.h5")
    with EventStore(store) as events:
        table = gather_photons(events, low_level)
    table = _with_regression(table.matched(), config, inputs, seed)
    model = ObservationModel.fit(table, config)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(table))[:photons])
    write_sample(output, table.take(chosen), model, config)
    log.info("%d of %d photons written to %s", len(chosen), len(table), output)


def _with_regression(
    table: PhotonTable, config: EnvironmentConfig, blocks: list[str], seed: int
) -> PhotonTable:
    """The photons with the predictions of networks that did not see them."""
    assert table.target is not None
    seen = build(EnvironmentConfig, config.model_dump(), {"blocks": blocks, "start": "standard"})
    features = ObservationModel.fit(table, seen).constant(table)
    _, predictions = train_out_of_fold(
        features, table.target, table.group, config, build(RegressionConfig), seed
    )
    return table.with_regression(predictions)


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
