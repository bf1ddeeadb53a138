"""The run's figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder
from e2e.evaluation.merit import HeldOut, roc
from e2e.evaluation.scores import PAIR_TITLES, PAIRS, higgs_score, pair_score
from e2e.evaluation.tables import MODEL_TITLES
from e2e.labels import CLASS_TITLES, GAMMA_JET, HIGGS
from e2e.training.jobs import Workbench

_CHANNELS = ("tracks", "ECAL", "HCAL")
_EVENTS_IN_MEAN = 1500
_REPLICAS = 40


def draw(folder: RunFolder, bench: Workbench, held_out: HeldOut, simulation: bool) -> None:
    """Draw every figure of a run."""
    _roc(folder, held_out, simulation)
    _training(folder, bench.folder, simulation)
    _scores(folder, held_out, simulation)
    _masses(folder, bench, held_out, simulation)
    _mean_crops(folder, bench, simulation)


def _roc(folder: RunFolder, held_out: HeldOut, simulation: bool) -> None:
    figure, axes = new_figure(1, 2, width=5.6)
    points = np.linspace(0.002, 1, 200)
    rng = np.random.default_rng(0)
    pairs = ("higgs_gamma_jet", "diphoton_gamma_jet")
    for axis, pair in zip(axes[0], pairs, strict=True):
        signal, background = PAIRS[pair]
        used = np.isin(held_out.label, (signal, background))
        is_signal = held_out.label[used] == signal
        for colour, model in zip(COLOURS, ("network", "tree", "kinematics"), strict=False):
            score = pair_score(held_out.logits[model][used], pair)
            band = _roc_band(score, is_signal, points, rng)
            axis.plot(points, roc(score, is_signal, points), c=colour, label=MODEL_TITLES[model])
            axis.fill_between(points, *band, color=colour, alpha=0.25, lw=0)
        axis.set(xlabel="background efficiency", ylabel="signal efficiency", xscale="log")
        axis.set(xlim=(0.003, 1), ylim=(0, 1.4))  # room for the legend
        axis.legend(loc="upper left", title=PAIR_TITLES[pair])
        label(axis, simulation)
    figure.tight_layout()
    folder.save_figure(figure, "roc", "ROC on the same held-out events; bands are one σ.")


def _roc_band(
    score: NDArray[np.float64],
    is_signal: NDArray[np.bool_],
    points: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    curves = []
    for _ in range(_REPLICAS):
        rows = rng.integers(0, len(score), len(score))
        curves.append(roc(score[rows], is_signal[rows], points))
    middle, spread = np.mean(curves, axis=0), np.std(curves, axis=0)
    return middle - spread, middle + spread


def _training(folder: RunFolder, models: Path, simulation: bool) -> None:
    figure, axes = new_figure(1, 2, width=5.6)
    shown = [p for name in ("network", "kinematics") for p in models.glob(f"{name}_[0-9].json")]
    for path in sorted(shown):
        history = json.loads(path.read_text(encoding="utf-8"))
        epochs = [record["epoch"] for record in history]
        colour = COLOURS[0 if path.stem.startswith("network") else 2]
        style = "-" if path.stem.endswith("_0") else "--"
        title = path.stem.replace("_", ", fold ")
        axes[0, 0].plot(epochs, [r["loss"] for r in history], style, c=colour, label=title)
        if history and "auc_higgs_gamma_jet" in history[0]:
            values = [r["auc_higgs_gamma_jet"] for r in history]
            axes[0, 1].plot(epochs, values, style, c=colour, label=title)
    axes[0, 0].set(xlabel="epoch", ylabel="training loss (network: with its auxiliary part)")
    axes[0, 1].set(xlabel="epoch", ylabel="validation AUC, H/γj")
    for axis in axes[0]:
        axis.legend()
        label(axis, simulation)
    figure.tight_layout()
    folder.save_figure(figure, "training", "Training curves.")


def _scores(folder: RunFolder, held_out: HeldOut, simulation: bool) -> None:
    figure, axes = new_figure(1, 2, width=5.6)
    bins = np.linspace(0, 1, 41)
    shown = {
        "p(H) / (p(H) + p(γ+jet))": pair_score(held_out.logits["network"], "higgs_gamma_jet"),
        "p(H)": higgs_score(held_out.logits["network"]),
    }
    for axis, (title, score) in zip(axes[0], shown.items(), strict=True):
        for c, name in enumerate(CLASS_TITLES):
            values = score[held_out.label == c]
            axis.hist(values, bins, density=True, histtype="step", lw=1.6, label=name)
        axis.set(xlabel=title, ylabel="density", yscale="log")
        axis.legend(loc="upper center")
        label(axis, simulation)
    figure.tight_layout()
    folder.save_figure(figure, "scores", "Scores of the network on held-out events, per class.")


def _masses(folder: RunFolder, bench: Workbench, held_out: HeldOut, simulation: bool) -> None:
    efficiencies = bench.config.evaluation.background_efficiencies
    figure, axes = new_figure(1, 2, width=5.6)
    score = higgs_score(held_out.logits["network"])
    bins = np.arange(90.0, 201.0, 5.0)
    is_background = held_out.label != HIGGS
    for axis, density in zip(axes[0], (False, True), strict=True):
        background = held_out.mass[is_background]
        axis.hist(background, bins, density=density, histtype="stepfilled", alpha=0.3,
                  color=COLOURS[4], label="γγ and γ+jet")  # fmt: skip
        for colour, efficiency in zip(COLOURS, efficiencies, strict=False):
            cut = np.quantile(score[is_background], 1 - efficiency)
            passed = held_out.mass[is_background & (score > cut)]
            axis.hist(passed, bins, density=density, histtype="step", lw=1.6, color=colour,
                      label=f"{efficiency:.0%} of it kept")  # fmt: skip
        axis.set(xlabel="m_γγ (GeV)", ylabel="density" if density else "events / 5 GeV")
        axis.legend()
        label(axis, simulation)
    figure.tight_layout()
    folder.save_figure(
        figure, "mass_before_after", "Background m_γγ before and after cuts on the Higgs score."
    )


def _mean_crops(folder: RunFolder, bench: Workbench, simulation: bool) -> None:
    from matplotlib.colors import LogNorm

    figure, axes = new_figure(3, 3, width=3.4, height=3.1)
    labels, usable = bench.labels.label, bench.inputs.usable
    for row, title in enumerate(CLASS_TITLES):
        events = np.flatnonzero((labels == row) & usable)[:_EVENTS_IN_MEAN]
        mean = bench.inputs.images["crops"].dense(events).mean(dim=0)[1].numpy()
        for column, channel in enumerate(_CHANNELS):
            axis = axes[row, column]
            norm = LogNorm(1e-3, (0.3, 30, 0.03)[column])
            image = axis.imshow(mean[column].clip(1e-3), norm=norm, origin="lower", cmap="magma")
            axis.set_title(f"{title}, {channel}", fontsize=10, loc="right")
            axis.set(xticks=[], yticks=[])
            figure.colorbar(image, ax=axis, fraction=0.046)
    label(axes[0, 0], simulation, right="")
    figure.tight_layout()
    folder.save_figure(
        figure, "mean_crops",
        "Mean crop of the second photon (scaled GeV; rows η, columns φ): the fake of "
        f"{CLASS_TITLES[GAMMA_JET]} has tracks and towers round it.",
    )  # fmt: skip
