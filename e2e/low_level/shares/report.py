"""Tables and figures of the head of crystals' shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder
from e2e.labels import CLASS_TITLES, GAMMA_JET, HIGGS
from e2e.low_level.shares.quality import calibration_curve

if TYPE_CHECKING:
    from e2e.low_level.shares.stage import HeldOutShares

_TITLES = {
    "constant": "one constant",
    "lookup": "lookup in place and energy",
    "prompt": "probability of a prompt photon alone",
    "head": "head on the encoder",
    "shuffled": "control: head's shares permuted in the crop",
}
_ENERGY_LABEL = "rechits (GeV)"


def tables(folder: RunFolder, metrics: dict[str, Any]) -> None:
    """Quality of the shares, and what they are worth for the energy."""
    _quality(
        folder, metrics["given_prompt"], "Shares round prompt photons",
        "Hit crystals in the crops of prompt photons of "
        f"{metrics['events']['H→γγ']} H→γγ events that the classifier did not see, weighted by "
        "their energy: photon against pile-up and underlying event. High pile-up: more than "
        f"{metrics['median_pileup']:g} collisions.",
    )  # fmt: skip
    _quality(
        folder, metrics["all_photons"], "Shares of all photons",
        f"The same for all photons, fakes too, of {metrics['events']['all']} events of all "
        "classes: the head's and the control's shares times the probability of a prompt photon.",
    )  # fmt: skip
    shown = metrics["energy"]
    rows = [
        [
            name,
            *(_value(shown[s][name]["sigma_eff"], 3) for s in shown),
            *(_difference(shown[s][name]["sigma_eff"], 3) for s in shown),
            _shift(shown, name),
        ]
        for name in next(iter(shown.values()))
    ]
    folder.add_table(
        "Energy from shares",
        [
            "energy", "σ_eff (%), all", "low pile-up", "high pile-up",
            "minus lookup's, all", "low pile-up", "high pile-up", "median, high minus low (%)",
        ],
        rows,
        "Half the narrowest interval of E/E_true with 68.3 % of the photons of H→γγ, over its "
        "median; differences paired. Last column: how far pile-up moves the median.",
    )  # fmt: skip


def _quality(folder: RunFolder, metrics: dict[str, Any], title: str, caption: str) -> None:
    merits = ("auc", "r2", "calibration_error")
    rows = [
        [
            subset,
            _TITLES[name],
            *(_value(found[name][merit], 4) for merit in merits),
            *(_difference(found[name][merit], 4) for merit in merits[:2]),
        ]
        for subset, found in metrics.items()
        for name in found
    ]
    columns = [
        "events", "estimate", "AUC, mainly photon", "R²", "calibration error",
        "AUC minus lookup's", "R² minus lookup's",
    ]  # fmt: skip
    folder.add_table(title, columns, rows, caption)


def _value(found: dict[str, float], digits: int) -> str:
    return f"{found['value']:.{digits}f} ± {found['error']:.{digits}f}"


def _difference(found: dict[str, float], digits: int) -> str:
    if found["difference_error"] == 0:
        return ""
    return f"{found['difference']:+.{digits}f} ± {found['difference_error']:.{digits}f}"


def _shift(shown: dict[str, dict[str, dict[str, float]]], name: str) -> str:
    low, high = shown["H→γγ, low pile-up"][name], shown["H→γγ, high pile-up"][name]
    return f"{100 * (high['median'] / low['median'] - 1):+.2f}"


def figures(
    folder: RunFolder, found: HeldOutShares, metrics: dict[str, Any], simulation: bool
) -> None:
    """Calibration, and events with true and predicted shares side by side."""
    _calibration(folder, found, simulation)
    _examples(folder, found, simulation)


def _calibration(folder: RunFolder, found: HeldOutShares, simulation: bool) -> None:
    figure, axes = new_figure(1, 2, width=5.4)
    prompt = found.crystals.take(found.of_prompt)
    given = {name: share[found.of_prompt] for name, share in found.shares.items()}
    panels = (
        (prompt, given, ("head", "lookup", "shuffled"), "crops of prompt photons"),
        (found.crystals, found.prompt_shares, ("head", "prompt", "lookup"), "all photons"),
    )
    for axis, (crystals, shares, names, title) in zip(axes[0], panels, strict=True):
        axis.plot([0, 1], [0, 1], c="0.7", lw=1)
        for colour, name in zip(COLOURS, names, strict=False):
            said, true, _ = calibration_curve(crystals, shares[name])
            axis.plot(said, true, "o-", c=colour, label=_TITLES[name])
        axis.set(xlabel="predicted share of the prompt photon", ylabel="true share", ylim=(0, 1.35))
        axis.legend(loc="upper left", fontsize=9, title=title)
        label(axis, simulation)
    figure.tight_layout()
    folder.save_figure(
        figure, "calibration", "Energy-weighted mean true share against predicted share."
    )


def _examples(folder: RunFolder, found: HeldOutShares, simulation: bool) -> None:
    """Photons of H→γγ and fakes of γ+jet with much foreign energy: hits, true and predicted."""
    from matplotlib.colors import LogNorm

    shown = _chosen(found)
    figure, axes = new_figure(len(shown), 3, width=3.6, height=3.1)
    for row, (title, photon) in enumerate(shown):
        event, slot = divmod(photon, 2)
        hits, true = _images(found, photon)
        predicted = np.where(hits > 0, found.predicted[event, slot], np.nan)
        true = np.where(hits > 0, true, np.nan)
        panels = {_ENERGY_LABEL: hits, "true share": true, "predicted share": predicted}
        for column, (name, values) in enumerate(panels.items()):
            axis = axes[row, column]
            axis.set_facecolor("0.94")
            scale = {"norm": LogNorm(0.08, 50)} if column == 0 else {"vmin": 0, "vmax": 1}
            image = axis.imshow(
                np.where(hits > 0, values, np.nan), origin="lower",
                cmap="viridis" if column else "magma_r", **scale,
            )  # fmt: skip
            axis.set_title(f"{title}: {name}" if column == 0 else name, fontsize=10, loc="right")
            axis.set(xticks=[], yticks=[])
            figure.colorbar(image, ax=axis, fraction=0.046)
    axes[0, 0].text(0, 1.14, "Simulation" if simulation else "CMS Open Data",
                    transform=axes[0, 0].transAxes, fontweight="bold")  # fmt: skip
    figure.tight_layout()
    folder.save_figure(
        figure, "shares",
        "Crops of photons with foreign energy near by: rechits, true share, predicted share times "
        "the probability of a prompt photon (rows η, columns φ; grey: no hit).",
    )  # fmt: skip


def _chosen(found: HeldOutShares) -> list[tuple[str, int]]:
    """Two photons of H→γγ and two photons of γ+jet with the most foreign energy of 200 each."""
    crystals, n = found.crystals, len(found.label)
    foreign = crystals.photon_sums((1 - crystals.share) * crystals.hit, n)
    photon_energy = crystals.photon_sums(crystals.share * crystals.hit, n)
    label_of = np.repeat(found.label, 2)
    prompt, fake = photon_energy > foreign, photon_energy < 0.2 * foreign
    shown = []
    for name, wanted in (
        (CLASS_TITLES[HIGGS], (label_of == HIGGS) & prompt),
        (f"fake of {CLASS_TITLES[GAMMA_JET]}", (label_of == GAMMA_JET) & fake),
    ):
        some = np.flatnonzero(wanted)[:200]
        shown += [(name, int(p)) for p in some[np.argsort(-foreign[some])][:2]]
    return shown


def _images(found: HeldOutShares, photon: int) -> tuple[NDArray, NDArray]:
    crystals = found.crystals
    mine = np.flatnonzero(crystals.photon == photon)
    hits, true = np.zeros((2, crystals.size, crystals.size))
    hits[crystals.row[mine], crystals.column[mine]] = crystals.hit[mine]
    true[crystals.row[mine], crystals.column[mine]] = crystals.share[mine]
    return hits, true
