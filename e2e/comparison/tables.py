"""The comparison's tables for the report."""

from __future__ import annotations

from typing import Any

from common.runs import RunFolder
from e2e.comparison.config import CompareConfig
from e2e.comparison.models import BEST, ENSEMBLE, MODELS, REFERENCE
from e2e.evaluation.scores import PAIR_TITLES, PAIRS

_JETS = ("higgs_gamma_jet", "diphoton_gamma_jet")  # the pairs in which images may help
_DEFINITIONS = {
    "as_generated": "", "overlap_removed": ", overlap removed", "weighted": ", weighted"
}  # fmt: skip


def title_of(model: str) -> str:
    """A model's name in tables and figures."""
    network, _, other = model.partition(" + ")
    several = f"{MODELS[BEST].title}, mean of seeds"
    title = several if network == ENSEMBLE else MODELS[network].title
    return f"{title}, and tree" if other else title


def write(folder: RunFolder, metrics: dict[str, Any], config: CompareConfig) -> None:
    """Add every table of the metrics to the report."""
    _auc(folder, "", metrics["auc"], metrics["events"])
    _differences(folder, "", metrics["auc"])
    if "auc_all_folds" in metrics:
        _auc(folder, ", all folds", metrics["auc_all_folds"], metrics["events_all_folds"])
        _differences(folder, ", all folds", metrics["auc_all_folds"])
    _efficiency(folder, metrics)
    _cost(folder, metrics, config)
    _curves(folder, metrics)
    if metrics["shuffled_labels"]:
        _controls(folder, metrics)
    if metrics["whole_image_blindness"]:
        _blindness(folder, metrics, config)


def _with_error(found: dict[str, float], digits: int = 4) -> str:
    return f"{found['value']:.{digits}f} ± {found['error']:.{digits}f}"


def _auc(folder: RunFolder, suffix: str, table: dict[str, Any], events: dict[str, int]) -> None:
    rows = []
    for model, found in table.items():
        cells = [_with_error(found["as_generated"][pair]) for pair in PAIRS]
        cells += [_with_error(found["overlap_removed"][pair]) for pair in _JETS]
        cells += [_with_error(found["weighted"]["higgs_gamma_jet"])]
        rows.append([title_of(model), *cells])
    folder.add_table(
        f"AUC{suffix}",
        ["model", *PAIR_TITLES.values(), *(f"{PAIR_TITLES[p]}, overlap removed" for p in _JETS),
         "H/γj, weighted"],
        rows,
        f"All models on the same {events['all']} held-out events ({events['higgs']} H→γγ, "
        f"{events['diphoton']} γγ, {events['gamma_jet']} γ+jet); errors from a bootstrap over "
        f"parton events. Overlap removal drops the {events['overlap']} γ+jet events with two "
        "prompt photons at parton level. The simulation hadronised those once and other γ+jet ten "
        "times; weighted, each counts ten times, as in an inclusive γ+jet sample.",
    )  # fmt: skip


def _differences(folder: RunFolder, suffix: str, table: dict[str, Any]) -> None:
    rows = []
    for model, found in table.items():
        if model != REFERENCE:
            cells = [_difference(found[d][pair]) for d in _DEFINITIONS for pair in _JETS]
            rows.append([title_of(model), *cells])
    folder.add_table(
        f"Difference to the tree{suffix}",
        ["model", *(f"{PAIR_TITLES[p]}{t}" for t in _DEFINITIONS.values() for p in _JETS)],
        rows,
        f"AUC minus that of the {MODELS[REFERENCE].title}, on the same events; the error is of the "
        "difference (paired bootstrap over parton events), and in brackets their ratio.",
    )


def _difference(found: dict[str, float]) -> str:
    value, error = found["difference"], found["difference_error"]
    ratio = f" ({value / error:+.1f})" if error > 0 else ""
    return f"{value:+.4f} ± {error:.4f}{ratio}"


def _efficiency(folder: RunFolder, metrics: dict[str, Any]) -> None:
    rows = []
    for model, pairs in metrics["signal_efficiency"].items():
        cells = [_with_error(value, 3) for pair in _JETS for value in pairs[pair].values()]
        rows.append([title_of(model), *cells])
    points = list(next(iter(metrics["signal_efficiency"].values()))[_JETS[0]])
    folder.add_table(
        "Signal efficiency",
        ["model", *(f"{PAIR_TITLES[p]}, background {float(b):.0%}" for p in _JETS for b in points)],
        rows,
        "Signal efficiency where the given share of the background passes, held-out events.",
    )


def _cost(folder: RunFolder, metrics: dict[str, Any], config: CompareConfig) -> None:
    rows = []
    for model, cost in metrics["cost"].items():
        is_tree = model in MODELS and MODELS[model].kind == "tree"
        size = f"{cost['parameters']:,.0f}" + (" leaves" if is_tree else "")
        epochs = f"{config.tree.iterations} rounds" if is_tree else f"{cost['epochs']}"
        rows.append(
            [
                title_of(model), size, f"{cost['train_events']:.0f}", epochs,
                f"{cost['train_seconds']:.0f}", f"{cost['train_ms_per_event']:.2f}",
                f"{cost['test_ms_per_event']:.2f}",
            ]
        )  # fmt: skip
    folder.add_table(
        "Cost",
        ["model", "parameters", "training events", "epochs", "training [s]",
         "training [ms per event and epoch]", "inference [ms per event]"],
        rows,
        f"Wall time of one of {config.workers} processes side by side; of a tree all rounds. "
        "Inference of networks on crops is of four mirror images"
        f"{', as on whole images' if config.resnet.mirrors else ', on whole images of one'}. The "
        f"inputs are made once for all, and not counted. The mean is of {config.members} networks. "
        "ResNet-15 has a budget of "
        f"{config.resnet.events} training events and {config.resnet.epochs} epochs; its first "
        f"convolution has stride {config.resnet.stride} (the paper's: 1).",
    )  # fmt: skip


def _curves(folder: RunFolder, metrics: dict[str, Any]) -> None:
    rows = [
        [title_of(model), point["events"], *(_with_error(point[pair]) for pair in PAIRS)]
        for model, points in metrics["learning_curves"].items()
        for point in points
    ]
    if rows:
        folder.add_table(
            "Learning curves",
            ["model", "training events", *PAIR_TITLES.values()],
            rows,
            "Nested samples, tested on the same events; errors from a bootstrap over the test "
            "events, common to all points, so that differences are better known than they say.",
        )


def _controls(folder: RunFolder, metrics: dict[str, Any]) -> None:
    shuffled = metrics["shuffled_labels"]
    count = len(next(iter(shuffled.values()))["higgs_diphoton"]["single"])
    folder.add_table(
        "Shuffled labels",
        ["model", *PAIR_TITLES.values()],
        [
            [title_of(m), *(_with_error(found[p], 3) for p in PAIRS)]
            for m, found in shuffled.items()
        ],
        f"AUC on true labels of models trained on permuted ones, mean and its error over {count} "
        "permutations: 0.5 where nothing leaks.",
    )


def _blindness(folder: RunFolder, metrics: dict[str, Any], config: CompareConfig) -> None:
    titles = {"TRK": "tracks", "EB": "EB", "EE": "EE", "HBHE": "HCAL", "all": "all"}
    rows = [
        [titles[channel], *(_with_error(found[key], 3) for key in ("blind", "raw")),
         _with_error(found["blind_minus_raw"], 3)]
        for channel, found in metrics["whole_image_blindness"].items()
    ]  # fmt: skip
    folder.add_table(
        "Mass-blindness of whole images",
        ["hits", "over m_gg, then cut", "in GeV, same cut", "difference"],
        rows,
        "AUC(H/γγ) of a boosted tree on quantiles and counts of the low-energy hits of whole "
        "events. H→γγ has one mass, γγ has many: 0.5 if hits tell nothing of it. What hits in GeV "
        "tell is of the process; a positive difference is a leak. Cuts: "
        + ", ".join(f"{titles[c]} {cut:g} GeV" for c, cut in config.inputs.full_cuts.items())
        + ".",
    )
