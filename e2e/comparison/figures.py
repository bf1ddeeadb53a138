"""The comparison's figures: learning curves, and differences to the boosted tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder
from e2e.comparison.config import CompareConfig
from e2e.comparison.models import MODELS, REFERENCE
from e2e.comparison.tables import title_of
from e2e.evaluation.scores import PAIR_TITLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_JETS = ("higgs_gamma_jet", "diphoton_gamma_jet")
_NEAR = 0.06  # models whose AUC lies farther below the tree's would flatten all others


def draw(
    folder: RunFolder, metrics: dict[str, Any], config: CompareConfig, simulation: bool
) -> None:
    """Draw every figure of a run."""
    if any(metrics["learning_curves"].values()):
        _curves(folder, metrics["learning_curves"], simulation)
    _differences(folder, metrics, simulation)


def _curves(folder: RunFolder, curves: dict[str, Any], simulation: bool) -> None:
    figure, axes = new_figure(2, 2, width=6.0, height=4.2, sharex=True)
    for column, pair in enumerate(_JETS):
        above, below = axes[:, column]
        for index, (model, points) in enumerate(curves.items()):
            colour = COLOURS[index % len(COLOURS)]
            _band(above, points, pair, ("value", "error"), colour, title_of(model))
            beside = [p for p in points if "difference" in p[pair]]
            if model != REFERENCE and all(p[pair]["difference"] > -_NEAR for p in beside):
                _band(below, beside, pair, ("difference", "difference_error"), colour)
        above.set(xscale="log", ylabel=f"AUC {PAIR_TITLES[pair]}")
        low, high = above.get_ylim()
        above.set_ylim(low - 0.5 * (high - low), high)  # room for the legend
        above.legend(loc="lower right", fontsize=9)
        below.axhline(0, c="grey", lw=1)
        below.set(xlabel="training events", ylabel="minus the tree's")
        label(above, simulation)
    figure.tight_layout()
    folder.save_figure(
        figure,
        "learning_curves",
        "Above: AUC on the same held-out events against the number of training events; bands are "
        "one σ of the test events, common to all points. Below: minus that of the boosted tree "
        "trained on the same events; bands are of the difference.",
    )


def _band(
    axis: Axes,
    points: list[dict[str, Any]],
    pair: str,
    keys: tuple[str, str],
    colour: str,
    title: str | None = None,
) -> None:
    events = np.array([point["events"] for point in points])
    value, error = (np.array([point[pair][key] for point in points]) for key in keys)
    axis.plot(events, value, "o-", ms=4, c=colour, label=title)
    axis.fill_between(events, value - error, value + error, color=colour, alpha=0.2, lw=0)


def _differences(folder: RunFolder, metrics: dict[str, Any], simulation: bool) -> None:
    found = metrics.get("auc_all_folds", metrics["auc"])
    # The kinematics alone lie far outside of any axis that shows the others.
    models = [
        m for m in found
        if m != REFERENCE and abs(found[m]["as_generated"][_JETS[0]]["difference"]) < _NEAR
        and not (m in MODELS and MODELS[m].mass_aware)
    ]  # fmt: skip
    if not models:
        return
    figure, axes = new_figure(1, 1, width=10.0, height=1.8 + 0.55 * len(models))
    axis, place = axes[0, 0], np.arange(len(models))[::-1]
    styles = [("as_generated", "o"), ("overlap_removed", "s")]
    for index, pair in enumerate(_JETS):
        for step, (definition, marker) in enumerate(styles):
            values = [found[m][definition][pair] for m in models]
            axis.errorbar(
                [v["difference"] for v in values], place + 0.24 - 0.16 * (2 * index + step),
                xerr=[v["difference_error"] for v in values], fmt=marker, ms=5,
                c=COLOURS[2 * index], mfc="white" if step else None,
                label=PAIR_TITLES[pair] + (", overlap removed" if step else ""),
            )  # fmt: skip
    axis.axvline(0, c="grey", lw=1)
    axis.set(xlabel="AUC minus that of the boosted tree", yticks=place)
    axis.set_yticklabels([title_of(model) for model in models])
    axis.set_ylim(-0.6, len(models) + 0.4)
    axis.legend(loc="upper left", ncols=2, fontsize=8)
    label(axis, simulation)
    figure.tight_layout()
    folder.save_figure(
        figure, "differences", "AUC minus the boosted tree's on the same events, paired errors."
    )
