"""Pictures of a hypothesis: the crystals, the shower it expects, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.plotting import new_figure
from envs.refinement.dynamics import Hypotheses, RefinementDynamics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLES = ("observed", "expected", "observed - expected")


def draw_hypothesis(dynamics: RefinementDynamics, state: Hypotheses) -> NDArray[np.uint8]:
    """Draw the first of the hypotheses as an RGB image, (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, axes = new_figure(1, 3, width=3.2, height=3.4)
    fill_axes(axes[0], dynamics, state)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    from matplotlib import pyplot as plt

    plt.close(figure)
    return image


def fill_axes(axes: NDArray, dynamics: RefinementDynamics, state: Hypotheses) -> None:
    """Draw observed, expected and residual shares of the first hypothesis on three axes."""
    observed, expected = dynamics.images(state)
    energy = dynamics.table.energy[state.photon[0]] * np.exp(state.correction[0, 0])
    offset = dynamics.table.offset[state.photon[0]]
    pictures = (observed[0], expected[0], observed[0] - expected[0])
    for axis, picture, title in zip(axes, pictures, _TITLES, strict=True):
        _picture(axis, picture, title)
        _mark(axis, offset, "x", "standard")
        _mark(axis, offset + state.correction[0, 1:], "+", "hypothesis")
    step = f"step {int(state.step[0])} of {dynamics.steps}"
    axes[0].set_ylabel("eta, crystals")
    axes[1].set_xlabel(f"phi, crystals      {step}, E = {energy:.2f} GeV")
    axes[0].legend(loc="upper left", fontsize=7)


def _picture(axis: Axes, shares: NDArray[np.float32], title: str) -> None:
    from matplotlib.colors import SymLogNorm

    half = shares.shape[0] / 2
    axis.imshow(
        shares,
        origin="lower",
        extent=(-half, half, -half, half),
        cmap="RdBu_r",
        norm=SymLogNorm(0.002, vmin=-1, vmax=1),
    )
    axis.set_title(title, fontsize=10)


def _mark(axis: Axes, offset: NDArray[np.float32], marker: str, name: str) -> None:
    axis.plot(offset[1], offset[0], marker, color="black", markersize=9, label=name)
