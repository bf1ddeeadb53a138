"""The tables of the jets stage."""

from __future__ import annotations

from typing import Any

from common.runs import RunFolder
from e2e.jets.merit import SPECTRA, reference
from e2e.jets.models import MODELS, NETWORK, TREE

MEAN_TITLE = "mean of ResNet-15 and tree"
TITLES = {
    **{model.name: model.title for model in MODELS},
    "mean": MEAN_TITLE,
    "mean_reweighted": MEAN_TITLE,
}


def write(folder: RunFolder, metrics: dict[str, Any]) -> None:
    """Add every table of the metrics to the report."""
    _auc(folder, metrics)
    _controls(folder, metrics)


def _auc(folder: RunFolder, metrics: dict[str, Any]) -> None:
    rows = []
    for name, found in metrics["auc"].items():
        trained = "one spectrum" if name.endswith("_reweighted") else "as simulated"
        cells = []
        for spectrum in SPECTRA:
            cell = found[spectrum]
            cells.append(f"{cell['value']:.3f} ± {cell['error']:.3f}")
            difference = f"{cell['difference']:+.4f} ± {cell['difference_error']:.4f}"
            cells.append("" if name == reference(name) else difference)
        rows.append([TITLES[name], trained, *cells])
    jets = metrics["jets"]
    folder.add_table(
        "AUC",
        ["model", "trained on jets", "AUC as simulated", "minus the tree's", "AUC at one spectrum",
         "minus the tree's"],
        rows,
        f"All on the same {jets['tested_quarks'] + jets['tested_gluons']} held-out jets "
        f"({jets['tested_quarks']} quark, {jets['tested_gluons']} gluon, of "
        f"{jets['tested_groups']} events); {jets['train']} to train on. "
        f"{TITLES[NETWORK.name]}: {metrics['parameters']} parameters. Errors from a bootstrap over "
        "events, differences paired, to the tree trained in the same way. One spectrum: quark and "
        "gluon jets weighted to the same distribution of pt and |η|.",
    )  # fmt: skip


def _controls(folder: RunFolder, metrics: dict[str, Any]) -> None:
    rows = [
        [TITLES[name], len(found["single"]), f"{found['value']:.3f} ± {found['error']:.3f}"]
        for name, found in metrics["shuffled_labels"].items()
        if name in (NETWORK.name, TREE.name)
    ]
    folder.add_table(
        "Shuffled labels",
        ["model", "permutations", "AUC"],
        rows,
        "AUC on true flavours of models trained on permuted ones, mean and its error over the "
        "permutations: 0.5 where nothing leaks.",
    )
