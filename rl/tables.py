"""Tables of a refinement run, for the report and the docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.runs import RunFolder
from rl.plots import TITLES


def add_tables(folder: RunFolder, metrics: Mapping[str, Any]) -> None:
    """List the run's results."""
    shares = metrics["share_of_peer_gain"]
    folder.add_table(
        "Refined photons",
        ("", "σ_eff(E/E_true) %", "R9 > 0.94", "R9 ≤ 0.94", "near edges", "share of gain",
         "⟨|Δu|⟩", "⟨|Δv|⟩ crystals"),
        [
            (
                TITLES[name],
                _number(row["sigma_eff_energy"], 3),
                *(f"{row[f'sigma_eff_energy_{part}']:.3f}" for part in
                  ("compact", "wide", "near_edge")),
                _share(shares["energy"], name),
                f"{row['mean_abs_u']:.4f}",
                f"{row['mean_abs_v']:.4f}",
            )
            for name, row in metrics["photons"].items()
        ],
        "Held-out photons of the gun, flat in pt and η. Share of gain: part of the peer's gain "
        "over the standard reconstruction. Errors by bootstrap over events.",
    )  # fmt: skip
    folder.add_table(
        "Diphoton mass",
        ("", "σ_eff(m)/m %", "share of gain", "peak shift %", "S/√B over standard", "bump %",
         "slope %/10 GeV"),
        [
            (
                TITLES[name],
                _number(row["sigma_eff_mass"], 3),
                _share(shares["mass"], name),
                _number(row["peak_shift"], 2),
                _number(row["significance"], 3),
                _number(row["bump"], 1),
                _number(row["slope"], 3),
            )
            for name, row in metrics["mass"].items()
        ],
        "H→γγ events that no training of the agent saw. Bump: excess of a smooth background "
        "(γγ and gun pairs) at 120-130 GeV over its sidebands; slope: change of m/m_true over "
        "10 GeV on it. Both must be as small as for the standard reconstruction.",
    )  # fmt: skip


def _number(estimate: Mapping[str, float], digits: int) -> str:
    return f"{estimate['value']:.{digits}f} ± {estimate['error']:.{digits}f}"


def _share(shares: Mapping[str, Mapping[str, float]], name: str) -> str:
    if name not in shares:
        return {"standard": "0", "peer": "100 %"}[name]
    return f"{100 * shares[name]['value']:.1f} ± {100 * shares[name]['error']:.1f} %"
