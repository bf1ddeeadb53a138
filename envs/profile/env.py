"""The shower-profile environment under Gymnasium's two interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.config import build
from envs.faces.named import NamedEnv, NamedVectorEnv
from envs.profile.config import ProfileEnvironmentConfig
from envs.profile.dynamics import ProfileDynamics
from envs.profile.sample import read_sample


def make_dynamics(
    sample: str | Path | None = None, settings: Mapping[str, Any] | None = None
) -> ProfileDynamics:
    """Dynamics of a sample (the shipped one for None), its settings overridden by `settings`."""
    photons, inputs, config = read_sample(sample)
    config = build(ProfileEnvironmentConfig, config.model_dump(), dict(settings or {}))
    return ProfileDynamics(photons.photons, inputs, config, photons.profile)


class ShowerProfileEnv(NamedEnv):
    """
    ## Description

    A photon's energy enters the barrel of the CMS electromagnetic calorimeter in one point, or, if
    the photon has converted in the tracker, in several along phi: two electrons and what they
    radiated. Crystals are coarse beside such a shower. The agent describes it at a fifth of a
    crystal: its state is three peaks with their shares, places and common width, which make a
    profile of 25 x 55 cells (5 crystals in eta, 11 in phi, round the seed). A peak finder gives
    the first peaks; the agent moves them in K small steps, looking after each at what is left of
    the crystals when its profile is subtracted.

    The true profile, known for simulated photons, enters rewards only.

    ## Action Space

    A `ndarray` of shape `(10,)`, type `float32`: changes of the peaks in this step. With K steps
    (default 4), an action of 1 means 1.5 / K of the range (K = 1: the whole range).

    | Num     | Action                                   | Min | Max | Range over an episode |
    |---------|------------------------------------------|-----|-----|-----------------------|
    | 0, 3, 6 | change of a peak's log share             | -1  | 1   | 1                     |
    | 1, 4, 7 | change of its u (eta), crystals          | -1  | 1   | 0.15                  |
    | 2, 5, 8 | change of its v (phi), crystals          | -1  | 1   | 0.4                   |
    | 9       | change of the showers' common log width  | -1  | 1   | 0.2                   |

    ## Observation Space

    A `ndarray` of shape `(207,)`, type `float32`, each feature clipped to ±6.
    `env.unwrapped.dynamics.observation_names` lists them.

    | Block    | Number | Content (unit)                                                       |
    |----------|--------|----------------------------------------------------------------------|
    | place    | 10     | log E / 60 GeV, eta, abs(eta), impact within the seed (crystals),     |
    |          |        | nearness and side of module and supermodule edges, energy density of |
    |          |        | the event; standardised                                              |
    | crystals | 121    | 11x11 crystals, shares r of the energy as log(1 + 200 r) / 2          |
    | peaks    | 10     | log shares, u x 2, v (crystals), log width x 10                       |
    | moved    | 10     | changes since the start, 3 = the range                               |
    | step     | 1      | steps taken / K - 0.5                                                |
    | residual | 55     | 5x11 crystals, observed minus drawn share r as                        |
    |          |        | sign(r) log(1 + 200 abs(r)) / 2                                      |

    ## Rewards

    What a step takes off the distance to the true profile, in units of typical errors:
    *d = L1 / 0.1 + (W_eta + W_phi) / 0.05*, with the sum of the cells' absolute differences and
    the Wasserstein distances (crystals) of the projections. `distance="l1"` and
    `distance="wasserstein"` leave one of them out.

    ## Starting State

    A random photon of the sample with the peaks that were fitted to its crystals
    (`start="finder"`: those of the finder, on its grid). `reset(options={"photon": i})` takes the
    i-th photon.

    ## Episode End

    The episode terminates after K steps. It is never truncated.

    ## Arguments

    ```python
    >>> import gymnasium as gym
    >>> import envs
    >>> env = gym.make("ShowerProfile-v1", render_mode="rgb_array", steps=3)
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

    ```

    * `render_mode`: `"rgb_array"` or `"human"` draws crystals, profile and residual, never the
      truth; or `None`.
    * `sample`: a file made by `python -m envs.profile.sample`; default: the shipped one.
    * `dynamics`: a `ProfileDynamics` to use instead of a sample.
    * any key of `envs.profile.config.ProfileEnvironmentConfig`: `steps`, `start`, `distance`, ...

    ## Version History

    * v1: first version.
    """

    make_dynamics = staticmethod(make_dynamics)


class ShowerProfileVectorEnv(NamedVectorEnv):
    """`num_envs` photons at once; see `ShowerProfileEnv` for spaces and rewards."""

    single = ShowerProfileEnv
