"""Tables of a calibration run, for the report and the docs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.runs import RunFolder
from rl.calibration.cases import NOMINAL

Result = Mapping[str, Any]

TITLES = {
    "none": "nominal regression",
    "scales": "η and supermodule scales",
    "maps": "+ tower and crystal maps",
    "mass_loss": "mass loss by back-propagation",
    "agent": "agent",
    "mass_loss_maps": "mass loss, from the maps",
    "agent_maps": "agent, from the maps",
    "oracle": "oracle: true energies of the candidates",
    "oracle_gun": "oracle: true energies of a photon gun",
    "own": "regression of this detector's photons, all inputs, truth",
    "control": "control: agent, permuted masses",
    "trap_loss": "trap: mass loss, log E observed",
    "trap_agent": "trap: agent, log E observed",
}
_FIGURES = {
    "sigma_eff_mass": ("σ_eff(m)/m %", 3),
    "share": ("share of lost resolution %", 1),
    "minus_maps": ("σ_eff(m)/m minus maps' %", 3),
    "peak_shift": ("peak shift %", 2),
    "pt_scale": ("scale at high - low pT %", 2),
    "slope": ("slope %/10 GeV", 3),
    "bump": ("bump %", 1),
    "significance": ("S/√B over nominal regression", 3),
}
_EVERYWHERE = ("sigma_eff_mass", "share", "minus_maps", "peak_shift", "pt_scale")
_JUDGED = (
    "H → γγ of the same detector, which no training saw. Share: part recovered of the resolution "
    "lost between the nominal regression and the oracle, a network of identical inputs taught by "
    "the candidates' true energies. Networks and agents: mean of {policies} policies. Slope, bump "
    "and background of S/√B on gun pairs. Errors by bootstrap over events, paired where "
    "differences are shown; they do not hold the scatter of the candidates."
)


def add_tables(folder: RunFolder, metrics: Mapping[str, Any], policies: int) -> None:
    """List the run's results."""
    results = list(metrics["cases"].values())
    main = main_results(results)
    caption = _JUDGED.format(policies=policies)
    first = main[0]
    folder.add_table(
        "Calibration",
        ("", *(title for title, _ in _FIGURES.values())),
        [
            (title, *_row(row, tuple(_FIGURES)))
            for name, title in TITLES.items()
            if (row := first["methods"].get(name))
        ],
        f"{_name(first['case'])}. {caption}",
    )
    folder.add_table(
        "Detectors",
        ("", "detector", *(_FIGURES[key][0] for key in _EVERYWHERE), "slope %/10 GeV"),
        [
            (TITLES[name], result["case"]["detector"], *_row(row, (*_EVERYWHERE, "slope")))
            for name in TITLES
            for result in main
            if (row := result["methods"].get(name)) and name not in ("none", *_CONTROLS)
        ],
        f"{first['case']['candidates']} candidates of each detector, or as many as there are. "
        "The maps of distortions differ by seed; weak detectors have the distortions at half "
        "strength or less.",
    )
    _studies(folder, results)
    _real(folder, metrics["real"])


_ORACLES = ("oracle", "oracle_gun", "own")
_CONTROLS = ("control", "trap_loss", "trap_agent")


def main_results(results: Sequence[Result]) -> list[Result]:
    """The largest sample of every detector but the nominal one."""
    found: dict[str, Result] = {}
    for result in results:
        detector = result["case"]["detector"]
        if detector != NOMINAL:
            found.setdefault(detector, result)
    return list(found.values())


def _studies(folder: RunFolder, results: Sequence[Result]) -> None:
    """Number of candidates, background, closure."""
    first = main_results(results)[0]["case"]
    mine = [r for r in results if r["case"]["detector"] == first["detector"]]
    sizes = [r for r in mine if r["case"]["background"] == first["background"]]
    shares = [r for r in mine if r["case"]["candidates"] == first["candidates"]]
    closure = [r for r in results if r["case"]["detector"] == NOMINAL]
    for title, column, key, chosen, caption in (
        ("Candidates", "candidates", "candidates", sizes,
         "The same detector with fewer Z → ee candidates."),
        ("Background", "background", "background", shares,
         "The same detector with other shares of background under the peak."),
        ("Closure", "candidates", "candidates", closure,
         "The whole procedure on the nominal detector: nothing is to be found, and each method's "
         "own noise is what it costs."),
    ):  # fmt: skip
        folder.add_table(
            title,
            ("", column, *(_FIGURES[k][0] for k in _EVERYWHERE)),
            [
                (TITLES[name], result["case"][key], *_row(row, _EVERYWHERE))
                for name in TITLES
                for result in sorted(chosen, key=lambda r: r["case"][key])
                if (row := result["methods"].get(name)) and name not in (*_CONTROLS, *_ORACLES)
            ],
            caption,
        )


def _real(folder: RunFolder, found: Mapping[str, Any]) -> None:
    rows = [
        (
            _REAL_TITLES.get(name, name),
            *(number(row[key], 2) for key in ("mean", "median", "ratio")),
        )
        for name, row in found.get("methods", {}).items()
    ]
    folder.add_table(
        "Real candidates",
        ("", "mean m, GeV", "median m, GeV", "mean of m/m(file) - 1, %"),
        rows,
        f"{found['candidates']} collisions of {', '.join(found['files']) or 'no file at hand'} "
        "with two standard clusters in the barrel and a mass of 80-100 GeV in the file. Errors by "
        "their spread, which holds the Z's width and bremsstrahlung. Z: 91.19 GeV.",
    )


_REAL_TITLES = {
    "file": "CMS's own photons (in the file)",
    "standard": "standard 5x5",
    "regression": "nominal regression",
    "calibrated": '+ agent\'s calibration of simulated "data" (another detector)',
}


def number(estimate: Mapping[str, float | None], digits: int) -> str:
    """Value and error; empty where there is none."""
    value, error = estimate["value"], estimate["error"]
    if value is None or error is None or not np.isfinite(value):
        return ""
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _row(row: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    return [number(row[key], _FIGURES[key][1]) if key in row else "" for key in keys]


def _name(case: Mapping[str, Any]) -> str:
    share = 100 * case["background"]
    return f"{case['candidates']} candidates of {case['detector']}, {share:g} % background"
