"""Pictures of an episode: the crystals, the profile that its peaks make, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LogNorm, SymLogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data.simulation.shower_profile import CRYSTALS
from envs.faces.pictures import figure_image
from envs.profile.dynamics import Peaks, ProfileDynamics
from envs.profile.peaks import N_PEAKS, draw_profiles, shares

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = NDArray[np.float32]

_EXTENT = (-CRYSTALS[1] / 2, CRYSTALS[1] / 2, -CRYSTALS[0] / 2, CRYSTALS[0] / 2)
_MIN_SHARE = 0.005  # of a peak that is marked


def draw_episode(
    dynamics: ProfileDynamics, state: Peaks, with_truth: bool = False
) -> NDArray[np.uint8]:
    """Draw the first episode as an RGB image, (H, W, 3).

    Parameters
    ----------
    with_truth
        Show the true profile too, for those who judge; the environment never does.

    Raises
    ------
    ValueError
        If the truth is wanted where it is not known.
    """
    if with_truth and dynamics.truth is None:
        raise ValueError("there is no true profile to draw")
    photon = int(state.photon[0])
    observed = dynamics.observed(state.photon[:1])[0]
    left = state.residual[0].reshape(CRYSTALS)
    pictures = {
        "crystals": observed,
        "profile of the peaks": draw_profiles(state.peaks[:1])[0],
        "crystals − profile": left,
    }
    if with_truth and dynamics.truth is not None:
        pictures["true profile"] = dynamics.truth[photon].astype(np.float32)
    figure = Figure(figsize=(6.5, 2.7 * len(pictures)), dpi=90, layout="constrained")
    axes = figure.subplots(len(pictures), 1, squeeze=False)[:, 0]
    for axis, (title, values) in zip(axes, pictures.items(), strict=True):
        draw_map(axis, values, is_difference=values is left)
        axis.set_title(title, fontsize=10)
        mark_peaks(axis, state.peaks[0])
    energy = dynamics.table.energy[photon]
    axes[0].set_title(f"crystals, E = {energy:.1f} GeV, step {int(state.step[0])}", fontsize=10)
    axes[-1].set_xlabel("φ from the seed, crystals")
    return figure_image(figure)


def draw_map(axis: Axes, values: FloatArray, is_difference: bool = False) -> None:
    """Draw shares in cells of any size within the profile's window.

    Colours show the share per crystal's area, so that crystals and fine cells compare.
    """
    per_crystal = values * values.size / (CRYSTALS[0] * CRYSTALS[1])
    norm = SymLogNorm(0.002, vmin=-0.2, vmax=0.2) if is_difference else LogNorm(1e-3, 6, clip=True)
    colours = "RdBu_r" if is_difference else "viridis"
    axis.imshow(per_crystal, origin="lower", extent=_EXTENT, cmap=colours, norm=norm)
    axis.set_ylabel("η, crystals", fontsize=9)


def mark_peaks(axis: Axes, peaks: FloatArray) -> None:
    """Mark peaks (10,) by circles, larger for larger shares."""
    part = shares(peaks[None])[0]
    for k in range(N_PEAKS):
        if part[k] > _MIN_SHARE:
            u, v = peaks[3 * k + 1 : 3 * k + 3]
            axis.scatter(
                v, u, s=20 + 160 * part[k], facecolors="none", edgecolors="#e42536", lw=1.5
            )
