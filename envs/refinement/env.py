"""Photon refinement under Gymnasium's two interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.config import build
from envs.faces.named import NamedEnv, NamedVectorEnv
from envs.refinement.config import EnvironmentConfig
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.observation import ObservationModel
from envs.refinement.sample import read_sample


def make_dynamics(
    sample: str | Path | None = None, settings: Mapping[str, Any] | None = None
) -> RefinementDynamics:
    """Dynamics of a sample (the shipped one for None), its settings overridden by `settings`."""
    table, model, config = read_sample(sample)
    blocks = config.blocks
    config = build(EnvironmentConfig, config.model_dump(), dict(settings or {}))
    if config.blocks != blocks:
        model = ObservationModel.fit(table, config)
    return RefinementDynamics(table, model, config)


class PhotonRefinementEnv(NamedEnv):
    """
    ## Description

    A photon has left its energy in the crystals of the CMS electromagnetic barrel. The standard
    reconstruction sums the 5x5 crystals round the most energetic one and multiplies by a constant;
    that misses what leaks out, falls into the cracks between modules, or is swept away with
    conversion electrons, and it takes in pile-up. A regression corrects most of that. The agent
    starts from it (or from the standard reconstruction) and corrects the photon's energy and impact
    point in K small steps, looking after each at what is left when the shower it now believes in is
    subtracted from the crystals.

    The unit is one photon: an event is refined by applying the policy to each of its photons.
    Neither the diphoton mass, nor the other photon, nor any truth is part of the observation.

    ## Action Space

    A `ndarray` of shape `(3,)`, type `float32`: changes of the hypothesis in this step. With K
    steps (default 3), an action of 1 means 3 / K of the range (K = 1: the whole range).

    | Num | Action                            | Min | Max | Range                 |
    |-----|-----------------------------------|-----|-----|-----------------------|
    | 0   | change of log(E / GeV)            | -1  | 1   | 0.05                  |
    | 1   | change of u (eta), crystals       | -1  | 1   | 0.05                  |
    | 2   | change of v (phi), crystals       | -1  | 1   | 0.4                   |

    ## Observation Space

    A `ndarray` of shape `(d,)`, type `float32`. All features but the last two blocks are
    standardised with the training photons' mean and deviation; every feature is clipped to ±6.
    `env.unwrapped.dynamics.observation_names` lists them. Before standardisation:

    | Block       | Number | Content (unit)                                                    |
    |-------------|--------|-------------------------------------------------------------------|
    | kinematics  | 10     | log E / 60 GeV, eta, abs(eta), impact within the seed crystal     |
    |             |        | (crystals), nearness and side of module and supermodule edges     |
    |             |        | (exp(-crystals)), energy density of the event (MeV per crystal)   |
    | shapes      | 10     | R9, sigma_ieta_ieta, log10 H/E, energy shares and spreads          |
    | embedding   | D      | the classifier's embedding of the photon                          |
    | feature_map | C      | principal components of its feature map at the photon             |
    | regression  | 3      | correction predicted by a regression: log energy, u, v (crystals) |
    | correction  | 3      | correction made so far, 3 = the range                              |
    | step        | 1      | steps taken / K - 0.5                                             |
    | residual    | 49     | 7x7 crystals, observed minus expected shower r (share of the       |
    |             |        | standard energy) as sign(r) log(1 + 200 abs(r)) / 2               |

    Blocks can be left out; the sample shipped with the project has all of them (d = 196).

    ## Rewards

    The distance to the truth, in units of typical errors, is

    *d = min(|Δlog E| / 0.02, 6) + 0.25 min(|Δu| / 0.03, 6) + 0.25 min(|Δv| / 0.08, 6)*

    and a step earns what it takes off that distance, *d(before) - d(after)* (with
    `reward="negative_distance"`: *-d(after)*). Each step earns its whole benefit at once, so a
    discount factor of 0 is appropriate.

    ## Starting State

    A random photon of the sample; the hypothesis is the regression's prediction, which never saw
    that photon, or, with `start="standard"`, the standard reconstruction; from there some four
    times the range in log E is needed. `reset(options={"photon": i})` takes the i-th photon.

    ## Episode End

    The episode terminates after K steps. It is never truncated.

    ## Arguments

    ```python
    >>> import gymnasium as gym
    >>> import envs
    >>> env = gym.make("PhotonRefinement-v1", render_mode="rgb_array", steps=3)
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

    ```

    * `render_mode`: `"rgb_array"` or `"human"` (a window) draw the crystals, the hypothesis and
      the residual, and, for whoever looks but not for the agent, the truth; or `None`.
    * `sample`: a file made by `python -m envs.refinement.make_sample`; default: the shipped one.
    * `dynamics`: a `RefinementDynamics` to use instead of a sample.
    * any key of `envs.refinement.config.EnvironmentConfig`: `steps`, `start`, `reward`, ...

    ## Version History

    * v1: first version.
    """

    make_dynamics = staticmethod(make_dynamics)


class PhotonRefinementVectorEnv(NamedVectorEnv):
    """`num_envs` photons refined at once; see `PhotonRefinementEnv` for spaces and rewards.

    Parameters
    ----------
    *arguments, **keywords
        As for `NamedVectorEnv`.
    device
        Where the arrays lie: None for NumPy, or a device of torch, such as `"cuda"`; observations
        and rewards are then tensors there.
    """

    single = PhotonRefinementEnv

    def __init__(self, *arguments: Any, device: str | None = None, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        if device is not None:
            assert isinstance(self.dynamics, RefinementDynamics)
            self.dynamics = self.dynamics.to(device)
