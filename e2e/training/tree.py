"""The boosted tree on kinematics, shower shapes and isolation: the peer to be measured against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from e2e.config import TreeConfig


def fit_tree(
    features: NDArray[np.float32],
    label: NDArray[np.int64],
    weight: NDArray[np.float32],
    train: NDArray[np.int64],
    config: TreeConfig,
    seed: int,
) -> HistGradientBoostingClassifier:
    """A tree trained on the rows `train` of (N, F) features."""
    tree = HistGradientBoostingClassifier(
        max_iter=config.iterations,
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.max_leaf_nodes,
        min_samples_leaf=config.min_samples_leaf,
        l2_regularization=config.l2,
        early_stopping=False,
        random_state=seed,
    )
    return tree.fit(features[train], label[train], sample_weight=weight[train])


def tree_log_probabilities(
    tree: HistGradientBoostingClassifier, features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(N, 3) log probabilities of (N, F) features."""
    return np.log(tree.predict_proba(features) + 1e-9).astype(np.float32)


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
    tree = fit_tree(features, label, weight, train, config, seed)
    return tree_log_probabilities(tree, features[test])
