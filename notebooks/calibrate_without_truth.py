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
# # 4. Calibration without truth
#
# Real detectors differ from their simulation, and real photons bring no truth. But Z bosons decay
# to electron pairs whose mass is known. Here an agent sees where the two electrons of a Z
# candidate hit the barrel and changes their energies. It is paid by the mass alone: for each
# electron, the distance d = min(|log m/m_ref| / 0.015, 6) without its own correction, minus that
# with it, the partner's as played. m_ref is what nominal simulation gives for such a pair.
#
# The shipped sample has 4000 simulated candidates of a distorted detector (natural width,
# bremsstrahlung). That is enough for the principle, not for a result: the `calibrate` stage does
# this with 200,000, against maps, back-propagation and an oracle, and judges on H→γγ
# (`docs/calibration.md`); its `candidates.npz` can be named in `CANDIDATES`.

# %%
import os
from collections.abc import Callable

import numpy as np
import study

from common.config import build
from common.metrics import relative_sigma_eff, with_error
from common.plotting import COLOURS, label, new_figure
from data.detector.geometry import eb_eta_phi
from envs.calibration.candidates import Candidates, read_candidates
from envs.calibration.config import CalibrationEnvConfig
from rl.calibration.agent import train_policy
from rl.calibration.cases import permuted
from rl.calibration.loss import mean_distance
from rl.calibration.maps import fit_scales
from rl.learning.config import AgentConfig

candidates, _ = read_candidates(os.environ.get("CANDIDATES"))
rows = np.arange(len(candidates))
learn, judge = candidates.take(rows[rows % 2 == 0]), candidates.take(rows[rows % 2 == 1])
print(f"{len(learn)} candidates to learn from, {len(judge)} others to judge on")

# %% [markdown]
# Three agents, all else equal: one sees the place of impact only; the *control* has the masses of
# other pairs; the *trap* also sees the energy. Beside them what experiments do: one scale per η
# ring and supermodule, fitted to the same candidates.

# %%
PLACE = build(CalibrationEnvConfig, {"blocks": ["position"]})
TRAP = build(CalibrationEnvConfig, {"blocks": ["position", "energy"]})
AGENT = build(
    AgentConfig,
    {
        "updates": study.quick(1200, 32), "environments": study.quick(2048, 64),
        "batch_size": study.quick(512, 64), "buffer_size": 60_000, "hidden": [64, 64],
        "learning_rate": 1e-3, "noise": 0.5, "final_noise": 0.125,
    },
)  # fmt: skip


def after(change: Callable[[Candidates], np.ndarray], pairs: Candidates) -> np.ndarray:
    """log(m / m_ref) after a change (m, 2) of the log energies."""
    return pairs.log_mass + change(pairs).sum(axis=1) / 2


def train(pairs: Candidates, config: CalibrationEnvConfig) -> Callable[[Candidates], np.ndarray]:
    """An agent's policy for single electrons and photons."""
    policy, curve = train_policy(
        pairs, config, AGENT, seed=0,
        measure=lambda policy: {"distance": mean_distance(after(policy, judge), config)}, points=4,
    )  # fmt: skip
    print([round(point["distance"], 3) for point in curve], f"in {curve[-1]['seconds']:.0f} s")
    return policy


scales = fit_scales(learn, PLACE)
methods: dict[str, Callable[[Candidates], np.ndarray]] = {
    "nominal": lambda pairs: np.zeros((len(pairs), 2)),
    "scales": lambda pairs: scales(pairs.u, pairs.v),
    "agent": train(learn, PLACE),
    "control": train(permuted(learn, seed=0), PLACE),
    "trap": train(learn, TRAP),
}

# %% [markdown]
# ## What the width does not show
#
# The trap looks best on the resonance it was taught on, and it is the worst calibration. Knowing
# the energy, it moves pairs towards the average mass: hard electrons down, soft ones up. On photons
# of another energy, such as those of a Higgs boson, this is a bias. The last column shows it
# without any truth: the mean correction of the harder half of the electrons (by pT) minus that of
# the softer half. By place alone there is little reason for a difference. (The control learns the
# mean scale, which masses of other pairs have too, and nothing else.)

# %%
eta, _ = eb_eta_phi(judge.u, judge.v)
pt = judge.energy / np.cosh(eta)
hard = pt > np.median(pt)
print(f"{'':10s} σ_eff(m), %      median - 1, %   mean d    hard - soft electrons, %")
for name, method in methods.items():
    mass = np.exp(after(method, judge))
    width = with_error(lambda x: 100 * relative_sigma_eff(x), mass, n=study.quick(100, 5))
    middle = with_error(lambda x: 100 * (np.median(x) - 1), mass, n=study.quick(100, 5))
    change = 100 * method(judge)
    print(
        f"{name:10s} {width.value:.2f} ± {width.error:.2f} {middle.value:+10.2f} ± "
        f"{middle.error:.2f} {mean_distance(np.log(mass), PLACE):8.3f} "
        f"{change[hard].mean() - change[~hard].mean():+12.2f}"
    )

# %%
figure, axes = new_figure(1, 2, width=5.8, height=4.2)
bins = np.linspace(0.85, 1.12, 55)
for (name, method), colour in zip(methods.items(), (COLOURS[4], *COLOURS[:4]), strict=True):
    axes[0, 0].hist(
        np.exp(after(method, judge)), bins, histtype="step", lw=1.6, color=colour, label=name
    )
    if name == "nominal":
        continue
    place = np.digitize(pt, np.quantile(pt, np.linspace(0, 1, 9))[1:-1])
    change = 100 * method(judge)
    axes[0, 1].plot(
        [pt[place == k].mean() for k in range(8)],
        [change[place == k].mean() for k in range(8)],
        "o-", color=colour, label=name,
    )  # fmt: skip
axes[0, 0].set_xlabel("m / m_ref of other Z → ee")
axes[0, 0].set_ylabel("candidates / bin")
axes[0, 1].set_xlabel("pT of the electron, GeV")
axes[0, 1].set_ylabel("mean correction, %")
for axis in axes[0]:
    axis.legend(fontsize=9)
    label(axis, simulation=True, right="")
figure.tight_layout()
study.show(figure, "calibration")

# %% [markdown]
# What was found by place: the corrections over the barrel's η. This detector has lost response
# with growing |η|. Agent and scales saw the same few candidates; the agent's correction is a smooth
# function of the place, the scales are one number per ring of crystals and follow the noise.

# %%
figure, axes = new_figure(1, 1, width=8.0, height=4.0)
u = np.concatenate([judge.u[:, 0], judge.u[:, 1]])
for name in ("scales", "agent", "control"):
    change = 100 * np.concatenate(list(methods[name](judge).T))
    middles = np.arange(2.5, 170, 5)
    found = [np.median(change[np.abs(u - m) < 2.5]) for m in middles]
    axes[0, 0].plot(middles, found, ".-", label=name, color=COLOURS[list(methods).index(name) - 1])
axes[0, 0].set_xlabel("η, crystals")
axes[0, 0].set_ylabel("median correction, %")
axes[0, 0].legend(fontsize=9)
label(axes[0, 0], simulation=True, right="")
study.show(figure, "corrections_by_place")
