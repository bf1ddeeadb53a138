"""Pictures of a hypothesis: the crystals, the shower it expects, and what is left.

`python -m envs.refinement.render --photon 7 --output picture.png` draws the first hypothesis about
a photon of the sample.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data.detector.geometry import eb_eta_phi
from envs.faces.arrays import host
from envs.faces.pictures import figure_image
from envs.refinement.dynamics import Hypotheses, RefinementDynamics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PERCENT = 100.0
_TITLES = ("observed, GeV", "expected there, GeV", "observed − expected, % of E")
_ENERGY = ("Blues", LogNorm(0.001, 1, clip=True))
_RESIDUAL = ("RdBu_r", SymLogNorm(0.002, vmin=-0.2, vmax=0.2))
_MARKS: dict[str, dict[str, Any]] = {
    "standard": {"marker": "X", "color": "white", "markersize": 9, "zorder": 3},
    "hypothesis": {"marker": "o", "color": "#f89c20", "markersize": 9, "zorder": 5},
    "truth": {"marker": "*", "color": "#e42536", "markersize": 13, "zorder": 4},
}
_ZOOM = 0.3  # crystals


def draw_hypothesis(dynamics: RefinementDynamics, state: Hypotheses) -> NDArray[np.uint8]:
    """Draw the first of the hypotheses as an RGB image, (H, W, 3)."""
    figure = Figure(figsize=(14, 4), dpi=100)
    axes = np.array([figure.add_axes((0.035 + 0.245 * k, 0.11, 0.23, 0.81)) for k in range(3)])
    fill_axes(axes, dynamics, state)
    axes[0].set_ylabel("η from the seed, crystals", labelpad=0)
    for axis in axes[1:]:
        axis.tick_params(labelleft=False)
    figure.text(0.767, 0.97, _numbers(dynamics, state), family="monospace", fontsize=10, va="top")
    _zoom(figure.add_axes((0.795, 0.11, 0.195, 0.37)), dynamics, state)
    return figure_image(figure)


def fill_axes(axes: NDArray, dynamics: RefinementDynamics, state: Hypotheses) -> None:
    """Draw observed, expected and residual crystals of the first hypothesis on three axes.

    Energies are written in GeV, the residual in per cent of the standard energy.
    """
    observed, expected = (images[0] for images in dynamics.images(state))
    energy = dynamics.table.energy[host(state.photon)[0]]
    residual = observed - expected
    found = places(dynamics, state)
    # Numbers stand in the half of their crystal that the impact point leaves free.
    free = 0.8 if found["hypothesis"][1] < 0 else 0.2
    _crystals(axes[0], observed, energy * observed, free, *_ENERGY)
    _crystals(axes[1], expected, energy * expected, free, *_ENERGY)
    _crystals(axes[2], residual, _PERCENT * residual, free, *_RESIDUAL)
    for axis, title in zip(axes, _TITLES, strict=True):
        axis.set_title(title, fontsize=11)
        _mark(axis, found, size=0.7)


def places(dynamics: RefinementDynamics, state: Hypotheses) -> dict[str, NDArray[np.float32]]:
    """Corrections (3,) of the first episode by name: standard, hypothesis, and truth if known."""
    photon = int(host(state.photon)[0])
    found = {"standard": np.zeros(3, dtype=np.float32), "hypothesis": host(state.correction)[0]}
    target = dynamics.table.target
    if target is not None and np.isfinite(target[photon]).all():
        found["truth"] = target[photon]
    offset = dynamics.table.offset[photon]
    return {name: np.append(c[:1], offset + c[1:]) for name, c in found.items()}


def _crystals(
    axis: Axes,
    shares: NDArray[np.float32],
    written: NDArray[np.float32],
    free: float,
    colours: str,
    norm: Normalize,
) -> None:
    half = shares.shape[0] / 2
    axis.imshow(shares, origin="lower", extent=(-half, half, -half, half), cmap=colours, norm=norm)
    painted = colormaps[colours](norm(shares))[..., :3] @ (0.3, 0.6, 0.1)
    for (row, column), value in np.ndenumerate(written):
        text = f"{value:.1f}" if abs(value) < 10 else f"{value:.0f}"
        if text in ("0.0", "-0.0"):
            continue
        axis.text(
            column - half + 0.5, row - half + free, text, fontsize=6.5, ha="center", va="center",
            color="black" if painted[row, column] > 0.5 else "white",
        )  # fmt: skip
    axis.set_xlabel("φ from the seed, crystals")
    axis.set_xticks(np.arange(-3, 4))
    axis.set_yticks(np.arange(-3, 4))


def _mark(axis: Axes, found: dict[str, NDArray[np.float32]], size: float = 1.0) -> None:
    for name, place in found.items():
        style = _MARKS[name] | {"markersize": size * _MARKS[name]["markersize"]}
        axis.plot(place[2], place[1], ls="", markeredgecolor="black", label=name, **style)


def _zoom(axis: Axes, dynamics: RefinementDynamics, state: Hypotheses) -> None:
    """The impact point, near enough to see it move."""
    found = places(dynamics, state)
    _mark(axis, found)
    centre = found["standard"][1:]
    axis.annotate(
        "", tuple(found["hypothesis"][:0:-1]), tuple(centre[::-1]),
        arrowprops={"arrowstyle": "->", "color": "grey", "shrinkA": 6, "shrinkB": 6},
    )  # fmt: skip
    for edge in np.arange(-2.5, 3):
        axis.axvline(edge, color="grey", lw=0.8)
        axis.axhline(edge, color="grey", lw=0.8)
    width = 1.85 * _ZOOM  # as wide as the axes are to their height
    axis.set_xlim(centre[1] - width, centre[1] + width)
    axis.set_ylim(centre[0] - _ZOOM, centre[0] + _ZOOM)
    axis.set_facecolor("#eef2f5")
    axis.set_title("impact point; lines: crystal edges", fontsize=10)
    axis.legend(fontsize=8, loc="upper right", framealpha=0.9)


def _numbers(dynamics: RefinementDynamics, state: Hypotheses) -> str:
    photon, table = int(host(state.photon)[0]), dynamics.table
    eta, phi = eb_eta_phi(table.u[photon], table.v[photon])
    found = places(dynamics, state)
    offset = table.offset[photon]
    lines = [
        f"photon {photon}   step {int(host(state.step)[0])} of {dynamics.steps}",
        f"η {float(eta):+.2f}   φ {float(phi):+.2f}   R9 {table.r9[photon]:.3f}",
        "",
        "              E, GeV      Δη     Δφ",
    ]
    for name, place in found.items():
        energy = table.energy[photon] * np.exp(place[0])
        du, dv = place[1:] - offset
        lines.append(f"{name:11s}{energy:9.2f} {du:+7.3f}{dv:+7.3f}")
    observed, expected = dynamics.images(state)
    left = _PERCENT * np.abs(observed - expected)[0].sum()
    lines.append(f"left in 7x7: {left:.1f} % of E")
    if "truth" in found:
        miss = _PERCENT * (found["hypothesis"][0] - found["truth"][0])
        lines.append(f"E off by {miss:+.2f} % (agent not told)")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    from PIL.Image import fromarray

    from envs.refinement.env import make_dynamics

    parser = argparse.ArgumentParser(prog="python -m envs.refinement.render", description=__doc__)
    parser.add_argument("--photon", type=int, default=0, help="row of the sample")
    parser.add_argument("--start", default="regression", help="first hypothesis, or `standard`")
    parser.add_argument("--sample", type=Path, help="default: the shipped one")
    parser.add_argument("--output", type=Path, required=True, help="PNG file to write")
    arguments = parser.parse_args(argv)
    dynamics = make_dynamics(arguments.sample, {"start": arguments.start})
    state = dynamics.start(np.array([arguments.photon]))
    fromarray(draw_hypothesis(dynamics, state)).save(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
