"""Tables of the study of mass decorrelation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.runs import RunFolder
from e2e.decorrelation.variants import REFERENCE, Variant
from e2e.evaluation.scores import PAIR_TITLES, PAIRS


def write(folder: RunFolder, metrics: dict[str, Any], every: Sequence[Variant]) -> None:
    """Add the tables to the report."""
    _cost(folder, metrics, every)
    _shapes(folder, metrics, every)


def _cost(folder: RunFolder, metrics: dict[str, Any], every: Sequence[Variant]) -> None:
    rows = []
    for variant in every:
        found = metrics["auc"][variant.name]["as_generated"]
        cells = [f"{found[p]['value']:.3f} ± {found[p]['error']:.3f}" for p in PAIRS]
        cells += [
            ""
            if variant.name == REFERENCE
            else f"{found[p]['difference']:+.3f} ± {found[p]['difference_error']:.3f}"
            for p in PAIRS
        ]
        correlation = metrics["distance_correlation"][variant.name]
        cells.append(f"{correlation['value']:.3f} ± {correlation['error']:.3f}")
        rows.append([variant.title, *cells])
    random = metrics["distance_correlation"][REFERENCE]["of_random"]
    folder.add_table(
        "What decorrelation costs",
        [
            "model and inputs",
            *(f"AUC {PAIR_TITLES[p]}" for p in PAIRS),
            *(f"{PAIR_TITLES[p]}, difference" for p in PAIRS),
            "distance correlation",
        ],
        rows,
        f"The same {metrics['events']['held_out']} held-out events; differences to the first row, "
        "paired bootstrap over parton events. Distance correlation of the Higgs score and m_gg "
        f"over the background; permuted masses give {random:.3f}.",
    )


def _shapes(folder: RunFolder, metrics: dict[str, Any], every: Sequence[Variant]) -> None:
    rows = [
        [
            variant.title,
            f"{row['background_efficiency']:g}",
            f"{row['divergence']:.4f}",
            f"{row['divergence_of_random_subsets']:.4f} ± {row['spread_of_random_subsets']:.4f}",
            f"{row['bump']:.2f} ± {row['bump_error']:.2f}",
        ]
        for variant in every
        for row in metrics["mass_sculpting"][variant.name]
    ]
    folder.add_table(
        "Background after a cut",
        [
            "model and inputs", "background efficiency", "Jensen-Shannon divergence",
            "random subset", "efficiency at 120-130 GeV over sidebands",
        ],
        rows,
        f"Cuts on the Higgs score; {metrics['events']['background']} background events. "
        "Divergence in bits to the inclusive shape, beside that of random subsets of the same "
        "size. The last column is 1 without a bump; sidebands 105-120 and 130-145 GeV.",
    )  # fmt: skip
