"""Figures of the study of categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from common.plotting import COLOURS, label, new_figure
from envs.categories.dynamics import CategoryDynamics
from envs.categories.render import fill_plane
from envs.categories.significance import Floats
from rl.categories.study import TITLES
from rl.categories.tables import joined, title_of, with_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SEARCHES = {"random": COLOURS[4], "one_by_one": COLOURS[1], "cross_entropy": COLOURS[3]}
_PLANES = ("first", "cross_entropy", "agent_0")


def gains(methods: Mapping[str, Any], controls: Mapping[str, Any]) -> Figure:
    """Significance over that of one category; the controls beside it."""
    figure, axes = new_figure(width=8.0, height=5.4)
    axis = axes[0, 0]
    rows = {title_of(name): row for name, row in with_mean(methods).items() if name != "inclusive"}
    rows |= {
        f"control: {title_of(name)}": row
        for name, row in controls.items()
        if name not in ("inclusive", "first")
    }
    position = np.arange(len(rows))[::-1]
    axis.errorbar(
        [row["gain"]["value"] for row in rows.values()], position,
        xerr=[row["gain"]["error"] for row in rows.values()], fmt="o", color=COLOURS[0],
        label="half not chosen on",
    )  # fmt: skip
    trained = [row["gain"]["value"] + row["optimism"] for row in rows.values()]
    axis.plot(trained, position, "|", ms=10, color=COLOURS[2], label="half chosen on")
    axis.set_yticks(position, list(rows), fontsize=9)
    axis.axvline(1, color="black", lw=0.8)
    axis.set_xlabel("expected significance over that of one category")
    axis.legend(fontsize=9, loc="lower right")
    label(axis, simulation=True)
    figure.tight_layout()
    return figure


def efficiency(metrics: Mapping[str, Any]) -> Figure:
    """Gain against evaluations, for the expected yields and for others."""
    figure, axes = new_figure(1, 2, width=6.0)
    left, right = axes[0]
    for name, colour in _SEARCHES.items():
        budgets = list(metrics["curves"][0][name])
        values = [
            np.mean([test for half in metrics["curves"] for _, test in half[name][budget]])
            for budget in budgets
        ]
        left.plot(budgets, values, "o-", color=colour, label=TITLES[name])
        others = list(metrics["scenarios"][0][name])
        found = [np.mean(joined(metrics["scenarios"], name, budget)) for budget in others]
        if others:
            right.plot([int(b) for b in others], found, "o-", color=colour, label=TITLES[name])
    methods = with_mean(metrics["methods"])
    for name, colour in (("agent", COLOURS[0]), ("agent_0", COLOURS[0]), ("grid", COLOURS[5])):
        if name in methods and not (name == "agent_0" and "agent" in methods):
            row = methods[name]
            left.plot(row["evaluations"], row["gain"]["value"], "*", ms=13, color=colour,
                      label=title_of(name))  # fmt: skip
    for budget in metrics["scenarios"][0]["agent"]:
        moved = np.mean(joined(metrics["scenarios"], "agent", budget))
        right.plot(int(budget), moved, "*", ms=13, color=COLOURS[0], label=TITLES["agent"])
        fixed = np.mean(joined(metrics["scenarios"], "fixed", "0"))
        right.axhline(fixed, color="black", ls=":", label="edges of the expected yields")
    for axis, title in ((left, "expected yields"), (right, "other yields")):
        axis.set_xscale("log")
        axis.set_xlabel("evaluations of the significance")
        axis.set_ylabel("over one category, half not chosen on")
        axis.legend(fontsize=8, loc="lower right")
        label(axis, simulation=True, right=title)
    figure.tight_layout()
    return figure


def learning(curves: Sequence[Sequence[Sequence[Mapping[str, float]]]]) -> Figure:
    """Significance on both halves while the agents learn."""
    figure, axes = new_figure()
    axis = axes[0, 0]
    for half in curves:
        for seed, curve in enumerate(half):
            x = [point["transitions"] for point in curve]
            for style, key in (("-", "test"), (":", "train")):
                y = [point[key] for point in curve]
                axis.plot(x, y, style, color=COLOURS[seed % len(COLOURS)])
    axis.plot([], [], "-", color="black", label="other half")
    axis.plot([], [], ":", color="black", label="half chosen on")
    axis.set_xlabel("transitions")
    axis.set_ylabel("significance over that of one category")
    axis.legend(fontsize=9)
    label(axis, simulation=True, right="one colour per seed")
    return figure


def planes(dynamics: CategoryDynamics, edges: Mapping[str, Floats]) -> Figure:
    """Categories of several methods in the plane."""
    names = [name for name in _PLANES if name in edges]
    figure, axes = new_figure(1, len(names), width=5.0, height=4.6, sharey=True)
    for axis, name in zip(axes[0], names, strict=True):
        fill_plane(axis, dynamics, edges[name])
        label(axis, simulation=True, right=title_of(name).split(",")[0])
    figure.tight_layout()
    return figure
