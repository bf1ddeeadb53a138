"""Tables of the study of categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.runs import RunFolder
from rl.categories.study import TITLES

Estimate = Mapping[str, float]


def add_tables(folder: RunFolder, metrics: Mapping[str, Any]) -> None:
    """List the run's results."""
    methods = with_mean(metrics["methods"])
    folder.add_table(
        "Significance",
        ("", "significance", "over one category", "over cross-entropy search", "over boosted tree",
         "optimism", "evaluations", "seconds"),
        [
            (
                title_of(name), f"{row['significance']:.3f}", _number(row["gain"]),
                _number(row["over_cross_entropy"]), _number(row["over_tree"]),
                f"{row['optimism']:+.3f}", f"{row['evaluations']:.0f}", f"{row['seconds']:.1f}",
            )
            for name, row in methods.items()
        ],
        f"{metrics['events']['number']} events that the classifier did not see, chosen on one half "
        "and judged on the other, both ways. Expected significance of H→γγ with 19.7/fb at 8 TeV; "
        "errors by a paired bootstrap over parton events. Optimism: gain over one category on the "
        "half that was chosen on, minus that on the other. Evaluations of the significance and "
        "seconds of one core are of one choice, an agent's training included.",
    )  # fmt: skip
    folder.add_table(
        "Controls",
        ("events that look like other events", "over one category", "optimism"),
        [
            (title_of(name), _number(row["gain"]), f"{row['optimism']:+.3f}")
            for name, row in metrics["controls"].items()
            if name != "inclusive"
        ],
        "Scores and resolutions permuted among events, so that they say nothing: nothing may be "
        "gained on the half that was not chosen on.",
    )
    _scenarios(folder, metrics["scenarios"])
    _categories(folder, metrics["categories"])


def with_mean(methods: Mapping[str, Any]) -> dict[str, Any]:
    """The agents, and behind them the mean of those that differ by their seed."""
    found = dict(methods)
    agents = [row for name, row in methods.items() if name.startswith("agent_")]
    if len(agents) > 1:
        mean: dict[str, Any] = {
            key: float(np.mean([a[key] for a in agents]))
            for key in ("significance", "optimism", "evaluations", "seconds")
        }
        for key in ("gain", "over_cross_entropy", "over_tree"):
            values = [a[key]["value"] for a in agents]
            # The seeds share the events: their errors do not average out.
            error = np.hypot(np.mean([a[key]["error"] for a in agents]), np.std(values))
            mean[key] = {"value": float(np.mean(values)), "error": float(error)}
        found["agent"] = mean
    return found


def title_of(name: str) -> str:
    """Of a method, or of one of several agents."""
    stem, _, seed = name.partition("_")
    if stem == "agent" and seed:
        return f"{TITLES['agent']}, seed {seed}"
    return f"{TITLES[name]}, mean of seeds" if name == "agent" else TITLES[name]


def joined(scenarios: Sequence[Mapping[str, Any]], method: str, budget: str) -> list[float]:
    """Gains of all scenarios of both halves."""
    return [gain for half in scenarios for gain in half[method][budget]]


def _scenarios(folder: RunFolder, scenarios: Sequence[Mapping[str, Any]]) -> None:
    if not scenarios[0]["agent"]:
        return
    (budget,) = scenarios[0]["agent"]
    agent = np.array(joined(scenarios, "agent", budget))
    rows = []
    for method, by_budget in scenarios[0].items():
        for spent in by_budget:
            gains = np.array(joined(scenarios, method, spent))
            ratio = agent / gains
            title = "edges of the expected yields" if method == "fixed" else TITLES[method]
            rows.append(
                (
                    title, spent, f"{gains.mean():.3f}",
                    f"{ratio.mean():.4f} ± {ratio.std(ddof=1) / len(ratio) ** 0.5:.4f}",
                )
            )  # fmt: skip
    folder.add_table(
        "Other yields of the backgrounds",
        ("", "evaluations", "over one category", "agent over this"),
        rows,
        f"{len(agent)} scenarios (both halves), yields of γγ and γ+jet scattered by a factor of "
        "about two, on the half that was not chosen on. The agents, trained once, move the edges "
        "in seven evaluations; searches begin anew. Errors are of the mean over scenarios.",
    )


def _categories(folder: RunFolder, methods: Mapping[str, Any]) -> None:
    folder.add_table(
        "Contents of categories",
        ("", "category", "signal", "background at 100-180 GeV", "σ_eff(m)/m %", "bump %",
         "simulated background"),
        [
            (
                title_of(name) if k == 0 else "",
                "not accepted" if row["category"] < 0 else row["category"] + 1,
                f"{row['signal']:.1f}", f"{row['background']:.0f}", f"{row['sigma_eff']:.2f}",
                f"{row['bump']['value']:.1f} ± {row['bump']['error']:.1f}", row["simulated"],
            )
            for name, rows in methods.items()
            for k, row in enumerate(rows)
        ],
        "On the halves that were not chosen on. Bump: excess of the background at 120-130 GeV over "
        "its sidebands; a categorisation that sculpts the mass shows there.",
    )  # fmt: skip


def _number(estimate: Estimate) -> str:
    return f"{estimate['value']:.3f} ± {estimate['error']:.3f}"
