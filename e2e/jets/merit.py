"""Figures of merit of quark-gluon classifiers: AUCs as simulated and at one spectrum, controls."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import auc, bootstrap, weighted_auc
from e2e.jets.labels import GLUON, QUARK
from e2e.jets.models import NETWORK, TREE, Bench, Scores, shuffled_scores
from e2e.jets.weights import same_spectrum

FloatArray = NDArray[np.float64]
SPECTRA = ("as_simulated", "one_spectrum")


def held_out(bench: Bench, scores: Scores) -> NDArray[np.int64]:
    """Rows with a flavour that every model has judged without having seen their group."""
    known = np.all([np.isfinite(values) for values in scores.values()], axis=0)
    return np.flatnonzero(known & (bench.label >= 0))


def auc_table(bench: Bench, scores: Scores) -> dict[str, Any]:
    """AUC of each model with both spectra, and its paired difference to the boosted tree.

    Returns
    -------
    dict
        `[model][spectrum]` with value, error, difference, difference_error. The reference is the
        boosted tree trained with the model's own weights. Errors are from a bootstrap over groups;
        the weights of `one_spectrum` are kept in it.
    """
    rows = held_out(bench, scores)
    sample, label = bench.sample, bench.label
    weight = same_spectrum(sample.pt, sample.eta, label, rows)
    models = list(scores)
    references = [models.index(reference(name)) for name in models]

    def statistic(some: NDArray[np.int64]) -> FloatArray:
        """(2, models, spectra): AUCs, and differences to each model's reference."""
        is_quark = label[some] == QUARK
        found = np.array(
            [
                [
                    auc(scores[name][some], is_quark),
                    weighted_auc(scores[name][some], is_quark, weight[some]),
                ]
                for name in models
            ]
        )
        return np.stack([found, found - found[references]])

    value = statistic(rows)
    error = bootstrap(
        statistic, rows, groups=sample.group[rows], n=bench.config.evaluation.bootstrap
    )
    return {
        name: {
            spectrum: {
                "value": float(value[0, i, j]),
                "error": float(error[0, i, j]),
                "difference": float(value[1, i, j]),
                "difference_error": float(error[1, i, j]),
            }
            for j, spectrum in enumerate(SPECTRA)
        }
        for i, name in enumerate(models)
    }


def reference(name: str) -> str:
    """The boosted tree that a model is compared with."""
    return f"{TREE.name}_reweighted" if name.endswith("_reweighted") else TREE.name


def shuffled_labels(bench: Bench) -> dict[str, Any]:
    """AUCs, on true flavours, of models taught permuted ones: mean and error of the mean."""
    rows = bench.split(0).test
    is_quark = bench.label[rows] == QUARK
    settings = bench.config.evaluation
    permutations = {
        NETWORK.name: settings.network_permutations,
        TREE.name: settings.tree_permutations,
    }
    found: dict[str, Any] = {}
    for name, n in permutations.items():
        values = np.array([auc(shuffled_scores(bench, name, k), is_quark) for k in range(n)])
        found[name] = {
            "value": float(values.mean()),
            "error": float(values.std(ddof=1) / np.sqrt(len(values))),
            "single": values.tolist(),
        }
    return found


def counts(bench: Bench, scores: Scores) -> dict[str, int]:
    """How many jets there are."""
    label, rows = bench.label, held_out(bench, scores)
    tested, train = label[rows], bench.split(0).train
    return {
        "jets": len(label),
        "quarks": int((label == QUARK).sum()),
        "gluons": int((label == GLUON).sum()),
        "others": int((label < 0).sum()),
        "train": len(train),
        "tested_quarks": int((tested == QUARK).sum()),
        "tested_gluons": int((tested == GLUON).sum()),
        "tested_groups": len(np.unique(bench.sample.group[rows])),
    }
