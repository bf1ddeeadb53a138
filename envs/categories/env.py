"""Categorisation under Gymnasium's two interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.config import build
from envs.categories.config import CategoryConfig
from envs.categories.dynamics import CategoryDynamics
from envs.categories.events import CategoryEvents
from envs.faces.named import NamedEnv, NamedVectorEnv


def make_dynamics(
    sample: str | Path | None = None, settings: Mapping[str, Any] | None = None
) -> CategoryDynamics:
    """Dynamics of a sample, the shipped one for None."""
    return CategoryDynamics(
        CategoryEvents.load(sample), build(CategoryConfig, dict(settings or {}))
    )


class CategorisationEnv(NamedEnv):
    """
    ## Description

    A search for H→γγ sorts its events into categories, so that the few well measured, signal-like
    ones are not drowned in the others. Events are seen by a mass-blind classifier score and by
    their predicted mass resolution; the agent moves the edges of categories in this plane in K
    steps, and is paid by the expected significance of all categories together. Events move from
    one category to another one by one, so that the significance is a step function of the edges:
    it has no gradient.

    The diphoton mass enters the significance only, never an event's category.

    ## Action Space

    A `ndarray` of shape `(p,)`, type `float32`, within ±1: what is added to each edge, 1 meaning
    `largest_step` (0.15) quantiles of the signal. With b bands and s splits p = b (1 + s):

    | Num     | Edge                                                                 |
    |---------|----------------------------------------------------------------------|
    | 0       | lowest score that is accepted                                        |
    | 1..b-1  | scores between bands                                                 |
    | b..p-1  | predicted sigma_m / m between the categories of each band            |

    ## Observation Space

    A `ndarray` of shape `(d,)`, type `float32`, within ±6; `env.unwrapped.dynamics.
    observation_names` lists it. With c = b (1 + s) categories:

    | Block            | Number | Content                                                         |
    |------------------|--------|-----------------------------------------------------------------|
    | edge             | p      | 2 x edge - 1                                                    |
    | step             | 1      | steps taken / K - 0.5                                           |
    | log_yield        | 2      | logarithm of the backgrounds' yields over the expected ones     |
    | signal           | c      | 2 x category's part of the signal                               |
    | purity           | c      | log(signal / background) + 4 of the category                    |
    | share            | c      | 2 x category's part of the squared significance                 |
    | below, above     | 2 p    | log(signal / background) + 4 of thin slices beside each edge    |

    ## Rewards

    The change of the expected significance, over that of one category, in units of 2 %. The
    significance is the Asimov one (Cowan et al. 2011), of bins of 1 GeV in every category, summed
    in quadrature; the background of a category is an exponential with its number and mean mass of
    events, whose number is raised to its upper limit at 84 % by the statistics of the simulation.

    ## Starting State

    Equal parts of the signal in every category, and one of `replicas` samples: the first is the
    sample as it is, the others are resampled by parton event. `reset(options={"replica": i})`
    takes the i-th.

    ## Episode End

    The episode terminates after K steps. It is never truncated.

    ## Arguments

    ```python
    >>> import gymnasium as gym
    >>> import envs
    >>> env = gym.make("Categorisation-v1", render_mode="rgb_array", steps=4)
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

    ```

    * `render_mode`: `"rgb_array"` draws the plane with the edges, or `None`.
    * `sample`: a file that `CategoryEvents.save` wrote; default: the shipped one.
    * `dynamics`: a `CategoryDynamics` to use instead of a sample.
    * any key of `envs.categories.config.CategoryConfig`: `bands`, `splits`, `steps`, ...

    ## Version History

    * v1: first version.
    """

    make_dynamics = staticmethod(make_dynamics)


class CategorisationVectorEnv(NamedVectorEnv):
    """`num_envs` sets of edges at once; see `CategorisationEnv` for spaces and rewards."""

    single = CategorisationEnv
