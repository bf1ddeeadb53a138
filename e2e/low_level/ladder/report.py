"""Table and figure of what each kind of low-level output adds."""

from __future__ import annotations

from typing import Any

import numpy as np

from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder

_QUANTITIES = {
    "energy": "σ_eff(E) (%)",
    "u": "σ_eff(u) (crystals/1000)",
    "v": "σ_eff(v) (crystals/1000)",
}
_DIGITS = {"energy": 3, "u": 1, "v": 1}


def table(folder: RunFolder, metrics: dict[str, Any]) -> None:
    """Resolutions per step, each with its difference to the step before."""
    rows = []
    for index, (name, found) in enumerate(metrics["steps"].items()):
        cells = [name, found["columns"]]
        for quantity, digits in _DIGITS.items():
            x = found[quantity]
            cells.append(f"{x['value']:.{digits}f} ± {x['error']:.{digits}f}")
            change = f"{x['difference']:+.{digits}f} ± {x['difference_error']:.{digits}f}"
            cells.append(change if index else "")
        rows.append(cells)
    columns = ["inputs of the regression", "columns"]
    for title in _QUANTITIES.values():
        columns += [title, "change"]
    photons = metrics["photons"]
    folder.add_table(
        "What low-level outputs add",
        columns,
        rows,
        f"{photons['higgs']} photons of H→γγ that neither the classifier nor the regression that "
        f"judges them was trained on; the regressions learn from {photons['all']} prompt photons "
        "of all classes, out of fold. Each row knows all above it; changes are to the row above "
        "(the control's to shower shapes), paired bootstrap over parton events.",
    )


def figure(folder: RunFolder, metrics: dict[str, Any], simulation: bool) -> None:
    """Resolutions by step."""
    names = list(metrics["steps"])
    drawn, axes = new_figure(1, 3, width=4.4, height=4.4)
    place = np.arange(len(names))
    for axis, colour, (quantity, title) in zip(axes[0], COLOURS, _QUANTITIES.items(), strict=False):
        values = [metrics["steps"][name][quantity]["value"] for name in names]
        errors = [metrics["steps"][name][quantity]["error"] for name in names]
        axis.errorbar(place[:-1], values[:-1], errors[:-1], fmt="o-", c=colour, capsize=3)
        axis.errorbar(place[-1:], values[-1:], errors[-1:], fmt="s", c="0.5", capsize=3)
        axis.set_xticks(place, names, rotation=40, ha="right", fontsize=9)
        axis.set(ylabel=title, ylim=(0, 1.15 * max(values)))
        label(axis, simulation)
    drawn.tight_layout()
    folder.save_figure(
        drawn, "ladder",
        "Resolution for photons of H→γγ by what the regression knows; each step knows all before.",
    )  # fmt: skip
