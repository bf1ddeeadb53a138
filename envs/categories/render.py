"""A picture of the plane of score and resolution with the edges of the categories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.plotting import COLOURS, new_figure
from envs.categories.dynamics import CategoryDynamics, Edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = 3000  # events of each class


def draw_plane(dynamics: CategoryDynamics, state: Edges) -> NDArray[np.uint8]:
    """Draw the first episode as an RGB image, (H, W, 3)."""
    from matplotlib import pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, axes = new_figure(width=5.6, height=4.4)
    fill_plane(axes[0, 0], dynamics, state.edges[0])
    axes[0, 0].set_title(
        f"step {int(state.step[0])} of {dynamics.steps}, "
        f"significance x {state.value[0]:.3f} that of one category", fontsize=10,
    )  # fmt: skip
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)
    return image


def fill_plane(axis: Axes, dynamics: CategoryDynamics, edges: NDArray[np.float64]) -> None:
    """Draw events and the borders of the categories (p,), in quantiles of the signal."""
    events, cells = dynamics.events, dynamics.cells
    rows, columns = len(cells.score) + 1, len(cells.resolution) + 1
    place = cells.place(events)
    rng = np.random.default_rng(0)
    for signal, colour, name in ((False, COLOURS[4], "background"), (True, COLOURS[0], "H→γγ")):
        chosen = np.flatnonzero(events.is_signal == signal)[:_SHOWN]
        x = (place[0][chosen] + rng.random(len(chosen))) / rows
        y = (place[1][chosen] + rng.random(len(chosen))) / columns
        axis.plot(x, y, ".", ms=2, alpha=0.4, color=colour, label=name)
    category = dynamics.assign(edges, events)
    for k in range(dynamics.n_categories):
        here = category == k
        if here.any():
            low, high = place[0][here].min() / rows, (place[0][here].max() + 1) / rows
            left, right = place[1][here].min() / columns, (place[1][here].max() + 1) / columns
            axis.plot([low, high, high, low, low], [left, left, right, right, left], color="black")
    axis.set_xlabel("classifier score, quantile of the signal")
    axis.set_ylabel("predicted σ_m/m, quantile of the signal")
    axis.legend(loc="upper left", fontsize=8, markerscale=4)
