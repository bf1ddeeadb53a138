"""Pictures of events: ECAL, HCAL and tracks in eta and phi, photons before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.plotting import COLOURS, label, new_figure
from data.batch import Hits
from data.detector.geometry import (
    EB_ETA,
    EB_PHI,
    EE_ETA,
    EE_ETA_EDGES,
    EE_PHI,
    HBHE_ETA_EDGES,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

_ECAL_MIN, _HCAL_MIN, _TRACK_MIN = 0.3, 0.7, 0.5  # GeV
_ZOOM = 7  # crystals on each side of a photon
_PHI_BIN = 2 * np.pi / 72


@dataclass(frozen=True)
class EventPicture:
    """What is drawn of one event.

    Attributes
    ----------
    hits
        Hits of the event by channel.
    values
        Its row of the table of `apply`.
    simulation
        Whether the event is simulated.
    """

    hits: Mapping[str, Hits]
    values: Mapping[str, Any]
    simulation: bool


def draw_event(picture: EventPicture) -> Figure:
    """The whole detector above, each photon's crystals below."""
    from matplotlib import pyplot as plt

    figure, axes = new_figure(1, 1, width=11.0, height=9.0)
    plt.delaxes(axes[0, 0])
    grid = figure.add_gridspec(2, 3, height_ratios=(1.15, 1), width_ratios=(1, 1, 0.62))
    overview = figure.add_subplot(grid[0, :])
    _overview(overview, picture)
    for slot in (1, 2):
        _photon(figure.add_subplot(grid[1, slot - 1]), picture, slot)
    _text(figure.add_subplot(grid[1, 2]), picture.values)
    figure.tight_layout()
    return figure


def _overview(axis: Axes, picture: EventPicture) -> None:
    _towers(axis, picture.hits.get("HBHE"))
    for channel, places in (("EB", _eb_places), ("EE", _ee_places)):
        hits = picture.hits.get(channel)
        if hits is not None:
            eta, phi = places(hits.cell.astype(np.int64))
            keep = hits.energy > _ECAL_MIN
            axis.scatter(
                phi[keep], eta[keep], s=7 * np.sqrt(hits.energy[keep]), marker="s",
                color=COLOURS[2], lw=0, label="ECAL" if channel == "EB" else None,
            )  # fmt: skip
    tracks = picture.hits.get("TRK")
    if tracks is not None:
        eta, phi = _track_places(tracks.cell.astype(np.int64))
        keep = tracks.energy > _TRACK_MIN
        axis.scatter(
            phi[keep], eta[keep], s=9 * np.sqrt(tracks.energy[keep]), marker="^",
            facecolor="none", edgecolor=COLOURS[3], lw=0.7, label="tracks",
        )  # fmt: skip
    for slot in (1, 2):
        eta, phi = (picture.values[f"{name}_refined_{slot}"] for name in ("eta", "phi"))
        axis.annotate(
            f"γ{slot}", (phi, eta), xytext=(12, 8), textcoords="offset points", fontsize=12
        )
        axis.plot(phi, eta, "o", ms=22, mfc="none", mec="black", mew=1)
    axis.set_xlim(-np.pi, np.pi)
    axis.set_ylim(-3, 3)
    axis.set_xlabel("φ")
    axis.set_ylabel("η")
    axis.legend(loc="upper right", fontsize=9, ncols=3, frameon=True)
    identity = "run {run}, lumi {lumi}, event {event}".format(**picture.values)
    label(axis, simulation=picture.simulation, right=identity)


def _towers(axis: Axes, hits: Hits | None) -> None:
    """HCAL towers as shaded boxes."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    if hits is None:
        return
    keep = hits.energy > _HCAL_MIN
    cell, energy = hits.cell[keep].astype(np.int64), hits.energy[keep]
    edges = np.concatenate([-HBHE_ETA_EDGES[:0:-1], HBHE_ETA_EDGES])
    low, high = edges[cell // 72], edges[cell // 72 + 1]
    phi = (cell % 72 - 2) * _PHI_BIN
    phi = (phi + np.pi) % (2 * np.pi) - np.pi
    boxes = [Rectangle((p, a), _PHI_BIN, b - a) for p, a, b in zip(phi, low, high, strict=True)]
    towers = PatchCollection(boxes, cmap="Blues")
    towers.set_array(np.log10(np.maximum(energy, _HCAL_MIN)))
    towers.set_clim(-0.5, 2)
    axis.add_collection(towers)
    axis.scatter([], [], marker="s", color=COLOURS[0], label="HCAL")


def _photon(axis: Axes, picture: EventPicture, slot: int) -> None:
    """Crystals round one photon, with its place before and after."""
    values = picture.values
    before, after = (_crystal(values, kind, slot) for kind in ("standard", "refined"))
    image = np.full((2 * _ZOOM + 1, 2 * _ZOOM + 1), np.nan)
    row0, column0 = int(before[0]) - _ZOOM, int(before[1]) - _ZOOM
    hits = picture.hits["EB"]
    cell = hits.cell.astype(np.int64)
    row, column = cell // 360 - row0, (cell % 360 - column0) % 360
    near = (row >= 0) & (row < len(image)) & (column < len(image))
    image[row[near], column[near]] = np.maximum(hits.energy[near], 1e-3)
    extent = (column0, column0 + len(image), row0, row0 + len(image))
    from matplotlib.colors import LogNorm

    shown = axis.imshow(
        image, origin="lower", extent=extent, cmap="YlOrRd", norm=LogNorm(0.05, 100)
    )
    axis.plot(before[1], before[0], "x", color="black", ms=10, mew=1.5, label="before")
    axis.plot(after[1], after[0], "+", color=COLOURS[0], ms=13, mew=2, label="after")
    axis.set_xlabel("φ crystal")
    axis.set_ylabel("η crystal")
    axis.legend(loc="upper right", fontsize=8, frameon=True)
    energy = f"{values[f'energy_standard_{slot}']:.2f} → {values[f'energy_refined_{slot}']:.2f} GeV"
    axis.set_title(f"γ{slot}: {energy}", fontsize=11)
    axis.figure.colorbar(shown, ax=axis, fraction=0.046, label="GeV")


def _crystal(values: Mapping[str, Any], kind: str, slot: int) -> tuple[float, float]:
    return values[f"u_{kind}_{slot}"], values[f"v_{kind}_{slot}"]


def _text(axis: Axes, values: Mapping[str, Any]) -> None:
    lines = [
        f"m = {values['m_gg_standard']:.2f} GeV before",
        f"m = {values['m_gg_refined']:.2f} GeV after",
        f"m = {values['m_gg_file']:.2f} GeV in the file",
        "",
        f"score H→γγ   {values['score_higgs']:.3f}",
        f"score γγ     {values['score_diphoton']:.3f}",
        f"score γ+jet  {values['score_gamma_jet']:.3f}",
    ]
    axis.text(0, 0.95, "\n".join(lines), va="top", fontsize=12, family="monospace")
    axis.set_axis_off()


def _eb_places(cell: NDArray[np.int64]) -> tuple[Floats, Floats]:
    return EB_ETA[cell // 360], EB_PHI[cell % 360]


def _ee_places(cell: NDArray[np.int64]) -> tuple[Floats, Floats]:
    return EE_ETA.ravel()[cell], EE_PHI.ravel()[cell]


def _track_places(cell: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Centres of the cells of the stitched image."""
    centre = (EE_ETA_EDGES[:-1] + EE_ETA_EDGES[1:]) / 2
    eta = np.concatenate([-centre[::-1], EB_ETA, centre])[cell // 360]
    column = cell % 360
    barrel = (cell // 360 >= 55) & (cell // 360 < 225)
    endcap_phi = np.deg2rad((column - 190) % 360 + 0.5) - np.pi
    return eta, np.where(barrel, EB_PHI[column], endcap_phi)
