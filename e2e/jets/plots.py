"""The figures of the jets stage."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder
from e2e.evaluation.merit import roc
from e2e.jets.images import LAYERS
from e2e.jets.labels import GLUON, QUARK
from e2e.jets.labels import TITLES as FLAVOURS
from e2e.jets.merit import held_out
from e2e.jets.models import NETWORK, Bench, Scores
from e2e.jets.sample import ALL, JetSample
from e2e.jets.shapes import SHAPES
from e2e.jets.tables import TITLES
from e2e.jets.weights import same_spectrum

_SHOWN = ("network", "tree", "network_tracks", "network_ECAL", "network_HCAL", "pt_eta")
_SHAPES_SHOWN = {
    "tracks_n": ("tracks within R = 0.5", (0, 40)),
    "tracks_ptd": ("pTD of tracks", (0, 1)),
    "ECAL_width": ("width in the ECAL (crystals)", (0, 15)),
}
_JETS_IN_MEAN = 3000
Domains = Mapping[str, tuple[JetSample, NDArray[np.float64], bool]]


def draw(folder: RunFolder, bench: Bench, scores: Scores, simulation: bool) -> None:
    """Draw every figure of a run."""
    _roc(folder, bench, scores, simulation)
    _mean_images(folder, bench, simulation)
    _shapes(folder, bench, simulation)
    _spectra(folder, bench, scores, simulation)
    _training(folder, bench, simulation)


def _roc(folder: RunFolder, bench: Bench, scores: Scores, simulation: bool) -> None:
    figure, axes = new_figure(width=6.4, height=5.4)
    axis = axes[0, 0]
    rows = held_out(bench, scores)
    is_quark = bench.label[rows] == QUARK
    points = np.linspace(0.002, 1, 250)
    for colour, name in zip(COLOURS, _SHOWN, strict=True):
        efficiency = roc(scores[name][rows], is_quark, points)
        axis.plot(efficiency, 1 - points, color=colour, label=TITLES[name])
    diagonal = np.linspace(0, 1, 2)
    axis.plot(diagonal, 1 - diagonal, color="black", lw=0.8, ls=":")
    axis.set(xlabel="quark efficiency", ylabel="gluon rejection, 1 - efficiency")
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.legend(loc="lower left", fontsize=10)
    label(axis, simulation)
    folder.save_figure(figure, "roc", "ROC of quark against gluon on the same held-out jets.")


def _mean_images(folder: RunFolder, bench: Bench, simulation: bool) -> None:
    from matplotlib.colors import LogNorm

    figure, axes = new_figure(2, 3, width=4.0, height=3.6)
    images = bench.sample.inputs.images[ALL]
    for row, flavour in enumerate((QUARK, GLUON)):
        jets = np.flatnonzero(bench.label == flavour)[:_JETS_IN_MEAN]
        lots = np.array_split(jets, max(len(jets) // 200, 1))
        mean = np.sum([images.dense(lot).sum(dim=0).numpy() for lot in lots], axis=0) / len(jets)
        for column, name in enumerate(LAYERS):
            axis = axes[row, column]
            low, high = ((1e-3, 3.0), (3e-3, 3.0), (3e-2, 10.0))[column]
            norm = LogNorm(low, high)
            shown = axis.imshow(mean[column].clip(low), norm=norm, origin="lower", cmap="magma")
            axis.set(xlabel="column (φ)", ylabel="row (η)")
            unit = "pt" if name == "tracks" else "energy"
            axis.set_title(f"{FLAVOURS[flavour]}, {name}", fontsize=10, loc="right")
            figure.colorbar(shown, ax=axis, fraction=0.046, label=f"mean {unit} (GeV)")
        label(axes[row, 0], simulation, right="")
    figure.tight_layout()
    folder.save_figure(
        figure, "mean_images",
        "Mean image of quark and gluon jets: crystals of tracks and ECAL, towers of the HCAL.",
    )  # fmt: skip


def _shapes(folder: RunFolder, bench: Bench, simulation: bool) -> None:
    figure, axes = new_figure(1, len(_SHAPES_SHOWN), width=4.6, height=4.0)
    table = bench.sample.inputs.tables["shapes"][:, -len(SHAPES) :]
    for axis, (name, (title, limits)) in zip(axes[0], _SHAPES_SHOWN.items(), strict=True):
        bins = np.linspace(*limits, 41)
        for flavour, colour in ((QUARK, COLOURS[0]), (GLUON, COLOURS[2])):
            values = table[bench.label == flavour, SHAPES.index(name)]
            axis.hist(values, bins, density=True, histtype="step", color=colour, lw=1.6,
                      label=FLAVOURS[flavour])  # fmt: skip
        axis.set(xlabel=title, ylabel="density")
        axis.legend()
        label(axis, simulation)
    figure.tight_layout()
    folder.save_figure(figure, "shapes", "Shapes of quark and gluon jets.")


def _spectra(folder: RunFolder, bench: Bench, scores: Scores, simulation: bool) -> None:
    figure, axes = new_figure(1, 2, width=5.2, height=4.2)
    rows = held_out(bench, scores)
    sample, flavour = bench.sample, bench.label
    weight = same_spectrum(sample.pt, sample.eta, flavour, rows)
    cuts = bench.config.cuts
    shown = {
        "jet pt (GeV)": (sample.pt, np.linspace(cuts.min_pt, cuts.max_pt, 21)),
        "jet |η|": (np.abs(sample.eta), np.linspace(0, 1.5, 21)),
    }
    for axis, (title, (values, bins)) in zip(axes[0], shown.items(), strict=True):
        for value, colour in ((QUARK, COLOURS[0]), (GLUON, COLOURS[2])):
            mine = rows[flavour[rows] == value]
            axis.hist(values[mine], bins, density=True, histtype="step", color=colour, lw=1.6,
                      label=FLAVOURS[value])  # fmt: skip
            axis.hist(values[mine], bins, weights=weight[mine], density=True, histtype="step",
                      color=colour, ls="--", label=f"{FLAVOURS[value]}, weighted")  # fmt: skip
        axis.set(xlabel=title, ylabel="density")
        axis.legend()
        label(axis, simulation)
    figure.tight_layout()
    folder.save_figure(
        figure, "spectra", "Spectra of held-out jets as simulated, and weighted to one spectrum."
    )


def _training(folder: RunFolder, bench: Bench, simulation: bool) -> None:
    figure, axes = new_figure(1, 2, width=5.2, height=4.2)
    names = [NETWORK.name, *(f"network_{layer}" for layer in LAYERS)]
    for colour, name in zip(COLOURS, names, strict=False):
        for fold in bench.folds:
            path = bench.folder / f"{name}_{fold}.json"
            history = json.loads(path.read_text(encoding="utf-8"))
            epochs = [record["epoch"] for record in history]
            style = {"color": colour, "ls": "-" if fold == 0 else "--"}
            title = TITLES[name] if fold == 0 else None
            axes[0, 0].plot(epochs, [r["loss"] for r in history], label=title, **style)
            if history and "auc_signal_background" in history[0]:
                values = [record["auc_signal_background"] for record in history]
                axes[0, 1].plot(epochs, values, **style)
    axes[0, 0].set(xlabel="epoch", ylabel="training loss")
    axes[0, 1].set(xlabel="epoch", ylabel="validation AUC")
    axes[0, 0].legend()
    for axis in axes[0]:
        label(axis, simulation)
    figure.tight_layout()
    folder.save_figure(figure, "training", "Training curves; dashed: further folds.")


def draw_domains(folder: RunFolder, bench: Bench, scores: Scores, domains: Domains) -> None:
    """Scores of jets without flavour beside those of simulated jets."""
    figure, axes = new_figure(1, 2, width=5.4, height=4.4)
    rows = held_out(bench, scores)
    table = bench.sample.inputs.tables["shapes"][:, -len(SHAPES) :]
    n_tracks = SHAPES.index("tracks_n")
    shown: tuple[tuple[str, NDArray, NDArray], ...] = (
        ("score, log p(quark) / p(gluon)", np.linspace(-6, 6, 25), scores[NETWORK.name]),
        ("tracks within R = 0.5", np.linspace(0, 40, 21), table[:, n_tracks]),
    )
    for axis, (title, bins, values) in zip(axes[0], shown, strict=True):
        for flavour, colour in ((QUARK, COLOURS[0]), (GLUON, COLOURS[2])):
            mine = rows[bench.label[rows] == flavour]
            axis.hist(values[mine], bins, density=True, histtype="step", color=colour, lw=1.6,
                      label=f"simulated {FLAVOURS[flavour]}")  # fmt: skip
        for marker, (name, (sample, found, _)) in zip("osD^v", domains.items(), strict=False):
            other = sample.inputs.tables["shapes"][:, -len(SHAPES) + n_tracks]
            measured = found if values is scores[NETWORK.name] else other
            count, _ = np.histogram(measured, bins)
            width = np.diff(bins) * max(len(measured), 1)
            centre, error = (bins[1:] + bins[:-1]) / 2, np.sqrt(count) / width
            axis.errorbar(centre, count / width, error, fmt=marker, color="black",
                          label=f"{name}, {len(measured)} jets")  # fmt: skip
        axis.set(xlabel=title, ylabel="density")
        axis.legend(fontsize=9)
        is_simulated = all(simulated for _, _, simulated in domains.values())
        label(axis, is_simulated, right="8 TeV, beside simulation")
    figure.tight_layout()
    folder.save_figure(
        figure, "domains",
        "Jets without known flavour beside simulated ones: what the network makes of them.",
    )  # fmt: skip
