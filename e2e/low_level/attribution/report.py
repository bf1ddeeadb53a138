"""Tables and figures of attributions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder
from e2e.evaluation.scores import PAIR_TITLES
from e2e.labels import CLASS_NAMES, CLASS_TITLES, GAMMA_JET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from e2e.low_level.attribution.stage import Attributed

_IMAGES = {"crops": "crop", "context": "context"}
_CHANNELS = ("tracks", "ECAL", "HCAL")
_WAYS = {
    "random": "at random",
    "hardest": "the hardest",
    "randomised": "attributed by random weights",
    "attributed": "most attributed",
}
_MERITS = {"decision": "decision left", "auc": "AUC"}
_PHOTON = 1  # the trailing one, which is the fake of γ+jet more often


def tables(folder: RunFolder, metrics: dict[str, Any]) -> None:
    """Completeness, the test with random weights, the deletion test, and sums per channel."""
    pair = PAIR_TITLES[metrics["pair"]]
    complete, random = metrics["completeness"], metrics["randomisation"]
    rows = [
        ["|sum - difference| / |difference|, mean", f"{100 * complete['mean']:.2f} %"],
        ["the same, 95 % of the events below", f"{100 * complete['quantile_95']:.2f} %"],
    ]
    titles = {
        "half_steps": "half the points of the integral",
        "head": "random weights in the last layers",
        "all": "random weights everywhere",
    }
    rows += [
        [
            f"rank correlation with {title}, signed / absolute",
            f"{random[key]['signed']:+.2f} / {random[key]['absolute']:+.2f}",
        ]
        for key, title in titles.items()
    ]
    folder.add_table(
        "Checks of attributions",
        ["integrated gradients", ""],
        rows,
        f"Of the difference of the logits of {pair}; rank correlations over the filled pixels of "
        "the crops, mean of events. Attributions that stayed alike under random weights would not "
        "tell of the network.",
    )
    deletion = metrics["deletion"]
    fractions = [f"{row['fraction']:.0%}" for row in deletion["random"]]
    folder.add_table(
        "Deletion test",
        ["pixels emptied", "", *fractions],
        [
            [
                _WAYS[way],
                title,
                *(
                    f"{found[merit]['value']:.2f} ± {found[merit]['error']:.2f}"
                    for found in deletion[way]
                ),
            ]
            for merit, title in _MERITS.items()
            for way in _WAYS
        ],
        f"Mean difference of the logits of {pair} in the direction of the event's first decision, "
        "and AUC, when so many of the filled pixels of each event's crops and context are emptied. "
        "Pixels are chosen without the event's label.",
    )  # fmt: skip
    rows = [
        [
            CLASS_TITLES[CLASS_NAMES.index(name)],
            *(f"{value:+.2f}" for image in found.values() for value in image),
        ]
        for name, found in metrics["channels"].items()
    ]
    images = next(iter(metrics["channels"].values()))
    folder.add_table(
        "Attribution per channel",
        ["events", *(f"{image}, {channel}" for image in images for channel in _CHANNELS)],
        rows,
        f"Mean sum of the attributions to the difference of the logits of {pair}.",
    )


def figures(
    folder: RunFolder,
    found: Attributed,
    metrics: dict[str, Any],
    examples: int,
    simulation: bool,
) -> None:
    """Mean maps, examples of each class, and the deletion test."""
    _means(folder, found, simulation)
    for c, title in enumerate(CLASS_TITLES):
        _examples(folder, found, c, title, examples, simulation)
    _deletion(folder, metrics, simulation)


def _means(folder: RunFolder, found: Attributed, simulation: bool) -> None:
    from matplotlib.colors import LogNorm

    figure, axes = new_figure(3, 3, width=3.6, height=3.2)
    maps = found.maps["crops"].abs()
    means = [
        maps[torch.from_numpy(found.label == c)].mean(dim=0)[_PHOTON].numpy() for c in range(3)
    ]
    for column, channel in enumerate(_CHANNELS):
        top = max(float(mean[column].max()) for mean in means)
        norm = LogNorm(max(top, 1e-9) / 300, max(top, 1e-9))
        for c, title in enumerate(CLASS_TITLES):
            axis = axes[c, column]
            image = axis.imshow(
                means[c][column].clip(norm.vmin), norm=norm, origin="lower", cmap="magma"
            )
            _bare(axis, f"{title}, {channel}")
            figure.colorbar(image, ax=axis, fraction=0.046)
    _stamp(axes[0, 0], simulation)
    figure.tight_layout()
    folder.save_figure(
        figure, "mean_attribution",
        "Mean |attribution| of the trailing photon's crop per channel and class (rows η, columns "
        "φ; one crystal a pixel).",
    )  # fmt: skip


def _examples(
    folder: RunFolder, found: Attributed, c: int, title: str, examples: int, simulation: bool
) -> None:
    events = _telling(found, c, examples)
    wanted = (("crops", 1), ("context", 0), ("context", 1), ("context", 2))
    shown = [(image, channel) for image, channel in wanted if image in found.maps]
    columns = 2 * len(shown) + 1
    figure, axes = new_figure(len(events), columns, width=2.3, height=2.4)
    for row, event in enumerate(events):
        for place, (image, channel) in enumerate(shown):
            hits, maps = (x[image][event, _PHOTON].numpy() for x in (found.inputs, found.maps))
            limit = float(np.abs(maps).max()) or 1.0
            _hits(axes[row, 2 * place], hits[channel])
            _signed(axes[row, 2 * place + 1], maps[channel], limit)
            name = f"{_IMAGES[image]}, {_CHANNELS[channel]}"
            _bare(axes[row, 2 * place], name if row == 0 else "")
            _bare(axes[row, 2 * place + 1], "attribution" if row == 0 else "")
        cam = found.cam[event, _PHOTON].numpy()
        _signed(axes[row, -1], cam, float(np.abs(cam).max()) or 1.0)
        _bare(axes[row, -1], "Grad-CAM of the crop" if row == 0 else "")
        axes[row, 0].set_ylabel(f"logit difference {found.difference[event]:+.1f}", fontsize=9)
    _stamp(axes[0, 0], simulation, 1.16)
    figure.suptitle(f"{title}: trailing photon; red speaks for a photon, blue for a jet", y=1.0)
    figure.tight_layout()
    folder.save_figure(
        figure, f"examples_{CLASS_NAMES[c]}",
        f"{title}: hits round the trailing photon (scaled energies, logarithmic) and their "
        "integrated gradients side by side, one scale per image and event; crop: 16 crystals wide, "
        "context: 51 crystals in bins of 3.",
    )  # fmt: skip


def _telling(found: Attributed, c: int, examples: int) -> NDArray[np.int64]:
    """Events of a class on the right side of the decision, the fullest crops of the first 60."""
    sign = -1 if c == GAMMA_JET else 1
    right = np.flatnonzero((found.label == c) & (sign * found.difference > 0))[:60]
    filled = (found.inputs["crops"][torch.from_numpy(right), _PHOTON] > 0).sum(dim=(1, 2, 3))
    return right[np.argsort(-filled.numpy(), kind="stable")[:examples]]


def _hits(axis: Axes, values: NDArray) -> None:
    from matplotlib.colors import LogNorm

    shown = np.where(values > 0, values, np.nan)
    axis.imshow(shown, norm=LogNorm(0.05, 60), origin="lower", cmap="magma_r")


def _signed(axis: Axes, values: NDArray, limit: float) -> None:
    from matplotlib.colors import SymLogNorm

    norm = SymLogNorm(limit / 30, vmin=-limit, vmax=limit)
    axis.imshow(values, norm=norm, origin="lower", cmap="RdBu_r")


def _bare(axis: Axes, title: str) -> None:
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=10)


def _stamp(axis: Axes, simulation: bool, height: float = 1.14) -> None:
    text = "Simulation" if simulation else "CMS Open Data"
    axis.text(0, height, text, transform=axis.transAxes, fontweight="bold")


def _deletion(folder: RunFolder, metrics: dict[str, Any], simulation: bool) -> None:
    figure, axes = new_figure(1, 2, width=5.6)
    for axis, (merit, title) in zip(axes[0], _MERITS.items(), strict=True):
        for colour, (way, rows) in zip(COLOURS, metrics["deletion"].items(), strict=False):
            axis.errorbar(
                [row["fraction"] for row in rows], [row[merit]["value"] for row in rows],
                [row[merit]["error"] for row in rows], fmt="o-", c=colour, label=_WAYS[way],
            )  # fmt: skip
        axis.axhline(0.5 if merit == "auc" else 0.0, c="0.7", lw=1)
        axis.set(xlabel="part of the filled pixels emptied")
        axis.set_ylabel(f"{title}, {PAIR_TITLES[metrics['pair']]}")
        label(axis, simulation)
    axes[0, 1].legend(fontsize=9, loc="center right", bbox_to_anchor=(1.0, 0.36))
    figure.tight_layout()
    folder.save_figure(
        figure, "deletion",
        "What is left of decisions, and AUC, when pixels are emptied, by how they are chosen.",
    )  # fmt: skip
