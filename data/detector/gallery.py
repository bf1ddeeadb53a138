"""Pictures of one event in every geometry, and of one jet.

python -m data.detector.gallery events.h5 event.png
python -m data.detector.gallery events.h5 jet.png --jet
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path
from common.plotting import COLOURS, new_figure
from data.batch import CHANNELS, Hits
from data.detector.geometry import EE_VALID
from data.detector.images import make_image
from data.detector.jets import JET_LAYERS, JET_SIZE, contained, jet_crops
from data.store import EventStore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    Drawn = AxesImage | PathCollection

_ENERGY, _TRACKS = "viridis_r", "plasma_r"
_PANELS = (  # name, title, colour map, unit
    ("EEm_energy", "EE$-$, crystals", _ENERGY, "E [GeV]"),
    ("EB_energy", "EB, crystals", _ENERGY, "E [GeV]"),
    ("EEp_energy", "EE$+$, crystals", _ENERGY, "E [GeV]"),
    ("ECAL_energy", "ECAL stitched", _ENERGY, "E [GeV]"),
    ("ECAL_ET", "transverse part", _ENERGY, "$E_T$ [GeV]"),
    ("ECAL_EZ", "longitudinal part", "coolwarm", "$E_z$ [GeV]"),
    ("HBHE_energy", "HBHE, towers", _ENERGY, "E [GeV]"),
    ("HBHE_energy_up", "HBHE upsampled to crystals", _ENERGY, "E / 25 [GeV]"),
    ("HBHE_EMenergy", "ECAL in towers", _ENERGY, "E [GeV]"),
    ("ECAL_tracksPt", "tracks at the origin's direction", _TRACKS, "$p_T$ [GeV]"),
    ("ECAL_tracksQPtAtECAL", "tracks where they meet the ECAL", "coolwarm", "q $p_T$ [GeV]"),
    ("ECAL_time", "time", "coolwarm", "t [ns]"),
)
_LAYER_TITLES = ("tracks, $p_T$", "ECAL, E", "HCAL upsampled, E / 25")


def draw_event(store: EventStore, index: int) -> Figure:
    """One event in the main geometries; filled cells are drawn larger than they are."""
    hits = _hits(store, index)
    figure, axes = new_figure(4, 3, width=4.6, height=3.1)
    for axis, (name, title, colours, unit) in zip(axes.ravel(), _PANELS, strict=True):
        image = make_image(name, hits)[0]
        drawn = _draw(axis, image, colours, unit)
        bar = figure.colorbar(drawn, ax=axis, pad=0.02, label=unit)
        if colours == "coolwarm" and not unit.startswith("t "):
            bar.set_ticks([-10, -1, 0, 1, 10])
        axis.set_title(f"{name}\n{title}", fontsize=11)
        if name.startswith("ECAL"):
            for row in (54.5, 224.5):
                axis.axhline(row, color="0.75", linewidth=0.8, zorder=0)
            _circle_photons(axis, store, index)
    figure.suptitle(_describe(store, index), fontsize=14, x=0.02, ha="left", fontweight="bold")
    figure.tight_layout(rect=(0, 0, 1, 0.99))
    return figure


def draw_jet(store: EventStore, index: int) -> Figure:
    """The window round the most energetic tower of an event, layer by layer and overlaid."""
    hits = _hits(store, index)
    row, column = _highest_tower(hits["HBHE"])
    crop = jet_crops(hits, [0], [row], [column])[0]
    figure, axes = new_figure(1, 4, width=3.7, height=4.4)
    for i, (axis, title) in enumerate(zip(axes[0], _LAYER_TITLES, strict=False)):
        _draw_window(axis, crop[..., i], COLOURS[i])
        axis.set_title(f"{JET_LAYERS[i]}\n{title}", fontsize=11)
    # HCAL first and tracks last, so that none hides another.
    for i in reversed(range(len(JET_LAYERS))):
        _draw_window(axes[0, 3], crop[..., i], COLOURS[i])
    axes[0, 3].set_title("overlaid\n" + f"seed: row {row}, column {column} of HBHE", fontsize=11)
    axes[0, 0].set_ylabel("crystal row ($\\eta$)")
    figure.suptitle(_describe(store, index), fontsize=14, x=0.02, ha="left", fontweight="bold")
    figure.tight_layout(rect=(0, 0, 1, 0.99))
    return figure


def _draw(axis: Axes, image: NDArray, colours: str, unit: str) -> Drawn:
    """Towers and wide cells as an image, single crystals as marks that can be seen."""
    from matplotlib.colors import LogNorm, Normalize, SymLogNorm

    filled = np.argwhere(image != 0)
    value = image[image != 0]
    size = np.abs(value).max(initial=1e-3)
    if unit.startswith("t "):
        norm: Normalize = Normalize(-25, 25)
    elif colours == "coolwarm":
        norm = SymLogNorm(1.0, vmin=-size, vmax=size)
    else:
        norm = LogNorm(max(np.abs(value).min(initial=size), size / 3000), size)
    rows, columns = image.shape
    axis.set(xlim=(-0.5, columns - 0.5), ylim=(-0.5, rows - 0.5))
    if columns == 100:
        axis.imshow(np.where(EE_VALID, 0.93, 1), cmap="gray", vmin=0, vmax=1, origin="lower")
        axis.set(xlabel="ix - 1", ylabel="iy - 1")
    else:
        axis.set(xlabel="column ($\\phi$)", ylabel="row ($\\eta$)")
    if columns == 72 or len(value) > 10 * columns:
        masked = np.ma.masked_equal(image, 0)
        return axis.imshow(
            masked, cmap=colours, norm=norm, origin="lower", aspect="auto", interpolation="nearest"
        )
    order = np.argsort(np.abs(value), kind="stable")
    return axis.scatter(
        filled[order, 1], filled[order, 0], c=value[order], s=7, marker="s", cmap=colours,
        norm=norm, linewidths=0,
    )  # fmt: skip


def _draw_window(axis: Axes, window: NDArray, colour: str) -> None:
    """Cells in one colour, the darker the more they hold (by the logarithm)."""
    from matplotlib.colors import to_rgb

    rows, columns = np.nonzero(window)
    value = np.log1p(window[rows, columns] / np.median(window[rows, columns])) if len(rows) else []
    order = np.argsort(value, kind="stable")
    strength = 0.3 + 0.7 * np.array(value) / max(value, default=1.0)
    colours = 1 - (1 - np.array(to_rgb(colour))) * strength[:, None]
    # Single crystals are drawn larger than they are, to be seen; towers fill their 25 cells.
    size = 5.0 if len(rows) > 0.02 * JET_SIZE**2 else 10.0
    axis.scatter(columns[order], rows[order], c=colours[order], s=size, marker="s", linewidths=0)
    ticks = range(0, JET_SIZE, 25)
    axis.set(xlim=(-0.5, JET_SIZE - 0.5), ylim=(-0.5, JET_SIZE - 0.5), xticks=ticks, yticks=ticks,
             xlabel="crystal column ($\\phi$)", aspect="equal")  # fmt: skip


def _circle_photons(axis: Axes, store: EventStore, index: int) -> None:
    u, v = (store.clusters(name)[index] for name in ("u", "v"))
    axis.scatter(v - 0.5, u + 54.5, s=90, facecolors="none", edgecolors="k", linewidths=0.9)


def _hits(store: EventStore, index: int) -> dict[str, Hits]:
    return {channel: store.hits(channel, index, index + 1) for channel in CHANNELS}


def _highest_tower(towers: Hits) -> tuple[int, int]:
    """The most energetic tower whose window lies inside the detector."""
    cell = towers.cell.astype(np.int64)
    energy = np.where(contained(cell // 72), towers.energy, 0)
    row, column = divmod(int(cell[np.argmax(energy)]), 72)
    return row, column


def _describe(store: EventStore, index: int) -> str:
    run, number = (int(store.event(name)[index]) for name in ("run", "event"))
    mass = float(store.event("m_gg")[index])
    origin = "Simulation" if store.simulation else "CMS Open Data"
    pair = f", diphoton mass {mass:.1f} GeV" if store.event("selected")[index] else ""
    return f"{origin}, 8 TeV    run {run}, event {number}{pair}"


def _choose(store: EventStore, jet: bool) -> int:
    """The selected event of highest mass; for a jet, that of the most energetic tower."""
    if not jet:
        mass = np.nan_to_num(store.event("m_gg"))
        return int(np.argmax(np.where(store.event("selected"), mass, 0)))
    towers = store.hits("HBHE")
    inside = contained(towers.cell.astype(np.int64) // 72)
    if not inside.any():
        raise InputError(store.path, "no HBHE tower whose window lies inside the detector")
    return int(towers.event[np.argmax(np.where(inside, towers.energy, 0))])


def main(arguments: list[str] | None = None) -> None:
    """Draw a store's event, or its jet, to a PNG."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m data.detector.gallery")
    parser.add_argument("store", type=Path, help="event store with EB, EE, HBHE and TRK hits")
    parser.add_argument("output", type=Path, help="PNG to write")
    parser.add_argument("--jet", action="store_true", help="the jet at the highest tower")
    parser.add_argument("--index", type=int, help="which event of the store, from 0")
    chosen = parser.parse_args(arguments)
    draw: Callable[[EventStore, int], Figure] = draw_jet if chosen.jet else draw_event
    with EventStore(chosen.store) as store:
        index = _choose(store, chosen.jet) if chosen.index is None else chosen.index
        figure = draw(store, index)
    with atomic_path(chosen.output) as temporary:
        figure.savefig(temporary, dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    main()
