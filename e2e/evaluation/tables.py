"""The run's tables for the report."""

from __future__ import annotations

from typing import Any

from common.runs import RunFolder
from e2e.evaluation.scores import PAIR_TITLES, PAIRS

MODEL_TITLES = {
    "kinematics": "kinematics network",
    "tree": "boosted tree, shapes + isolation",
    "network": "network on images",
    "network + tree": "mean of network and tree",
}


def write(folder: RunFolder, metrics: dict[str, Any]) -> None:
    """Add every table of the metrics to the report."""
    _auc(folder, metrics)
    _efficiency(folder, metrics)
    _controls(folder, metrics)
    _sculpting(folder, metrics)


def _with_error(value: float, error: float, digits: int = 3) -> str:
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _auc(folder: RunFolder, metrics: dict[str, Any]) -> None:
    rows = []
    for model, table in metrics["auc"].items():
        generated = table["as_generated"]
        cells = [_with_error(generated[p]["value"], generated[p]["error"]) for p in PAIRS]
        for definition in ("overlap_removed", "weighted"):
            other = table[definition]["higgs_gamma_jet"]
            cells.append(_with_error(other["value"], other["error"]))
        against = generated["higgs_gamma_jet"]
        difference = f"{against['difference']:+.4f} ± {against['difference_error']:.4f}"
        rows.append([MODEL_TITLES[model], *cells, "" if model == "tree" else difference])
    events = metrics["events"]["held_out"]
    folder.add_table(
        "AUC",
        [
            "mass-blind model", *(PAIR_TITLES[p] for p in PAIRS),
            "H/γj, overlap removed", "H/γj, weighted", "H/γj minus the tree's",
        ],
        rows,
        f"All models on the same {sum(events.values())} held-out events ({events['higgs']} H→γγ, "
        f"{events['diphoton']} γγ, {events['gamma_jet']} γ+jet); errors from a bootstrap over "
        "parton events, differences paired. Overlap removal drops the "
        f"{metrics['events']['held_out_overlap']} γ+jet events with two prompt photons at parton "
        "level. The simulation hadronised those once and other γ+jet ten times; weighted, each "
        "counts ten times, as in an inclusive γ+jet sample.",
    )  # fmt: skip


def _efficiency(folder: RunFolder, metrics: dict[str, Any]) -> None:
    rows = []
    for model, pairs in metrics["signal_efficiency"].items():
        for pair, values in pairs.items():
            cells = [_with_error(v["value"], v["error"]) for v in values.values()]
            rows.append([MODEL_TITLES[model], PAIR_TITLES[pair], *cells])
    points = next(iter(metrics["signal_efficiency"]["network"].values()))
    folder.add_table(
        "Signal efficiency",
        ["mass-blind model", "pair", *(f"background at {p}" for p in points)],
        rows,
        "Signal efficiency at fixed background efficiency, held-out events.",
    )


def _controls(folder: RunFolder, metrics: dict[str, Any]) -> None:
    blind = metrics["mass_blindness"]
    titles = {
        "m_gg": "m_gg alone",
        "scaled_uncut": "low-energy hits over m_gg, without a cut (the trap)",
        "blind": "low-energy hits of the mass-blind inputs",
        "raw": "low-energy hits, raw energies, same cuts",
        "blind_minus_raw": "difference of the last two",
        "kinematics": "kinematics",
        "kinematics_blind": "kinematics + mass-blind low-energy hits",
        "kinematics_raw": "kinematics + raw low-energy hits",
    }
    rows = [[titles[k], _with_error(blind[k]["value"], blind[k]["error"])] for k in titles]
    folder.add_table(
        "Mass-blindness",
        ["a boosted tree sees", "AUC(H/γγ)"],
        rows,
        "H→γγ has one mass and γγ has many: what knows the mass tells them apart.",
    )
    shuffled = metrics["shuffled_labels"]
    permutations = len(shuffled["tree"]["higgs_diphoton"]["single"])
    folder.add_table(
        "Shuffled labels",
        ["model", *(PAIR_TITLES[p] for p in PAIRS)],
        [
            [MODEL_TITLES[m], *(_with_error(v[p]["value"], v[p]["error"]) for p in PAIRS)]
            for m, v in shuffled.items()
        ],
        "AUC on true labels of models trained on permuted ones, mean and its error over "
        f"{permutations} permutations: 0.5 where nothing leaks.",
    )


def _sculpting(folder: RunFolder, metrics: dict[str, Any]) -> None:
    rows = [
        [
            MODEL_TITLES[model], f"{row['background_efficiency']:g}", f"{row['divergence']:.4f}",
            f"{row['divergence_of_random_subsets']:.4f} ± {row['spread_of_random_subsets']:.4f}",
            f"{row['efficiency_in_120_130']:.3f}",
        ]
        for model, found in metrics["mass_sculpting"].items()
        for row in found
    ]  # fmt: skip
    folder.add_table(
        "m_gg of the background after a cut",
        ["model", "background efficiency", "Jensen-Shannon divergence", "random subset",
         "efficiency at 120-130 GeV"],
        rows,
        "Cut on the Higgs score; divergence in bits to the inclusive shape, beside that of random "
        "subsets of the same size. A mass-blind score may still follow the kinematics.",
    )  # fmt: skip
