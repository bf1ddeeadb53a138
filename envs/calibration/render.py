"""Picture of a pair: where its members hit the barrel, and what its mass is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from common.plotting import COLOURS
from data.detector.edges import MODULE_EDGES, SUPERMODULE
from data.detector.geometry import EB_SHAPE
from envs.faces.pictures import figure_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from envs.calibration.dynamics import CalibratedPairs, ResonanceDynamics

_MASS_RANGE = 0.15


def draw_pair(dynamics: ResonanceDynamics, state: CalibratedPairs) -> NDArray[np.uint8]:
    """Draw the first of the episodes as an RGB image, (H, W, 3)."""
    figure = Figure(figsize=(9.2, 3.4), dpi=100, layout="tight")
    axes = figure.subplots(1, 2)
    _barrel(axes[0], dynamics, state)
    _mass(axes[1], dynamics, state)
    return figure_image(figure)


def _barrel(axis: Axes, dynamics: ResonanceDynamics, state: CalibratedPairs) -> None:
    pair = state.pair[0]
    rows, columns = EB_SHAPE
    axis.hlines(MODULE_EDGES, 0, columns, color="0.85", lw=0.8)
    axis.vlines(np.arange(0, columns + 1, SUPERMODULE), 0, rows, color="0.85", lw=0.8)
    u, v = dynamics.candidates.u[pair], dynamics.candidates.v[pair]
    axis.scatter(v, u, c=COLOURS[:2], s=40, zorder=3)
    for member, change in enumerate(100 * state.correction[0]):
        axis.annotate(
            f"{change:+.2f} %", (v[member], u[member]), xytext=(4, 5), textcoords="offset points",
            fontsize=9,
        )  # fmt: skip
    axis.set(xlim=(0, columns), ylim=(0, rows), xlabel="phi, crystals", ylabel="eta, crystals")


def _mass(axis: Axes, dynamics: ResonanceDynamics, state: CalibratedPairs) -> None:
    config = dynamics.config
    ratio = np.linspace(1 - _MASS_RANGE, 1 + _MASS_RANGE, 301)
    worth = np.minimum(np.abs(np.log(ratio)) / config.scale, config.cap)
    axis.plot(ratio, worth, color="0.4", lw=1)
    before = np.exp(dynamics.candidates.log_mass[state.pair[0]])
    for value, colour, name in (
        (before, COLOURS[4], "before"),
        (dynamics.mass_ratio(state)[0], COLOURS[2], "after"),
    ):
        axis.axvline(value, color=colour, label=f"{name}: {value:.4f}")
    axis.set(xlim=(ratio[0], ratio[-1]), xlabel="m / m_ref", ylabel="distance")
    axis.legend(fontsize=8, loc="upper right")
