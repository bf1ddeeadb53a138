"""Tables of a refinement run, for the report and the docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.runs import RunFolder
from rl.refinement.plots import TITLES

TITLES_OF_DIFFERENCES = {
    "agent - regression": "agent - regression it starts from",
    "agent - peer": "agent - supervised peer",
    "peer - regression": "supervised peer - regression",
}


def add_tables(folder: RunFolder, metrics: Mapping[str, Any]) -> None:
    """List the run's results."""
    shares = metrics["share_of_peer_gain"]
    folder.add_table(
        "Resolution",
        ("", "σ_eff(E/E_true) %", "share of gain", "σ_eff(m)/m %", "share of gain",
         "S/√B over standard"),
        [
            (
                TITLES[name],
                _number(photons["sigma_eff_energy"], 3),
                _share(shares["energy"], name),
                _number(metrics["mass"][name]["sigma_eff_mass"], 3),
                _share(shares["mass"], name),
                _number(metrics["mass"][name]["significance"], 3),
            )
            for name, photons in metrics["photons"].items()
        ],
        "Energy on held-out photons of the gun, mass on H→γγ events; no training of the agent saw "
        "either. Share of gain: part of the peer's gain over the standard reconstruction. Errors "
        "by bootstrap over events.",
    )  # fmt: skip
    folder.add_table(
        "Mass scale and background",
        ("", "peak shift %", "bump %", "slope %/10 GeV"),
        [
            (TITLES[name], *(_number(row[key], 3) for key in ("peak_shift", "bump", "slope")))
            for name, row in metrics["mass"].items()
        ],
        "Peak shift: median of m/125 GeV - 1 in H→γγ. Bump: excess of a smooth background (γγ and "
        "gun pairs) at 120-130 GeV over its sidebands; slope: change of m/m_true over 10 GeV on "
        "it. A gain that sculpts the background shows in the last two.",
    )
    folder.add_table(
        "Photons in detail",
        ("", "R9 > 0.94: σ_eff %", "R9 ≤ 0.94", "within a crystal of an edge", "H→γγ photons",
         "median E/E_true - 1 %", "mean |Δu|", "mean |Δv|"),
        [
            (
                TITLES[name],
                *(f"{row[f'sigma_eff_energy_{part}']:.3f}" for part in
                  ("compact", "wide", "near_edge")),
                _number(metrics["higgs_photons"][name]["sigma_eff_energy"], 3),
                f"{row['median_energy']:+.2f}",
                f"{row['mean_abs_u']:.4f}",
                f"{row['mean_abs_v']:.4f}",
            )
            for name, row in metrics["photons"].items()
        ],
        "Held-out photons of the gun; positions in crystals.",
    )  # fmt: skip
    _seeds(folder, metrics["singles"])
    _differences(folder, metrics)


def _seeds(folder: RunFolder, singles: Mapping[str, Mapping[str, Any]]) -> None:
    """Every agent alone beside every network of the peer alone, their means and spreads."""
    keys = (("sigma_eff_energy", 3), ("sigma_eff_mass", 3), ("mean_abs_u", 4), ("mean_abs_v", 4))
    rows = []
    for kind in ("agent", "peer"):
        chosen = {name: row for name, row in singles.items() if name.startswith(kind)}
        for name, row in chosen.items():
            rows.append(
                (
                    f"{kind}, seed {name.split()[1]}",
                    *(f"{row[key]:.{digits}f}" for key, digits in keys),
                    *(f"{100 * row[f'share_{k}']:.1f} %" if kind == "agent" else "" for k in
                      ("energy", "mass")),
                )
            )  # fmt: skip
        if len(chosen) > 1:
            columns = [np.array([row[key] for row in chosen.values()]) for key, _ in keys]
            rows.append(
                (
                    f"{kind}: mean ± spread",
                    *(f"{c.mean():.{digits}f} ± {c.std(ddof=1):.{digits}f}"
                      for c, (_, digits) in zip(columns, keys, strict=True)),
                    "", "",
                )
            )  # fmt: skip
    folder.add_table(
        "Seeds",
        ("", "σ_eff(E/E_true) %", "σ_eff(m)/m %", "mean |Δu|", "mean |Δv|", "share of gain, E",
         "share of gain, m"),
        rows,
        "Single networks. Share of gain: part of what a single network of the peer gains on "
        "average over the standard reconstruction.",
    )  # fmt: skip


def _differences(folder: RunFolder, metrics: Mapping[str, Any]) -> None:
    rows = {TITLES_OF_DIFFERENCES.get(n, n): row for n, row in metrics["differences"].items()}
    rows |= {
        f"{name} alone - regression": row["difference"]
        for name, row in metrics["singles"].items()
        if "difference" in row
    }
    folder.add_table(
        "Differences",
        ("", "σ_eff(E/E_true) %", "σ_eff(m)/m %", "distance d", "mean |Δu|", "mean |Δv|"),
        [
            (
                name,
                *(_signed(row[key], 3) for key in ("sigma_eff_energy", "sigma_eff_mass")),
                *(_signed(row[key], 4) for key in ("distance", "mean_abs_u", "mean_abs_v")),
            )
            for name, row in rows.items()
        ],
        "On the same photons and events, errors by paired bootstrap over events; negative: the "
        "first is better. d: the mean distance to the truth, which the reward is made of.",
    )


def _signed(estimate: Mapping[str, float], digits: int) -> str:
    return f"{estimate['value']:+.{digits}f} ± {estimate['error']:.{digits}f}"


def _number(estimate: Mapping[str, float], digits: int) -> str:
    return f"{estimate['value']:.{digits}f} ± {estimate['error']:.{digits}f}"


def _share(shares: Mapping[str, Mapping[str, float]], name: str) -> str:
    if name not in shares:
        return {"standard": "0", "peer": "100 %"}[name]
    return f"{100 * shares[name]['value']:.1f} ± {100 * shares[name]['error']:.1f} %"
