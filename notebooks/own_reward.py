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
# # 5. A reward of your own
#
# A supervised loss has to have a gradient. A reward does not: it may count. Here the shipped
# sample of simulated photons (no files, no checkpoint needed) is refined by three agents that
# differ in nothing but their reward:
#
# * `potential`, the project's: what the step took off the distance to the truth
#   d = min(|Δlog E|/0.02, 6) + ... ;
# * `stairs`, ours: a point for every goal that comes within reach (d < 6, 5, ... 0.5), a point off
#   for every one that is lost. It is flat almost everywhere: no regression could follow it;
# * `hit`, also ours: the same with the one goal d < 1.
#
# A reward is a function of the distances before and after the step, under a key of `REWARDS`.

# %%
import numpy as np
import study

from common.config import build
from common.metrics import relative_sigma_eff
from common.plotting import COLOURS, label, new_figure
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.env import make_dynamics
from envs.refinement.reward import REWARDS, FloatArray
from rl.learning.agents import policy_of
from rl.learning.config import AgentConfig
from rl.learning.training import train_agent
from rl.refinement.episodes import measure, roll_out

GOALS = np.array([0.5, 1, 1.5, 2, 3, 4, 5, 6], dtype=np.float32)
HIT = 1.0


def stairs(before: FloatArray, after: FloatArray) -> FloatArray:
    """Goals gained."""
    gained = (after[:, None] < GOALS).sum(axis=1) - (before[:, None] < GOALS).sum(axis=1)
    return gained.astype(np.float32)


def hit(before: FloatArray, after: FloatArray) -> FloatArray:
    """Points for reaching one goal, and for nothing else."""
    return (after < HIT).astype(np.float32) - (before < HIT).astype(np.float32)


REWARDS.update(stairs=stairs, hit=hit)

# %% [markdown]
# Train them on two thirds of the photons, judge on the rest. Short trainings of a few seconds, for
# the principle: the `rl` stage trains longer and on more photons.

# %%
SETTINGS = {
    "start": "standard",
    "ranges": (0.1, 0.1, 0.2),
    "margin": 1.5,
    "blocks": ["kinematics", "shapes", "residual"],
}
CONFIG = build(
    AgentConfig,
    {
        "updates": study.quick(1500, 32), "environments": study.quick(512, 64), "batch_size": 256,
        "buffer_size": 60_000, "hidden": [64, 64], "learning_rate": 2e-3, "noise": 0.2,
    },
)  # fmt: skip


def parts(reward: str) -> tuple[RefinementDynamics, RefinementDynamics]:
    """The environment on training photons, and on others."""
    whole = make_dynamics(None, SETTINGS | {"reward": reward})
    rows = np.arange(len(whole))
    train, test = (
        RefinementDynamics(whole.table.take(chosen), whole.model, whole.config)
        for chosen in (rows[rows % 3 > 0], rows[rows % 3 == 0])
    )
    return train, test


results, curves = {}, {}
for reward in ("potential", "stairs", "hit"):
    train, test = parts(reward)
    agent, curves[reward] = train_agent(train, CONFIG, 0, measure(test), points=10)
    results[reward] = roll_out(test, policy_of(agent)).final
    print(f"{reward}: trained for {curves[reward][-1]['seconds']:.0f} s")

# %% [markdown]
# Judge all of them by all measures: the share of photons within the goal, the mean distance, and
# the width of E/E_true. Stairs teach about as much as the smooth reward: the critic learns where
# they lie, and the actor climbs the critic. The single goal is another matter: most actions change
# nothing that it counts, exploration finds the narrow way in too rarely, and photons that are far
# off are never called nearer. (One seed and a few seconds each: differences of a few per cent
# between the first two mean nothing.)

# %%
_, test = parts("potential")
target, photon = test.table.target, np.arange(len(test))
assert target is not None
results = {"standard": np.zeros_like(target), **results}
print(f"{'':12s} d < {HIT:g}, %    mean d    σ_eff(E/E_true), %")
for name, correction in results.items():
    distance = test.distance(photon, correction)
    width = 100 * relative_sigma_eff(np.exp(correction[:, 0] - target[:, 0].astype(float)))
    print(f"{name:12s} {100 * (distance < HIT).mean():8.1f} {distance.mean():9.2f} {width:12.2f}")

# %%
figure, axes = new_figure(1, 2, width=5.6, height=4.2)
bins = np.linspace(0, 6, 49)
for (name, correction), colour in zip(results.items(), (COLOURS[4], *COLOURS), strict=False):
    axes[0, 0].hist(
        test.distance(photon, correction), bins, histtype="step", lw=1.6, color=colour, label=name
    )
    if name in curves:
        points = curves[name]
        axes[0, 1].plot(
            [p["updates"] for p in points], [100 * p["sigma_eff_energy"] for p in points], "o-",
            color=colour, label=name,
        )  # fmt: skip
axes[0, 0].axvline(HIT, color="black", ls=":")
axes[0, 0].set_xlabel("distance d to the truth")
axes[0, 0].set_ylabel("photons / bin")
axes[0, 1].set_xlabel("gradient steps")
axes[0, 1].set_ylabel("held-out σ_eff(E / E_true), %")
for axis in axes[0]:
    axis.legend(fontsize=10)
    label(axis, simulation=True, right="")
figure.tight_layout()
study.show(figure, "own_reward")

# %% [markdown]
# What to try: other goals; more noise for `hit`; a reward of the last step only (`steps=1`); or a
# cost for every move, `-0.05 * (before != after)`, which teaches the agent to leave good photons
# alone. What not to try: the diphoton mass. It is not in the observation for a reason, see
# `docs/environment.md`.
