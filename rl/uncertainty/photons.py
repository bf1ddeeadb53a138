"""Photons with their refined result: what an uncertainty is the uncertainty of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.config import read_yaml
from common.errors import InputError
from e2e.low_level import regression
from e2e.low_level.regression import RegressionConfig, fold_of
from envs.photons.table import FloatArray, PhotonTable
from envs.refinement.dynamics import RefinementDynamics
from rl.evaluation.pairs import Floats
from rl.learning.agents import policy_of
from rl.refinement.episodes import roll_out
from rl.refinement.refiner import Refiner
from rl.refinement.samples import split_by_group

_SPLIT_SEED = 1000  # another split than the one of training and held-out photons


@dataclass(frozen=True)
class RefinedPhotons:
    """The gun's photons, each with its refined result in the column `regression`.

    Attributes
    ----------
    train
        Photons that the agent learned from; their results come from regressions that did not.
    calibration, test
        Two halves, by parton event, of the photons that the agent did not learn from.
    """

    train: PhotonTable
    calibration: PhotonTable
    test: PhotonTable


def refined_gun(
    refiner: Refiner, gun: PhotonTable, run: Path, config: RegressionConfig
) -> RefinedPhotons:
    """Refine the photons of the store that the refiner's run was trained on.

    Parameters
    ----------
    run
        The run folder: its configuration tells which photons were held out.
    config
        Regression whose out-of-fold predictions the training photons start from: results of
        photons that a regression has learned by heart would be too good.
    """
    fraction, seed = _split(run)
    train, held_out = split_by_group(gun, fraction, seed)
    assert train.target is not None
    features = refiner.inputs.constant(train)
    _, predictions = regression.train_out_of_fold(
        features, train.target, train.group, refiner.environment, config, seed
    )
    refined = with_result(held_out, refine(refiner, held_out))
    half = fold_of(refined.group, 2, seed + _SPLIT_SEED)
    return RefinedPhotons(
        train=with_result(train, refine(refiner, train, predictions)),
        calibration=refined.take(np.flatnonzero(half == 0)),
        test=refined.take(np.flatnonzero(half == 1)),
    )


def refine(
    refiner: Refiner, table: PhotonTable, predictions: FloatArray | None = None
) -> FloatArray:
    """(n, 3) refined corrections, starting from `predictions` in place of the regression's."""
    if predictions is None:
        return refiner.refine(table).final
    seen = table.with_regression(predictions)
    dynamics = RefinementDynamics(seen, refiner.observation, refiner.environment, with_reward=False)
    return roll_out(dynamics, policy_of(refiner.agent)).final


def with_result(table: PhotonTable, correction: FloatArray) -> PhotonTable:
    """The photons with a result (n, 3) as what an environment may start from."""
    return table.with_regression(correction)


def energy_error(table: PhotonTable) -> Floats:
    """(n,) true minus refined log energy; NaN without truth."""
    assert table.regression is not None
    if table.target is None:
        return np.full(len(table), np.nan)
    return (table.target[:, 0] - table.regression[:, 0]).astype(np.float64)


def shuffled(table: PhotonTable, rng: np.random.Generator) -> PhotonTable:
    """The photons with the errors of others: nothing can be learned of them but their size."""
    assert table.target is not None
    assert table.regression is not None
    error = (table.target - table.regression)[rng.permutation(len(table))]
    columns = table.columns() | {"target": table.regression + error}
    return PhotonTable(**columns)


def _split(run: Path) -> tuple[float, int]:
    path = run / "config.yaml"
    if not path.is_file():
        raise InputError(run, "no config.yaml", "give the run folder of a complete `rl` run")
    found = read_yaml(path)
    try:
        return float(found["evaluation"]["test_fraction"]), int(found["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"does not say which photons were held out ({error})") from error
