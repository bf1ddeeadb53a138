"""The boosted tree on kinematics, shower shapes and isolation: the peer to be measured against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from e2e.config import TreeConfig


def tree_logits(
    features: NDArray[np.float32],
    label: NDArray[np.int64],
    weight: NDArray[np.float32],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    config: TreeConfig,
    seed: int,
) -> NDArray[np.float32]:
    """(len(test), 3) log probabilities of a tree trained on the rows `train` of (N, F) features."""
    tree = HistGradientBoostingClassifier(
        max_iter=config.iterations,
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.max_leaf_nodes,
        min_samples_leaf=config.min_samples_leaf,
        l2_regularization=config.l2,
        early_stopping=False,
        random_state=seed,
    )
    tree.fit(features[train], label[train], sample_weight=weight[train])
    return np.log(tree.predict_proba(features[test]) + 1e-9).astype(np.float32)
