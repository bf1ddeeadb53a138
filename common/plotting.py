"""One look for all plots; labels as the collaboration's guideline asks of outsiders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Petroff's colour sequence (arXiv:2107.02270), told apart by colour-blind readers too.
COLOURS = ("#5790fc", "#f89c20", "#e42536", "#964a8b", "#9c9ca1", "#7a21dd")
_STYLE: Any = {
    "font.size": 12,
    "axes.labelsize": 13,
    "axes.spines.top": True,
    "axes.grid": False,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "legend.frameon": False,
    "savefig.facecolor": "white",
}


def new_figure(
    rows: int = 1, columns: int = 1, width: float = 6.4, height: float = 4.8, **keywords: Any
) -> tuple[Figure, np.ndarray]:
    """A figure in the project's style with a (rows, columns) array of axes; needs no display."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    from cycler import cycler
    from matplotlib import pyplot as plt

    style = {**_STYLE, "axes.prop_cycle": cycler(color=COLOURS)}
    with plt.rc_context(style):
        figure, axes = plt.subplots(
            rows, columns, figsize=(width * columns, height * rows), squeeze=False, **keywords
        )
    return figure, axes


def label(axis: Axes, simulation: bool, right: str = "8 TeV") -> None:
    """Write "Simulation" or "CMS Open Data" above the axes, and a note at their right."""
    text = "Simulation" if simulation else "CMS Open Data"
    axis.text(0, 1.02, text, transform=axis.transAxes, fontsize=12, fontweight="bold", ha="left")
    axis.text(1, 1.02, right, transform=axis.transAxes, fontsize=11, ha="right")
