"""Which events a classifier was not trained on, by what it says of its own training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from e2e.config import SplitConfig
from e2e.training.checkpoint import Classifier
from e2e.training.split import fold_of


def held_out(
    classifier: Classifier, group: NDArray[np.integer], path: str | Path
) -> NDArray[np.bool_]:
    """(N,) whether events belong to the parton events that the classifier did not see.

    The split is a hash of the group, so that this holds for any store with the same parton events.

    Raises
    ------
    InputError
        If the classifier at `path` does not say how its events were split.
    """
    split, fold = (classifier.provenance.get(key) for key in ("split", "fold"))
    if split is None or fold is None:
        raise InputError(
            path, "does not say which events it was trained on", "train it with `classify`"
        )
    return fold_of(group.astype(np.int64), SplitConfig(**split)) == fold
