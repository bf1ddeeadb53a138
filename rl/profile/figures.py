"""Figures of the profile stage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder
from envs.profile.render import draw_map
from rl.profile import judge
from rl.profile.config import ProfileConfig
from rl.profile.judge import CLASSES, Judged
from rl.profile.samples import Study
from rl.profile.training import AGENT, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float32]

SHOWN = (judge.NEAREST, judge.BICUBIC, judge.FIT, judge.PEERS, judge.AGENTS, judge.REFINERS,
         judge.MAPS)  # fmt: skip
_EXAMPLES = ("unconverted", "late conversion", "early conversion")
_BINS = np.array([4, 12, 36, 66, 93, 110.0])  # cm: groups of the tracker's layers


def add_figures(
    folder: RunFolder,
    judged: Judged,
    study: Study,
    config: ProfileConfig,
    methods: Mapping[str, list[judge.Method]],
) -> None:
    """Draw all figures into the run folder."""
    _examples(folder, judged, study, methods)
    _by_radius(folder, judged, study)
    _by_class(folder, judged)
    _curves(folder, config)


def profiles_figure(columns: Mapping[str, Mapping[str, FloatArray]], simulation: bool) -> Figure:
    """A grid of profiles: a photon per column with its title, a method per row."""
    rows = list(next(iter(columns.values())))
    figure, axes = new_figure(len(rows), len(columns), width=4.6, height=2.25)
    for column, (title, pictures) in enumerate(columns.items()):
        for row, (name, values) in enumerate(pictures.items()):
            axis = axes[row, column]
            draw_map(axis, values)
            axis.set_ylabel(f"{name}\nη, crystals" if column == 0 else "", fontsize=9)
            axis.tick_params(labelsize=8)
        label(axes[0, column], simulation, title)
        axes[-1, column].set_xlabel("φ from the seed, crystals", fontsize=10)
    figure.tight_layout()
    return figure


def _examples(
    folder: RunFolder, judged: Judged, study: Study, methods: Mapping[str, list[judge.Method]]
) -> None:
    """One photon of each kind whose agent is as good as the median of its kind."""
    error = judged.mean(judge.AGENTS, "l1")
    legs = judged.values[judge.TRUTH]["spread"][0]
    chosen = []
    for name in _EXAMPLES:
        members = np.flatnonzero(judged.classes[:, CLASSES.index(name)])
        if name == "early conversion":  # those with legs wide apart show what there is to see
            members = members[legs[members] > np.median(legs[members])]
        chosen.append(members[np.argsort(error[members])[len(members) // 2]])
    rows = np.array(chosen)
    test = study.test
    some = judge.take(test.dynamics, rows)
    drawn: dict[str, FloatArray] = {"crystals": some.observed(np.arange(len(rows)))}
    drawn |= {name: methods[name][0](some) for name in SHOWN[1:]}
    drawn["truth"] = test.photons.profile[rows].astype(np.float32)
    energy = test.photons.photons.energy[rows]
    columns = {
        f"{kind}, {energy[k]:.0f} GeV": {name: values[k] for name, values in drawn.items()}
        for k, kind in enumerate(_EXAMPLES)
    }
    folder.save_figure(
        profiles_figure(columns, simulation=True), "examples",
        "Three simulated photons: the energy per crystal's area, as seen and as each method "
        "makes of it. Chosen as the agent's median photon of their kind (of early conversions, "
        "of those with legs wide apart).",
    )  # fmt: skip


def _by_radius(folder: RunFolder, judged: Judged, study: Study) -> None:
    """Distances against the radius of the conversion; unconverted photons at the right."""
    radius = study.test.photons.radius
    place = np.digitize(radius, _BINS)
    names = ["< 4 cm", *(f"{a:.0f}-{b:.0f}" for a, b in pairwise(_BINS))]
    converted = np.isfinite(radius)
    groups = [np.flatnonzero(converted & (place == k)) for k in range(len(_BINS))]
    groups.append(np.flatnonzero(~converted))
    names = [*names, "unconverted"]
    used = [k for k, rows in enumerate(groups) if len(rows) > 1]
    figure, axes = new_figure(1, 2, width=5.6, height=4.4)
    for axis, measure, title in zip(
        axes[0], ("l1", "wasserstein_phi"), ("L1", "Wasserstein in φ, crystals"), strict=True
    ):
        for method, colour in zip(SHOWN[1:], COLOURS, strict=False):
            values = judged.mean(method, measure)
            mean = [values[groups[k]].mean() for k in used]
            error = [values[groups[k]].std() / np.sqrt(len(groups[k])) for k in used]
            axis.errorbar(range(len(used)), mean, error, fmt="o-", c=colour, ms=4, label=method)
        axis.set_xticks(range(len(used)), [names[k] for k in used], rotation=35, fontsize=9)
        axis.set(xlabel="radius of the conversion, cm", ylabel=title, yscale="log")
        label(axis, simulation=True, right="photon gun")
    axes[0, 0].legend(fontsize=9)
    figure.tight_layout()
    folder.save_figure(
        figure, "radius", "Mean distance to the true profile by where the photon converted."
    )


def _by_class(folder: RunFolder, judged: Judged) -> None:
    """L1 against Wasserstein: who is good at which."""
    figure, axes = new_figure(1, 3, width=4.6, height=4.2)
    kinds = ("unconverted", "late conversion", "early conversion")
    for axis, kind in zip(axes[0], kinds, strict=True):
        inside = judged.classes[:, CLASSES.index(kind)]
        for method, colour in zip((judge.FINDER, *SHOWN[2:]), COLOURS, strict=False):
            l1, phi = (judged.values[method][m][:, inside] for m in ("l1", "wasserstein_phi"))
            axis.scatter(phi.mean(axis=1), l1.mean(axis=1), color=colour, label=method, s=35)
        axis.set(xlabel="Wasserstein in φ, crystals", ylabel="L1", xlim=(0, None), ylim=(0, None))
        label(axis, simulation=True, right=kind)
    axes[0, 0].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    folder.save_figure(
        figure, "l1_and_wasserstein",
        "Both distances to the true profile, a point per seed; the lower left is best.",
    )  # fmt: skip


def _curves(folder: RunFolder, config: ProfileConfig) -> None:
    figure, axes = new_figure(1, 1)
    axis = axes[0, 0]
    tasks = [Task(AGENT, k) for k in range(config.seeds)] + [Task(AGENT, is_shuffled=True)]
    for task in tasks:
        path = config.output / f"{task.name}_curve.json"
        points = json.loads(path.read_text(encoding="utf-8"))
        style = {"ls": "--", "c": "0.5"} if task.is_shuffled else {}
        name = "shuffled truth" if task.is_shuffled else f"seed {task.seed}"
        axis.plot(
            [p["seconds"] for p in points], [p["distance"] for p in points], label=name, **style
        )
    axis.set(xlabel="training, s", ylabel="distance to the true profile", yscale="log")
    axis.legend()
    label(axis, simulation=True, right="photon gun")
    folder.save_figure(
        figure,
        "learning",
        "Mean distance of held-out photons after an episode, while agents learn.",
    )
