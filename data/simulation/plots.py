"""Figure of the comparison with real events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from common.plotting import label, new_figure
from data.simulation.activity import central_towers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from data.simulation.validation import Sample

_HIT_BINS = np.geomspace(0.05, 50, 31)
_PANELS = (("EB", "EB hit energy [GeV]"), ("EE", "EE hit energy [GeV]"), ("HB", "HB tower [GeV]"))


def spectra(real: Sample, simulated: list[Sample]) -> Figure:
    """Spectra of the hits per event, and R9 of barrel clusters: one real file, two classes."""
    figure, axes = new_figure(2, 2, width=5.6, height=4.0)
    for axis, (channel, title) in zip(axes.ravel(), _PANELS, strict=False):
        for sample in simulated:
            energy, n = _energies(sample, channel)
            axis.hist(
                energy, _HIT_BINS, weights=np.full(len(energy), 1 / n), histtype="step",
                linewidth=1.6, label=f"simulation, {sample.name}",
            )  # fmt: skip
        energy, n = _energies(real, channel)
        counts = np.histogram(energy, _HIT_BINS)[0]
        centres = np.sqrt(_HIT_BINS[1:] * _HIT_BINS[:-1])
        axis.errorbar(
            centres, counts / n, np.sqrt(counts) / n, fmt="ko", markersize=3.5,
            label=f"collisions, {real.name} half",
        )  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel=title, ylabel="hits / event / bin")
    _r9(axes[1, 1], real, simulated)
    axes[0, 0].legend(fontsize=8)
    label(axes[0, 0], simulation=False)
    figure.tight_layout()
    return figure


def _energies(sample: Sample, channel: str) -> tuple[np.ndarray, int]:
    hits = central_towers(sample.hits["HBHE"]) if channel == "HB" else sample.hits[channel]
    return hits.energy, len(hits)


def _r9(axis: Axes, real: Sample, simulated: list[Sample]) -> None:
    bins = np.linspace(0.4, 1.0, 25)
    for sample in simulated:
        axis.hist(sample.photons["R9"], list(bins), density=True, histtype="step", linewidth=1.6)
    counts = np.histogram(real.photons["R9"], bins)[0]
    scale = counts.sum() * np.diff(bins)[0]
    centres = (bins[1:] + bins[:-1]) / 2
    axis.errorbar(centres, counts / scale, np.sqrt(counts) / scale, fmt="ko", markersize=3.5)
    axis.set(xlabel="R9, barrel clusters pt > 20 GeV", ylabel="density")
