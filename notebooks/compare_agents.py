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
# ---

# %% [markdown]
# # 2. Agents and their rivals
#
# A number for an agent means little alone. Beside it stand here, on events that no training saw:
# the standard 5x5 sum; a regression that knows only where the photon is and how much energy was
# summed; the regression that the agent starts from or is shown; a supervised *peer* with exactly
# the inputs of the agent, which is the ceiling for an agent paid by the truth; and the *control*,
# the same agent paid by the truth of other photons, which must fail.

# %%
import numpy as np
import study

from common.metrics import relative_sigma_eff, with_error
from common.plotting import label, new_figure
from rl.evaluation.metrics import DIPHOTON, HIGGS
from rl.learning.agents import policy_of
from rl.refinement import networks, plots
from rl.refinement.episodes import roll_out
from rl.refinement.samples import split_by_group

run = study.Study.open()
sample = run.judged()
higgs = sample.matched(HIGGS)
REPLICAS = study.quick(100, 5)
print(f"{len(sample.table)} photons, {len(higgs.pairs)} pairs of H→γγ")

# %% [markdown]
# ## Photons
#
# σ_eff is half the width of the narrowest interval that holds 68.3 % of the photons, over the
# median: a width that no tail can hide in and none can blow up. Errors by bootstrap over parton
# events. A method that narrows the core but moves the median has to be calibrated again, so both
# are listed.

# %%
ratios = higgs.energy_ratios()
print(f"{'':34s} σ_eff(E/E_true), %    median - 1, %")
for method, ratio in ratios.items():
    width = with_error(
        lambda x: 100 * relative_sigma_eff(x), ratio, groups=higgs.table.group, n=REPLICAS
    )
    shift = 100 * (np.median(ratio) - 1)
    print(f"{plots.TITLES[method]:34s} {width.value:.3f} ± {width.error:.3f} {shift:+19.2f}")
study.show(plots.energy_ratios(ratios), "energy")

# %% [markdown]
# ## The diphoton mass, and whether it was sculpted
#
# The peak has to become narrower while a smooth background stays smooth: the right picture is the
# trap's detector. An agent that could see the mass, or that was trained on H→γγ alone, would pull
# background towards 125 GeV.

# %%
smooth = sample.matched(DIPHOTON).masses()
study.show(plots.masses(higgs.masses(), smooth), "masses")

# %% [markdown]
# ## How they learned
#
# Held-out resolution while agent and control learned, with the supervised networks as lines. The
# control ends where the standard reconstruction is: there was nothing to learn from.

# %%
curves = {
    name: networks.load_curve(run.folder / "parts", part)
    for name, part in (("agent", networks.agent_name(0)), ("control", "control"))
}
levels = {
    name: with_error(lambda x: 100 * relative_sigma_eff(x), ratios[name], n=2).value
    for name in ("standard", "kinematics", "regression", "peer")
}
study.show(plots.learning_curve(curves, levels), "learning_curve")

# %% [markdown]
# ## What each step brings, and what exploration costs
#
# The agent played on held-out photons of the gun, stopped after 0, 1, ... K steps; then with
# Gaussian noise on its actions, and the mean of several such noisy results. A mean wins back most
# of what the noise costs; it cannot win more than the policy itself knows.

# %%
refiner = run.refiner()
held_out = split_by_group(run.gun().table, run.config.evaluation.test_fraction, run.config.seed)[1]
assert held_out.target is not None
truth = held_out.target[:, 0].astype(np.float64)
dynamics, policy = refiner.dynamics(held_out), policy_of(refiner.agent)
rng = np.random.default_rng(0)
played = roll_out(dynamics, policy)
noisy = [
    roll_out(dynamics, policy, noise=run.config.evaluation.rollout_noise, rng=rng).final
    for _ in range(8)
]


def width(correction: np.ndarray) -> float:
    """σ_eff(E/E_true) in per cent."""
    return 100 * relative_sigma_eff(np.exp(correction[:, 0] - truth))


by_step = [width(correction) for correction in played.correction]
averaged = [width(np.mean(noisy[: n + 1], axis=0)) for n in range(len(noisy))]
figure, axes = new_figure(1, 2, width=5.6, height=4.0, sharey=True)
axes[0, 0].plot(by_step, "o-")
axes[0, 0].set_xlabel("steps taken")
axes[0, 0].set_xticks(range(len(by_step)))
axes[0, 0].set_ylabel("σ_eff(E / E_true), %")
axes[0, 1].plot(np.arange(len(noisy)) + 1, averaged, "o-", label="mean of noisy results")
axes[0, 1].axhline(by_step[-1], ls="--", color="black", label="the policy itself")
axes[0, 1].set_xlabel("noisy results averaged")
axes[0, 1].legend(fontsize=10)
for axis in axes[0]:
    label(axis, simulation=True, right="photon gun, held out")
figure.tight_layout()
study.show(figure, "steps_and_noise")
