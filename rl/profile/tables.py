"""Tables of the profile stage: who is how far from the truth, where, and what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.metrics import Estimate, auc_with_error, bootstrap
from common.runs import RunFolder
from rl.profile import judge, networks
from rl.profile.config import ProfileConfig
from rl.profile.judge import CLASSES, Judged
from rl.profile.metrics import sigma_iphi_iphi
from rl.profile.samples import Study
from rl.profile.training import SCORE, Task

FloatArray = NDArray[np.float64]

_EARLY = CLASSES.index("early conversion")
_PAIRED = ((judge.AGENTS, judge.FIT), (judge.AGENTS, judge.PEERS), (judge.AGENTS, judge.MAPS),
           (judge.MAPS, judge.FIT), (judge.REFINERS, judge.HALVES), (judge.REFINERS, judge.PEERS),
           (judge.REFINERS, judge.MAPS))  # fmt: skip
_WORTH = (
    judge.BICUBIC,
    judge.ONE,
    judge.FIT,
    judge.PEERS,
    judge.AGENTS,
    judge.REFINERS,
    judge.MAPS,
)
_DISTANCES = {
    "L1": "l1",
    "Wasserstein phi": "wasserstein_phi",
    "Wasserstein eta": "wasserstein_eta",
    "Wasserstein sliced": "sliced",
}
_CAPTION = (
    "Held-out simulated photons; errors by bootstrap over events; agent, regression and map are "
    "means over {seeds} seeds. "
)


def add_tables(folder: RunFolder, judged: Judged, study: Study, config: ProfileConfig) -> None:
    """Write all tables, and their numbers as metrics."""
    caption = _CAPTION.format(seeds=config.seeds)
    metrics: dict[str, Any] = {
        "photons": dict(zip(CLASSES, judged.classes.sum(axis=0), strict=True))
    }
    names = [name for name in judged.values if name != judge.TRUTH]
    for title, measure in _DISTANCES.items():
        found = _by_class(judged, [judged.mean(name, measure) for name in names], config.bootstrap)
        metrics[measure] = dict(zip(names, found, strict=True))
        folder.add_table(
            title, ["", *CLASSES], _rows(names, found), caption + _MEANING[measure] + _NUMBERS
        )
    metrics["paired"] = _paired(folder, judged, config, caption)
    metrics["seeds"] = _seeds(folder, judged)
    metrics["worth"] = _worth(folder, judged, study, config, caption)
    metrics["conversions"] = _conversions(folder, judged, study, config)
    folder.write_metrics(metrics)


_MEANING = {
    "l1": "Sum of the absolute differences of the cells, 0 to 2.",
    "wasserstein_phi": "Wasserstein distance of the projections on phi, in crystals.",
    "wasserstein_eta": "Wasserstein distance of the projections on eta, in crystals.",
    "sliced": "Mean Wasserstein distance of the projections on 8 directions, in crystals.",
}
_NUMBERS = (
    " Early conversions are those within 60 cm of the beam; near a crack is within a crystal of "
    "an edge of a module or supermodule."
)


def _by_class(judged: Judged, columns: Sequence[NDArray], replicas: int) -> list[list[Estimate]]:
    """Mean of each column in each class, with its error."""
    values = np.stack(columns, axis=1).astype(np.float64)

    def means(some: FloatArray, inside: NDArray[np.bool_]) -> FloatArray:
        return (inside.T.astype(np.float64) @ some) / inside.sum(axis=0)[:, None]

    value = means(values, judged.classes)
    error = bootstrap(means, values, judged.classes, groups=judged.group, n=replicas)
    return [
        [Estimate(float(v), float(e)) for v, e in zip(value[:, k], error[:, k], strict=True)]
        for k in range(len(columns))
    ]


def _rows(names: Sequence[str], found: list[list[Estimate]]) -> list[list[str]]:
    return [
        [name, *(f"{e.value:.4f} ± {e.error:.4f}" for e in estimates)]
        for name, estimates in zip(names, found, strict=True)
    ]


def _paired(
    folder: RunFolder, judged: Judged, config: ProfileConfig, caption: str
) -> dict[str, list[Estimate]]:
    names, columns = [], []
    for measure in ("l1", "wasserstein_phi"):
        for a, b in _PAIRED:
            names.append(f"{_SHORT[measure]}: {a} - {b}")
            columns.append(judged.mean(a, measure) - judged.mean(b, measure))
    found = _by_class(judged, columns, config.bootstrap)
    folder.add_table(
        "Differences", ["", *CLASSES], _rows(names, found),
        caption + "Differences on the same photons: negative is nearer to the truth.",
    )  # fmt: skip
    return dict(zip(names, found, strict=True))


_SHORT = {"l1": "L1", "wasserstein_phi": "W(phi)"}


def _seeds(folder: RunFolder, judged: Judged) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    rows = []
    for name in (judge.PEERS, judge.AGENTS, judge.REFINERS, judge.MAPS):
        found[name] = {
            measure: judged.values[name][measure].mean(axis=1).tolist()
            for measure in _DISTANCES.values()
        }
        rows.append(
            [name, *(", ".join(f"{v:.4f}" for v in seeds) for seeds in found[name].values())]
        )
    folder.add_table(
        "Seeds", ["", *_DISTANCES], rows, "Means over all held-out photons, seed by seed."
    )
    return found


def _worth(
    folder: RunFolder, judged: Judged, study: Study, config: ProfileConfig, caption: str
) -> dict[str, dict[str, Estimate]]:
    """Mean absolute errors of what a profile gives, for early conversions and for all."""
    true = {name: values[0] for name, values in judged.values[judge.TRUTH].items()}
    early, everyone = judged.classes[:, _EARLY], judged.classes[:, 0]
    measures = {
        "width in phi": ("width", early), "distance of the legs": ("distance", early),
        "share of the larger leg": ("fraction", early),
        "place in phi, all": ("v", everyone), "place in eta, all": ("u", everyone),
    }  # fmt: skip
    offset = study.test.photons.photons.offset
    found: dict[str, dict[str, Estimate]] = {"standard position": {}}
    for title, (measure, inside) in measures.items():
        group = judged.group[inside]
        errors = {
            name: np.abs(judged.values[name][measure] - true[measure]).mean(axis=0)
            for name in _WORTH
        }
        if measure in ("u", "v"):
            errors["standard position"] = np.abs(offset[:, "uv".index(measure)] - true[measure])
        for name, error in errors.items():
            value = error[inside].astype(np.float64)
            spread = bootstrap(np.mean, value, groups=group, n=config.bootstrap)
            found.setdefault(name, {})[title] = Estimate(float(value.mean()), float(spread))
    rows = [
        [name, *(_text(values.get(title)) for title in measures)] for name, values in found.items()
    ]
    folder.add_table(
        "Worth", ["", *measures], rows,
        caption + "Mean absolute errors with respect to the true profile, in crystals (shares: "
        "absolute); the first three of early conversions. The place is the energy-weighted mean.",
    )  # fmt: skip
    return found


def _conversions(
    folder: RunFolder, judged: Judged, study: Study, config: ProfileConfig
) -> dict[str, Estimate]:
    """How well converted photons are told from others, on identical photons."""
    table = study.test.photons.photons
    converted = np.isfinite(study.test.photons.radius)
    network = networks.load(Task(SCORE).path(config.output), config.peer.hidden)
    inputs = torch.from_numpy(networks.first_observation(study.test.dynamics))
    with torch.no_grad():
        score = network(inputs)[:, 0].numpy()
    scores = {
        "R9": -table.r9,
        "sigma_iphiiphi of 5x5 crystals": sigma_iphi_iphi(table),
        "network trained to tell them, identical inputs": score,
        **{f"spread of the legs, {n}": judged.mean(n, "spread") for n in _WORTH},
        f"spread of the legs, {judge.TRUTH}": judged.values[judge.TRUTH]["spread"][0],
    }
    found = {
        name: auc_with_error(values, converted, judged.group, config.bootstrap)
        for name, values in scores.items()
    }
    share = 100 * converted.mean()
    folder.add_table(
        "Conversions", ["", "AUC"],
        [[name, f"{e.value:.4f} ± {e.error:.4f}"] for name, e in found.items()],
        f"Area under the ROC curve, converted against unconverted photons ({share:.0f} % "
        "converted), all on the same held-out photons; errors by bootstrap over events.",
    )  # fmt: skip
    return found


def _text(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.4f} ± {estimate.error:.4f}"
