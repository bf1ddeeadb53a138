"""Table and figure of the ablation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Held-out energy resolution of each row's agents and of the peer with the same inputs: means "
    "over seeds, with the seeds' spread; grey: the regression that the agents start from."
)


def add_tables(folder: RunFolder, metrics: Mapping[str, Any]) -> None:
    """List the rows, energies first, then masses and positions."""
    rows = metrics["rows"]
    count = len(next(iter(rows.values()))["seeds"])
    note = f"Seeds a row: {count}; mean ± spread of single networks."
    folder.add_table(
        "Ablation",
        ("", "agent: σ_eff(E) %", "its peer", "regression", "share of gain", "agent - peer",
         "s per agent"),
        [
            (
                name,
                *(_spread(row[method]["sigma_eff_energy"], 3) for method in ("agent", "peer")),
                f"{row['regression']['sigma_eff_energy']['value']:.3f}",
                f"{100 * row['share']['sigma_eff_energy']:.1f} %",
                f"{row['difference']['value']:+.3f} ± {row['difference']['error']:.3f}",
                f"{row['seconds']:.0f}",
            )
            for name, row in rows.items()
        ],
        f"Held-out photons of the gun. {note} A block that is left out is left out of the "
        "regression's inputs too. Agent - peer: of the same photons, error by paired bootstrap "
        "over events.",
    )  # fmt: skip
    folder.add_table(
        "Ablation: masses and positions",
        ("", "agent: σ_eff(m) %", "its peer", "share of gain", "agent: mean |Δu|", "its peer",
         "agent: mean |Δv|", "its peer"),
        [
            (
                name,
                *(_spread(row[method]["sigma_eff_mass"], 3) for method in ("agent", "peer")),
                f"{100 * row['share']['sigma_eff_mass']:.1f} %",
                *(
                    f"{row[method][key]['value']:.4f}"
                    for key in ("mean_abs_u", "mean_abs_v")
                    for method in ("agent", "peer")
                ),
            )
            for name, row in rows.items()
        ],
        f"Masses of H→γγ events, positions of held-out gun photons in crystals. {note}",
    )  # fmt: skip


def figure(metrics: Mapping[str, Any]) -> Figure:
    """Resolutions of agents and peers, row by row."""
    rows = metrics["rows"]
    drawing, axes = new_figure(1, 1, width=7.5, height=0.8 + 0.33 * len(rows))
    axis = axes[0, 0]
    place = np.arange(len(rows))[::-1]
    for shift, method, colour in ((0.13, "agent", COLOURS[1]), (-0.13, "peer", COLOURS[0])):
        found = [row[method]["sigma_eff_energy"] for row in rows.values()]
        axis.errorbar(
            [f["value"] for f in found], place + shift, xerr=[f["error"] for f in found],
            fmt="o", ms=4, color=colour, label="agent" if method == "agent" else "its peer",
        )  # fmt: skip
    start = [row["regression"]["sigma_eff_energy"]["value"] for row in rows.values()]
    axis.plot(start, place, "|", color="grey", ms=12, label="regression")
    axis.set_yticks(place, list(rows))
    axis.set_xlabel("held-out σ_eff(E / E_true), %")
    axis.legend(fontsize=9)
    label(axis, simulation=True)
    drawing.tight_layout()
    return drawing


def _spread(estimate: Mapping[str, float], digits: int) -> str:
    if estimate["error"] == 0:  # one seed has no spread
        return f"{estimate['value']:.{digits}f}"
    return f"{estimate['value']:.{digits}f} ± {estimate['error']:.{digits}f}"
