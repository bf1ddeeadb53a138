"""Figures of a calibration run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from common.plotting import COLOURS, label, new_figure
from data.detector.geometry import EB_SHAPE
from rl.calibration.judge import Judged
from rl.calibration.prepared import PreparedPairs
from rl.calibration.tables import TITLES, main_results
from rl.evaluation.pairs import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOUR = {
    "none": COLOURS[4],
    "scales": COLOURS[0],
    "maps": COLOURS[1],
    "mass_loss": COLOURS[5],
    "agent": COLOURS[2],
    "agent_maps": COLOURS[3],
    "oracle": "black",
}
_TRAP_COLOURS = {"control": COLOURS[4], "trap_agent": COLOURS[1]}
_TOWER = 5
_LIMIT = 4.0  # per cent


def peaks(judged: Judged) -> Figure:
    """H → γγ before and after, per method."""
    figure, axes = new_figure(1, 2, width=6.0)
    edges = np.linspace(115, 133, 73)
    shown = (("none", "scales", "maps", "agent"), ("none", "mass_loss", "agent_maps", "oracle"))
    for axis, names in zip(axes[0], shown, strict=True):
        for name in names:
            if name in judged.higgs_changes:
                mass = judged.higgs.corrected_mass(judged.higgs_changes[name])
                axis.hist(
                    mass, edges, histtype="step", lw=1.6, color=_COLOUR[name], label=TITLES[name]
                )
        axis.axvline(125, color="0.7", lw=0.8)
        axis.set(xlabel="m_γγ, GeV", ylabel="pairs / bin")
        axis.legend(fontsize=8, loc="upper left")
        axis.set_ylim(top=1.35 * axis.get_ylim()[1])
        label(axis, simulation=True, right="H → γγ")
    figure.tight_layout()
    return figure


def correction_maps(higgs: PreparedPairs, changes: Mapping[str, Floats]) -> Figure:
    """What has to be corrected in each tower, and what methods correct, per cent."""
    shown = {"true": higgs.left, **{k: changes[k] for k in ("scales", "maps", "agent")}}
    titles = {"true": "true ones of photons (median)", **TITLES}
    figure, axes = new_figure(2, 2, width=5.6, height=3.4, sharex=True, sharey=True)
    for axis, (name, change) in zip(axes.ravel(), shown.items(), strict=True):
        tower = _by_tower(higgs.u.ravel(), higgs.v.ravel(), change.ravel())
        image = axis.imshow(
            100 * tower, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-_LIMIT, vmax=_LIMIT,
            extent=(0, EB_SHAPE[1], 0, EB_SHAPE[0]),
        )  # fmt: skip
        axis.set_title(titles[name], fontsize=10, loc="right")
    for axis in axes[1]:
        axis.set_xlabel("φ, crystals")
    for axis in axes[:, 0]:
        axis.set_ylabel("η, crystals")
    label(axes[0, 0], simulation=True, right="")
    figure.colorbar(image, ax=axes, label="change of log E, %")
    return figure


def _by_tower(u: Floats, v: Floats, change: Floats) -> Floats:
    """Median change in each 5x5 tower; NaN in an empty one."""
    rows, columns = EB_SHAPE[0] // _TOWER, EB_SHAPE[1] // _TOWER
    row = np.clip(u // _TOWER, 0, rows - 1).astype(int)
    tower = row * columns + (v % EB_SHAPE[1] // _TOWER).astype(int)
    order = np.argsort(tower, kind="stable")
    parts = np.split(change[order], np.cumsum(np.bincount(tower, minlength=rows * columns))[:-1])
    found = [np.median(part) if len(part) else np.nan for part in parts]
    return np.array(found).reshape(rows, columns)


def shares(results: Sequence[Mapping[str, Any]]) -> Figure:
    """Share of the lost resolution against the number of candidates, and by detector."""
    main = main_results(results)
    first = main[0]["case"]
    sizes = [
        r for r in results
        if r["case"]["detector"] == first["detector"]
        and r["case"]["background"] == first["background"]
    ]  # fmt: skip
    figure, axes = new_figure(1, 2, width=6.0, sharey=True)
    for name in ("scales", "maps", "mass_loss", "agent", "agent_maps"):
        ordered = sorted(sizes, key=lambda r: r["case"]["candidates"])
        _points(axes[0, 0], [r["case"]["candidates"] for r in ordered], ordered, name, "o-")
        _points(axes[0, 1], [r["case"]["detector"] for r in main], main, name, "o")
    axes[0, 0].set(xscale="log", xlabel="Z → ee candidates", ylabel="share of lost resolution, %")
    axes[0, 1].set_xlabel("detector")
    for axis in axes[0]:
        axis.axhline(95, color="0.7", lw=0.8, ls="--")
        label(axis, simulation=True)
    axes[0, 0].legend(fontsize=9)
    figure.tight_layout()
    return figure


def _points(
    axis: Axes, x: Sequence[Any], results: Sequence[Mapping[str, Any]], name: str, style: str
) -> None:
    found = [r["methods"][name]["share"] for r in results]
    axis.errorbar(
        x, [f["value"] for f in found], [f["error"] for f in found], fmt=style, capsize=3,
        color=_COLOUR[name], label=TITLES[name],
    )  # fmt: skip


def learning_curves(curves: Mapping[str, list[dict[str, float]]]) -> Figure:
    """Width of H → γγ while agents learn."""
    figure, axes = new_figure()
    axis = axes[0, 0]
    seen: set[str] = set()
    for name, points in curves.items():
        method = name.rsplit("_", 1)[0]
        axis.plot(
            [point["updates"] for point in points],
            [100 * point["sigma_eff_mass"] for point in points],
            "o-", ms=3, lw=1, color={**_COLOUR, **_TRAP_COLOURS}[method],
            label=None if method in seen else TITLES[method],
        )  # fmt: skip
        seen.add(method)
    axis.set(xlabel="gradient steps", ylabel="σ_eff(m)/m of H → γγ, %")
    axis.legend(fontsize=9)
    label(axis, simulation=True)
    return figure
