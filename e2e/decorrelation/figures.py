"""Figures of the study of mass decorrelation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder
from e2e.decorrelation.variants import REFERENCE, Variant
from e2e.evaluation.merit import HeldOut
from e2e.evaluation.scores import PAIR_TITLES, higgs_score
from e2e.labels import HIGGS

_BINS = np.arange(90.0, 181.0, 5.0)
_COLUMNS = 3
_SHOWN_CUT = 0.2  # background efficiency of the second figure


def draw(
    folder: RunFolder,
    metrics: dict[str, Any],
    held_out: HeldOut,
    every: Sequence[Variant],
    simulation: bool,
) -> None:
    """Draw the background's shapes, and separation against divergence."""
    efficiencies = [row["background_efficiency"] for row in metrics["mass_sculpting"][REFERENCE]]
    _shapes(folder, held_out, every, efficiencies, simulation)
    _trade(folder, metrics, every, simulation)


def _shapes(
    folder: RunFolder,
    held_out: HeldOut,
    every: Sequence[Variant],
    efficiencies: Sequence[float],
    simulation: bool,
) -> None:
    rows = -(-len(every) // _COLUMNS)
    figure, axes = new_figure(rows, _COLUMNS, width=4.3, height=3.5, sharex=True)
    background = held_out.label != HIGGS
    mass = held_out.mass[background]
    for axis, variant in zip(axes.ravel(), every, strict=False):
        axis.axvspan(120, 130, color="0.93", lw=0)
        axis.hist(mass, _BINS, density=True, histtype="stepfilled", color=COLOURS[4], alpha=0.35,
                  label="all background")  # fmt: skip
        score = higgs_score(held_out.logits[variant.name])[background]
        for colour, efficiency in zip(COLOURS, efficiencies, strict=False):
            passed = mass[score > np.quantile(score, 1 - efficiency)]
            axis.hist(passed, _BINS, density=True, histtype="step", lw=1.6, color=colour,
                      label=f"{efficiency:.0%} of it kept")  # fmt: skip
        axis.set(xlim=(_BINS[0], _BINS[-1]))
        axis.set_ylim(0, axis.get_ylim()[1] * 1.1)
        axis.set_title(variant.title, fontsize=11, loc="left", pad=18)
        label(axis, simulation)
    for axis in axes.ravel()[len(every) :]:
        axis.axis("off")
    for axis in axes[:, 0]:
        axis.set_ylabel("density (1/GeV)")
    for axis in axes.ravel()[max(len(every) - _COLUMNS, 0) : len(every)]:
        axis.set_xlabel("m_γγ (GeV)")
        axis.tick_params(labelbottom=True)
    axes[0, 0].legend(fontsize=9)
    figure.tight_layout()
    folder.save_figure(
        figure, "background_shapes",
        "Background m_γγ, normalised, before and after cuts on the Higgs score; grey: 120-130 GeV.",
    )  # fmt: skip


def _trade(
    folder: RunFolder, metrics: dict[str, Any], every: Sequence[Variant], simulation: bool
) -> None:
    figure, axes = new_figure(1, 2, width=5.8, height=4.6)
    rows = {v.name: _nearest(metrics["mass_sculpting"][v.name]) for v in every}
    random = rows[REFERENCE]
    middle, spread = random["divergence_of_random_subsets"], random["spread_of_random_subsets"]
    for axis, pair in zip(axes[0], ("higgs_diphoton", "higgs_gamma_jet"), strict=True):
        axis.axvspan(max(middle - spread, 1e-5), middle + spread, color="0.9", lw=0,
                     label="random subsets")  # fmt: skip
        for index, variant in enumerate(every):
            found = metrics["auc"][variant.name]["as_generated"][pair]
            axis.errorbar(
                rows[variant.name]["divergence"], found["value"], found["error"],
                fmt="s" if variant.model == "tree" else "o",
                color=COLOURS[index % len(COLOURS)],
                mfc="none" if variant.weight == 0 else None, label=variant.title,
            )  # fmt: skip
        axis.set(xscale="log", ylabel=f"AUC {PAIR_TITLES[pair]}")
        axis.set_xlabel(f"divergence of the background (bits), {_SHOWN_CUT:.0%} kept")
        label(axis, simulation)
    axes[0, 0].legend(fontsize=8, loc="best")
    figure.tight_layout()
    folder.save_figure(
        figure, "separation_against_divergence",
        "Separation against Jensen-Shannon divergence of the background's m_γγ; open: no penalty.",
    )  # fmt: skip


def _nearest(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return min(rows, key=lambda row: abs(row["background_efficiency"] - _SHOWN_CUT))
