"""All networks and baselines on the same folds, with learning curves."""
