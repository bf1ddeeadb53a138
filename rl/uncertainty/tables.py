"""Tables of the study of uncertainties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.runs import RunFolder
from rl.uncertainty.models import TITLES

SAMPLES = {"gun": "held-out photons of the gun", "higgs": "photons of H→γγ"}
_SETS = {
    "policies, between": "three policies, lowest to highest",
    "policies, spread": "three policies, one deviation round their mean",
    "noise, between": "noisy rollouts, lowest to highest",
    "policies, scaled": "refined ± spread of the policies, calibrated",
    "critic": "hypotheses that the fitted critic keeps, calibrated",
}
_INTERVALS = {name: f"refined ± {title}, calibrated" for name, title in TITLES.items()}
SETS = _SETS | {
    # Two names meet: the sets that the critic keeps, and intervals from its value.
    f"interval {name}": title
    for name, title in _INTERVALS.items()
}
SCHEMES = {"inclusive": "one category", "r9_eta": "R9 and η"} | {
    name: TITLES[name]
    for name in ("critic", "critic_refitted", "head", "laplace", "control", "permuted")
}
Estimate = Mapping[str, float]


def add_tables(folder: RunFolder, metrics: Mapping[str, Any]) -> None:
    """List the run's results."""
    for sample, title in SAMPLES.items():
        _coverage(folder, metrics[sample], title)
        _quintiles(folder, metrics[sample], title)
    _sets(folder, metrics["sets"])
    _gains(folder, metrics["gains"])
    _sculpting(folder, metrics["sculpting"])


def _coverage(folder: RunFolder, methods: Mapping[str, Any], sample: str) -> None:
    folder.add_table(
        f"Coverage, {sample}",
        ("", "68 %, as predicted", "width %", "68 %, calibrated", "width %", "worst fifth",
         "95 %, calibrated", "width %", "worst fifth", "CRPS x 100", "log likelihood"),
        [
            (
                TITLES[name],
                _percent(row["raw_68"]["coverage"]), f"{100 * row['raw_68']['width']:.2f}",
                *_interval(row["conformal_68"]), *_interval(row["conformal_95"]),
                _number(row["crps"], 3, 100), _number(row["log_likelihood"], 3),
            )
            for name, row in methods.items()
        ],
        "Part of the photons whose true energy lies in the interval round the refined one, and the "
        "interval's mean length. As predicted: a Gaussian of the predicted mean absolute error; "
        "calibrated: times the factor that covers 68 or 95 % of the calibration half of the "
        "gun's held-out photons. Worst fifth: lowest coverage of a fifth of the "
        "photons, cut by the likelihood head's prediction for all rows. Errors by bootstrap "
        "over events.",
    )  # fmt: skip


def _quintiles(folder: RunFolder, methods: Mapping[str, Any], sample: str) -> None:
    folder.add_table(
        f"Predicted and actual error, {sample}",
        ("", *(f"fifth {k}" for k in range(1, 6)), "σ_eff of first and last fifth %"),
        [
            (
                TITLES[name],
                *(
                    f"{100 * q['predicted']:.2f} / {100 * q['actual']:.2f} ± {100 * q['error']:.2f}"
                    for q in row["quintiles"]
                ),
                f"{100 * row['quintiles'][0]['sigma_eff']:.2f} to "
                f"{100 * row['quintiles'][-1]['sigma_eff']:.2f}",
            )
            for name, row in methods.items()
        ],
        "Mean |Δlog E| in %, predicted / actual, by fifths of the prediction; one common factor "
        "from calibration photons, errors beyond 12 % counted as 12 %.",
    )  # fmt: skip


def _sets(folder: RunFolder, sets: Mapping[str, Any]) -> None:
    rows = []
    for name, by_level in sets.items():
        cells = [SETS[name]]
        for level in ("", "0.68", "0.95"):
            found = by_level.get(level)
            cells += ["", ""] if found is None else [
                _percent(found["coverage"]),
                f"{100 * found['width']:.2f} ({100 * found['median_width']:.2f})",
            ]  # fmt: skip
        rows.append(cells)
    folder.add_table(
        "Several hypotheses",
        ("", "as they come: coverage", "width %", "68 %: coverage", "width %",
         "95 %: coverage", "width %"),
        rows,
        "Sets of energies of one photon: part of held-out gun photons whose true energy is in the "
        "set, and its mean (median) length. No set looks at its photon's truth; thresholds come "
        "from the calibration half.",
    )  # fmt: skip


def _gains(folder: RunFolder, gains: Mapping[str, Any]) -> None:
    folder.add_table(
        "Gain from categories",
        ("", "significance", "over one category", "over R9 and η"),
        [
            (
                SCHEMES[name],
                f"{row['significance']:.3f}",
                *(
                    "" if name == other else _number(row[f"over_{other}"], 3)
                    for other in ("inclusive", "r9_eta")
                ),
            )
            for name, row in gains.items()
        ],
        "Expected significance of H→γγ against γγ and γ+jet with refined masses in categories of "
        "predicted mass resolution (four with equal parts of the signal), summed in quadrature; "
        "errors by a paired bootstrap over parton events.",
    )


def _sculpting(folder: RunFolder, schemes: Mapping[str, Any]) -> None:
    folder.add_table(
        "Background in categories of resolution",
        ("", "category", "signal share", "σ_eff(m)/m %", "bump %", "slope %/10 GeV"),
        [
            (
                SCHEMES[name] if k == 0 else "",
                k + 1,
                f"{row['signal_share']:.2f}",
                f"{row['sigma_eff']:.3f}",
                _number(row["bump"], 1),
                _number(row["slope"], 3),
            )
            for name, rows in schemes.items()
            for k, row in enumerate(rows)
        ],
        "Best resolution first. Bump: excess of the background at 120-130 GeV over its sidebands; "
        "slope: change of m/m_true over 10 GeV on γγ.",
    )


def _interval(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return (
        _percent(row["coverage"]), f"{100 * row['width']:.2f}", f"{100 * row['worst_fifth']:.1f} %",
    )  # fmt: skip


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate['value']:.1f} ± {100 * estimate['error']:.1f} %"


def _number(estimate: Estimate, digits: int, unit: float = 1.0) -> str:
    return f"{unit * estimate['value']:.{digits}f} ± {unit * estimate['error']:.{digits}f}"
