"""Figures of a refinement run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from common.plotting import COLOURS, label, new_figure
from envs.refinement.dynamics import Hypotheses, RefinementDynamics
from envs.refinement.render import fill_axes
from rl.evaluation.pairs import Floats
from rl.learning.training import CurvePoint
from rl.refinement.rollouts import NamedRollout

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Metrics = Mapping[str, Mapping[str, Any]]

TITLES = {
    "standard": "standard 5x5",
    "kinematics": "regression, kinematics only",
    "regression": "regression shown to the agent",
    "peer": "supervised peer, identical inputs",
    "agent": "agent",
    "control": "agent on shuffled truth",
}
_COLOUR = dict(zip(TITLES, (*COLOURS[4:5], *COLOURS[:1], *COLOURS[5:], *COLOURS[1:4]), strict=True))
_SHOWN = ("standard", "kinematics", "peer", "agent")


def resolutions(photons: Metrics, masses: Metrics) -> Figure:
    """Bars with errors: sigma_eff of the photon energy and of the diphoton mass."""
    figure, axes = new_figure(1, 2, width=6.0, height=4.0, sharey=True)
    columns = (
        (photons, "sigma_eff_energy", "σ_eff(E / E_true), %"),
        (masses, "sigma_eff_mass", "σ_eff(m) / m, H → γγ, %"),
    )
    for axis, (metrics, key, title) in zip(axes[0], columns, strict=True):
        names = [name for name in TITLES if name in metrics]
        values = [metrics[name][key]["value"] for name in names]
        errors = [metrics[name][key]["error"] for name in names]
        position = np.arange(len(names))[::-1]
        axis.barh(position, values, xerr=errors, color=[_COLOUR[n] for n in names], height=0.7)
        axis.set_yticks(position, [TITLES[name] for name in names])
        axis.set_xlabel(title)
        label(axis, simulation=True)
    figure.tight_layout()
    return figure


def energy_ratios(ratios: Mapping[str, Floats]) -> Figure:
    """E / E_true before and after."""
    figure, axes = new_figure()
    _steps(axes[0, 0], {n: r for n, r in ratios.items() if n in _SHOWN}, np.linspace(0.8, 1.1, 76))
    axes[0, 0].set_yscale("log")
    axes[0, 0].set_xlabel("E / E_true")
    axes[0, 0].set_ylabel("photons / bin")
    label(axes[0, 0], simulation=True)
    return figure


def masses(higgs: Mapping[str, Floats], smooth: Mapping[str, Floats]) -> Figure:
    """m_gg before and after, of Higgs events and of a smooth background."""
    figure, axes = new_figure(1, 2)
    shown = ("standard", "agent")
    _steps(axes[0, 0], {n: higgs[n] for n in (*shown, "peer")}, np.linspace(110, 135, 51))
    _steps(axes[0, 1], {n: smooth[n] for n in shown}, np.linspace(100, 160, 31))
    axes[0, 1].axvspan(120, 130, color="black", alpha=0.07, lw=0)
    axes[0, 1].set_ylim(bottom=0)
    for axis, title in zip(axes[0], ("H → γγ", "smooth background"), strict=True):
        axis.set_xlabel("m_γγ, GeV")
        axis.set_ylabel("pairs / bin")
        label(axis, simulation=True, right=title)
    figure.tight_layout()
    return figure


def learning_curve(
    curves: Mapping[str, Sequence[CurvePoint]], levels: Mapping[str, float]
) -> Figure:
    """Held-out energy resolution against gradient steps, with the peers' as lines."""
    figure, axes = new_figure()
    axis = axes[0, 0]
    for name, curve in curves.items():
        axis.plot(
            [point["updates"] for point in curve],
            [100 * point["sigma_eff_energy"] for point in curve],
            "o-", color=_COLOUR[name], label=TITLES[name],
        )  # fmt: skip
    for name, level in levels.items():
        axis.axhline(level, color=_COLOUR[name], ls="--", label=TITLES[name])
    axis.set_xlabel("gradient steps")
    axis.set_ylabel("held-out σ_eff(E / E_true), %")
    # A control wanders; what it does above the standard's level is of no interest.
    axis.set_ylim(0, 1.4 * max(levels.values()))
    axis.legend(fontsize=9, loc="lower left", ncols=2)
    label(axis, simulation=True)
    return figure


def rollout_plane(
    dynamics: RefinementDynamics, rollouts: Sequence[NamedRollout], photon: int
) -> Figure:
    """Hypotheses of one photon under several policies in the crystal plane, and its residuals."""
    figure, axes = new_figure(2, 3, width=3.8, height=3.6)
    target = dynamics.table.target
    offset = dynamics.table.offset[photon]
    plane, energies = axes[1, 0], axes[1, 1]
    best = rollouts[0].rollout.correction[:, photon]
    fill_axes(axes[0], dynamics, _hypothesis(photon, best))
    for k, named in enumerate(rollouts):
        path = named.rollout.correction[:, photon]
        name = {0: "agent", 1: "agent, noisy actions"}.get(k)
        style: dict[str, Any] = {"color": COLOURS[min(k, 1)], "alpha": 1.0 if k == 0 else 0.5}
        plane.plot(offset[1] + path[:, 2], offset[0] + path[:, 1], ".-", **style)
        energies.plot(100 * path[:, 0], ".-", **style, label=name)
    if target is not None and np.isfinite(target[photon]).all():
        true = target[photon]
        plane.plot(offset[1] + true[2], offset[0] + true[1], "*", color="black", markersize=12)
        energies.axhline(100 * true[0], color="black", ls=":", label="truth")
    plane.set_xlabel("φ from the seed, crystals")
    plane.set_ylabel("η from the seed, crystals")
    plane.set_aspect("equal", "datalim")
    energies.set_xlabel("step")
    energies.set_ylabel("change of log E, %")
    energies.legend(fontsize=8)
    axes[1, 2].set_axis_off()
    label(plane, simulation=True, right="")
    figure.tight_layout()
    return figure


def _hypothesis(photon: int, path: np.ndarray) -> Hypotheses:
    return Hypotheses(
        np.array([photon]), path[-1:], np.array([len(path) - 1]), np.zeros(1, dtype=np.float32)
    )


def _steps(axis: Any, values: Mapping[str, Floats], edges: np.ndarray) -> None:
    for name, found in values.items():
        axis.hist(found, edges, histtype="step", lw=1.6, color=_COLOUR[name], label=TITLES[name])
    axis.legend(fontsize=9)
