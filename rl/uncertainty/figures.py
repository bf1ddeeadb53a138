"""Figures of the study of uncertainties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from common.plotting import COLOURS, label, new_figure
from rl.evaluation.pairs import Floats
from rl.uncertainty.calibration import deviation
from rl.uncertainty.models import TITLES
from rl.uncertainty.tables import SAMPLES, SCHEMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Metrics = Mapping[str, Any]
_ORDER = (*COLOURS[:2], COLOURS[5], COLOURS[3], COLOURS[4], "black", COLOURS[2], "pink")
_COLOUR = dict(zip(TITLES, _ORDER, strict=True))
_DIAGONAL: dict[str, Any] = {"color": "black", "lw": 0.8, "ls": ":"}


def calibration(metrics: Metrics) -> Figure:
    """Actual against predicted error by fifths, on the gun's photons and on those of H→γγ."""
    figure, axes = new_figure(1, 2, width=6.0, height=5.0)
    for axis, (sample, title) in zip(axes[0], SAMPLES.items(), strict=True):
        highest = 0.0
        for name in ("critic", "critic_refitted", "head", "laplace", "r9_eta", "control"):
            fifths = metrics[sample][name]["quintiles"]
            x, y, error = (
                np.array([100 * q[key] for q in fifths]) for key in ("predicted", "actual", "error")
            )
            axis.errorbar(x, y, error, fmt="o-", ms=4, color=_COLOUR[name], label=TITLES[name])
            highest = max(highest, x.max(), y.max())
        axis.plot([0.4, 1.1 * highest], [0.4, 1.1 * highest], **_DIAGONAL)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("predicted mean |Δlog E|, %")
        axis.set_ylabel("actual, %")
        label(axis, simulation=True, right=title)
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    return figure


def coverage(expected: Mapping[str, Floats], error: Floats, calibrating: Mapping[str, Floats],
             calibrating_error: Floats) -> Figure:  # fmt: skip
    """Coverage against its nominal level, as predicted and after calibration.

    Parameters
    ----------
    expected, error
        Predicted absolute errors and errors of photons to judge on.
    calibrating, calibrating_error
        The same of calibration photons.
    """
    figure, axes = new_figure(1, 2, width=6.0, height=5.0, sharey=True)
    nominal = np.linspace(0.05, 0.99, 48)
    for name in ("critic", "critic_refitted", "laplace", "constant"):
        pull = np.abs(error) / deviation(expected[name])
        raw = [(pull <= norm.ppf((1 + level) / 2)).mean() for level in nominal]
        known = np.abs(calibrating_error) / deviation(calibrating[name])
        calibrated = [(pull <= np.quantile(known, level)).mean() for level in nominal]
        for axis, values in zip(axes[0], (raw, calibrated), strict=True):
            axis.plot(nominal, np.array(values) - nominal, color=_COLOUR[name], label=TITLES[name])
    for axis, title in zip(axes[0], ("as predicted", "calibrated"), strict=True):
        axis.axhline(0, **_DIAGONAL)
        axis.set_xlabel("nominal coverage")
        label(axis, simulation=True, right=title)
    axes[0, 0].set_ylabel("coverage - nominal")
    axes[0, 1].legend(fontsize=8)
    figure.tight_layout()
    return figure


def gains(metrics: Metrics) -> Figure:
    """Significance over that of one category."""
    figure, axes = new_figure()
    axis = axes[0, 0]
    names = [name for name in SCHEMES if name in metrics and name != "inclusive"]
    position = np.arange(len(names))[::-1]
    values = [100 * (metrics[n]["over_inclusive"]["value"] - 1) for n in names]
    errors = [100 * metrics[n]["over_inclusive"]["error"] for n in names]
    colours = [_COLOUR[name] for name in names]
    axis.barh(position, values, xerr=errors, color=colours, height=0.7)
    axis.set_yticks(position, [SCHEMES[name] for name in names])
    axis.axvline(0, color="black", lw=0.8)
    axis.set_xlabel("gain in expected significance over one category, %")
    label(axis, simulation=True)
    return figure


def hypotheses(
    grid: Floats, values: Floats, truth: Sequence[float], threshold: Mapping[float, float]
) -> Figure:
    """What the critic expects of all energies of a few photons, and which it keeps.

    Parameters
    ----------
    grid
        (g,) changes of log energy.
    values
        (p, g) expected errors, in units of the reward's scale.
    truth
        (p,) true changes of log energy, shown and not used.
    threshold
        Level to threshold above the best.
    """
    figure, axes = new_figure(1, len(values), width=4.0, height=4.0, sharey=True)
    for axis, value, true in zip(axes[0], values, truth, strict=True):
        axis.plot(100 * grid, value, color=COLOURS[0])
        for colour, (level, above) in zip(COLOURS[1:], threshold.items(), strict=False):
            kept = value <= value.min() + above
            text = f"{100 * level:.0f} % set"
            axis.fill_between(100 * grid, 0, value, kept, color=colour, alpha=0.35, label=text)
        axis.axvline(100 * true, color="black", ls="--", label="truth")
        axis.set_xlabel("change of log E from the refined, %")
        axis.set_ylim(bottom=0)
        label(axis, simulation=True, right="")
    axes[0, 0].set_ylabel("error expected by the critic / 2 %")
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    return figure
