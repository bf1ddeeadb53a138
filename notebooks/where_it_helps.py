# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3

# %% [markdown]
# # 3. Where does the agent help?
#
# An average over all photons hides where a method earns its place. Photons are hard for three
# reasons: they *convert* in the tracker (the e+e- pair opens in the magnetic field, energy leaves
# the 5x5; such photons are wide, R9 = E3x3/E is small), they hit near a *crack* between crystal
# modules (energy falls through), or they come with *pile-up* (other collisions' energy lies on
# top). The resolution of four methods against each of these, on events that no training saw.

# %%
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import study

from common.metrics import bootstrap, relative_sigma_eff
from common.plotting import COLOURS, label, new_figure
from data.detector.edges import edge_distances
from data.detector.geometry import eb_eta_phi
from rl.refinement.plots import TITLES

run = study.Study.open()
sample = run.judged()
table, ratios = sample.table, sample.energy_ratios()
SHOWN = {"standard": COLOURS[4], "regression": COLOURS[0], "peer": COLOURS[1], "agent": COLOURS[2]}
REPLICAS = study.quick(60, 4)
print(f"{len(table)} photons of events that no training saw")


# %%
def steps_of_equal_number(values: np.ndarray) -> list[float]:
    """Edges of six bins with as many photons each; the outermost hundredths are left out."""
    return [float(q) for q in np.quantile(values, np.linspace(0.01, 0.99, 7))]


du, dv = edge_distances(table.u, table.v)
variables: dict[str, tuple[str, np.ndarray, list[float]]] = {
    "r9": ("R9 (small: converted)", table.r9, [0.5, 0.8, 0.88, 0.92, 0.94, 0.96, 1.0]),
    "crack": (
        "nearest module edge, crystals",
        np.minimum(np.abs(du), np.abs(dv)),
        [0, 0.5, 1, 1.5, 2, 3, 5, 10],
    ),
    "density": (
        "energy density, MeV / crystal",
        table.density,
        steps_of_equal_number(table.density),
    ),
    "eta": ("|η|", np.abs(eb_eta_phi(table.u, table.v)[0]), [0, 0.2, 0.45, 0.8, 1.15, 1.45]),
    "energy": (
        "standard energy, GeV",
        table.energy,
        steps_of_equal_number(table.energy),
    ),
}


def width(ratio: np.ndarray) -> float:
    """σ_eff in per cent."""
    return 100 * relative_sigma_eff(ratio)


def in_bins(
    statistic: Callable[..., float], values: np.ndarray, edges: list[float], *arrays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic and its error per bin; bins with fewer than 30 photons are left out (NaN)."""
    found = np.full((2, len(edges) - 1), np.nan)
    for k, (low, high) in enumerate(pairwise(edges)):
        inside = (values >= low) & (values < high)
        if inside.sum() >= 30:
            chosen = [array[inside] for array in arrays]
            found[0, k] = statistic(*chosen)
            found[1, k] = bootstrap(statistic, *chosen, groups=table.group[inside], n=REPLICAS)
    return found[0], found[1]


# %% [markdown]
# Above: the resolution. Below: what matters for the question, the agent's width minus that of the
# regression it was shown, and minus the peer's, on the same photons (paired bootstrap). Below zero
# the agent is better. Where points sit at zero within their errors, the agent adds nothing there.

# %%
figure, axes = new_figure(2, len(variables), width=4.0, height=3.4, sharex="col", sharey="row")
for column, (title, values, edges) in enumerate(variables.values()):
    centre = (np.array(edges[1:]) + edges[:-1]) / 2
    half = np.diff(edges) / 2
    for name, colour in SHOWN.items():
        found, error = in_bins(width, values, edges, ratios[name])
        axes[0, column].errorbar(
            centre, found, error, half, fmt="o", ms=4, color=colour, label=TITLES[name]
        )
    for name in ("regression", "peer"):
        found, error = in_bins(
            lambda a, b: width(a) - width(b), values, edges, ratios["agent"], ratios[name]
        )
        axes[1, column].errorbar(
            centre, found, error, half, fmt="o", ms=4, color=SHOWN[name],
            label=f"agent minus {name}",
        )  # fmt: skip
    axes[1, column].axhline(0, color="black", lw=0.8)
    axes[1, column].set_xlabel(title)
axes[0, 0].set_ylabel("σ_eff(E / E_true), %")
axes[0, 0].set_yscale("log")
axes[0, 0].set_yticks([1, 2, 3, 5], ["1", "2", "3", "5"])
axes[0, 0].minorticks_off()
axes[1, 0].set_ylabel("difference, %")
axes[0, 0].legend(fontsize=8)
axes[1, 0].legend(fontsize=8)
label(axes[0, 0], simulation=True, right="")
figure.tight_layout()
study.show(figure, "where_it_helps")

# %% [markdown]
# ## Conversions, by the truth
#
# R9 is what the detector sees; the simulation also knows which photons converted. Both tell the
# same story if R9 is a good flag.

# %%
converted = run.converted(table)
print(f"{100 * converted.mean():.0f} % of the photons converted")
print(f"{'':34s} converted, %      not converted, %")
for name in SHOWN:
    parts = [
        (
            width(ratios[name][part]),
            bootstrap(width, ratios[name][part], groups=table.group[part], n=REPLICAS),
        )
        for part in (converted, ~converted)
        if part.sum() >= 30
    ]
    print(f"{TITLES[name]:34s}", "   ".join(f"{v:.3f} ± {e:.3f}" for v, e in parts))

# %% [markdown]
# ## One variable at a time, interactively
#
# Where does a method shift the energy? A bias that depends on R9, place or pile-up is a resolution
# that the average hides.


# %%
def draw_bias(variable: str) -> None:
    """Median of E / E_true in bins of a variable."""
    title, values, edges = variables[variable]
    figure, axes = new_figure()
    centre = (np.array(edges[1:]) + edges[:-1]) / 2
    for name, colour in SHOWN.items():
        found, error = in_bins(lambda x: 100 * (np.median(x) - 1), values, edges, ratios[name])
        axes[0, 0].errorbar(
            centre, found, error, np.diff(edges) / 2, fmt="o", color=colour, label=TITLES[name]
        )
    axes[0, 0].axhline(0, color="black", lw=0.8)
    axes[0, 0].set_xlabel(title)
    axes[0, 0].set_ylabel("median of E / E_true - 1, %")
    axes[0, 0].legend(fontsize=9)
    label(axes[0, 0], simulation=True, right="")
    study.show(figure, f"bias_{variable}")


study.slider(draw_bias, variable=(list(variables), "r9"))
