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
# # 1. One event, step by step
#
# A photon's energy lies in a handful of crystals. The standard reconstruction sums the 5x5 round
# the hottest one; what leaked out of it, fell into a crack or was swept away with conversion
# electrons is missing, and pile-up is in it. The agent starts from a first estimate and corrects
# log E and the impact point (η, φ in crystals) in K small steps. After each it looks at what is
# left when the shower that it now believes in is subtracted from the crystals.
#
# The `rl` stage stores such rollouts of held-out photon pairs for several policies (`rollouts/`,
# see `docs/rollouts.md`). This notebook plays them back.

# %%
import numpy as np
import study

from common.plotting import COLOURS, label, new_figure
from envs.refinement.dynamics import Hypotheses
from envs.refinement.render import fill_axes
from rl.refinement.rollouts import read_rollouts

run = study.Study.open()
rollouts = read_rollouts(run.folder / "rollouts")
n_events, n_policies, _, n_hypotheses, n_features = rollouts.observations.shape
print(f"{n_events} events, {n_features} features, hypotheses 0 to {n_hypotheses - 1}")
print("policies:", ", ".join(rollouts.policies))

# %% [markdown]
# The crystals come from the event store that the photons came from; the shower that a hypothesis
# expects comes from the environment. The generated photon is drawn too (red star, dotted lines): we
# may look, the agent may not.

# %%
table = run.gun().table.matched()
pairs = [table.take(np.flatnonzero(table.row == row)) for row in rollouts.row]
dynamics = [run.refiner().dynamics(pair) for pair in pairs]
AGENT = rollouts.policies.index("agent")


def hypothesis(event: int, policy: int, slot: int, step: int) -> Hypotheses:
    """One photon of a pair at one step, as the environment knows it."""
    return Hypotheses(
        photon=np.array([slot]),
        correction=rollouts.correction[event, policy, slot, step][None],
        step=np.array([step]),
        distance=np.zeros(1, dtype=np.float32),
    )


# %%
def draw(event: int, policy: str, step: int) -> None:
    """Both photons of an event: crystals, expected shower, what is left; energies and mass."""
    r = rollouts.policies.index(policy)
    figure, axes = new_figure(2, 4, width=4.0, height=3.9)
    for slot, name in enumerate(("leading", "trailing")):
        fill_axes(axes[slot, :3], dynamics[event], hypothesis(event, r, slot, step))
        axes[slot, 0].set_ylabel(f"{name}: η from the seed, crystals")
        change = 100 * rollouts.correction[event, r, slot, :, 0]
        axes[0, 3].plot(change, "o-", color=COLOURS[slot], label=name)
        axes[0, 3].plot(step, change[step], "o", color=COLOURS[slot], ms=12, alpha=0.5)
        target = pairs[event].target
        assert target is not None
        axes[0, 3].axhline(100 * target[slot, 0], color=COLOURS[slot], ls=":")
    mass = rollouts.m_gg[event, r]
    axes[1, 3].plot(mass, "o-", color="black")
    axes[1, 3].plot(step, mass[step], "o", color="black", ms=12, alpha=0.5)
    axes[0, 3].set_ylabel("change of E, %  (dotted: truth)")
    axes[1, 3].set_ylabel("m_γγ, GeV")
    axes[0, 3].legend(fontsize=9)
    for axis in axes[:, 3]:
        axis.set_xlabel("step")
        axis.set_xticks(range(n_hypotheses))
    label(axes[0, 3], simulation=True, right=f"{policy}, step {step}")
    figure.tight_layout()
    study.show(figure, "one_event")


# %% [markdown]
# Move the sliders. Red crystals hold more than the hypothesis expects, blue ones less. Things to
# look for: a conversion (energy spread along φ, the pair opened in the magnetic field: a band of
# red to the left and right of the core), a photon near a crack (the whole core blue: the
# hypothesis asks for more than the crystals saw), and steps that get smaller, because the
# residual image says when to stop.

# %%
moved = np.abs(rollouts.correction[:, AGENT, :, -1, 0]).sum(axis=1)  # from the standard energies
order = [int(event) for event in np.argsort(moved)[::-1]]  # truth does not choose it
study.slider(
    draw,
    event=(order, order[0]),
    policy=(rollouts.policies, "agent"),
    step=(range(n_hypotheses), n_hypotheses - 1),
)

# %% [markdown]
# ## Several results for the same event
#
# The same pair refined by the agent, by its noisy copies and by the control (paid by the truth of
# other photons). The copies are possible results, not an error bar: their spread is that of the
# exploration noise. And picking the best of them by the truth would mean nothing, as real events
# have none.

# %%
figure, axes = new_figure(1, 2, width=6.0, height=4.2)
event = order[0]
for r, policy in enumerate(rollouts.policies):
    noisy = "noise" in policy
    colour = COLOURS[0] if policy == "agent" else COLOURS[1] if noisy else COLOURS[4]
    shown = None if noisy and "noise 1" not in policy else policy.replace(" 1", "")
    for axis, values in (
        (axes[0, 0], 100 * rollouts.correction[event, r, 0, :, 0]),
        (axes[0, 1], rollouts.m_gg[event, r]),
    ):
        axis.plot(values, ".-", color=colour, alpha=0.6 if noisy else 1, label=shown, zorder=2 - r)
axes[0, 0].set_ylabel("change of E of the leading photon, %")
axes[0, 1].set_ylabel("m_γγ, GeV")
axes[0, 0].legend(fontsize=9)
for axis in axes[0]:
    axis.set_xlabel("step")
    axis.set_xticks(range(n_hypotheses))
    label(axis, simulation=True, right=f"event {rollouts.row[event]}")
figure.tight_layout()
study.show(figure, "several_results")

# %% [markdown]
# ## How much of the work is done in which step
#
# Averages over all stored photons: how far the agent still moves in each step, and what the step
# took off the distance to the truth (its reward).

# %%
for step in range(n_hypotheses - 1):
    jump = np.abs(np.diff(rollouts.correction[:, AGENT, :, step : step + 2, 0], axis=-1)).mean()
    reward = rollouts.rewards[:, AGENT, :, step].mean()
    print(f"step {step + 1}: |change of E| {100 * jump:.2f} %, mean reward {reward:+.3f}")
