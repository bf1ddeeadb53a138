"""The environment as a `gymnasium.Env`: one photon at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from envs.dynamics import Hypotheses, RefinementDynamics
from envs.faces import Starts, action_space, make_dynamics, observation_space

Observation = NDArray[np.float32]


class PhotonRefinementEnv(gym.Env[Observation, NDArray[np.float32]]):
    """
    ## Description

    A photon has left its energy in the crystals of the CMS electromagnetic barrel. The standard
    reconstruction sums the 5x5 crystals round the most energetic one and multiplies by a constant;
    that misses what leaks out, falls into the cracks between modules, or is swept away with
    conversion electrons, and it takes in pile-up. The agent starts from that estimate and corrects
    the photon's energy and impact point in K small steps, looking after each at what is left when
    the shower it now believes in is subtracted from the crystals.

    The unit is one photon: an event is refined by applying the policy to each of its photons.
    Neither the diphoton mass, nor the other photon, nor any truth is part of the observation.

    ## Action Space

    A `ndarray` of shape `(3,)`, type `float32`: changes of the hypothesis in this step. With K
    steps (default 3), an action of 1 means 1.5 / K of the range (K = 1: the whole range).

    | Num | Action                            | Min | Max | Range over an episode |
    |-----|-----------------------------------|-----|-----|-----------------------|
    | 0   | change of log(E / GeV)            | -1  | 1   | 0.2                   |
    | 1   | change of u (eta), crystals       | -1  | 1   | 0.15                  |
    | 2   | change of v (phi), crystals       | -1  | 1   | 0.3                   |

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

    Blocks can be left out; the sample shipped with the project has all but `regression`
    (d = 193).

    ## Rewards

    The distance to the truth, in units of typical errors, is

    *d = min(|Δlog E| / 0.02, 6) + 0.25 min(|Δu| / 0.03, 6) + 0.25 min(|Δv| / 0.08, 6)*

    and a step earns what it takes off that distance, *d(before) - d(after)* (with
    `reward="negative_distance"`: *-d(after)*). Each step earns its whole benefit at once, so a
    discount factor of 0 is appropriate.

    ## Starting State

    A random photon of the sample; the hypothesis is the standard reconstruction, or, with
    `start="regression"`, the regression's prediction. `reset(options={"photon": i})` takes the
    i-th photon.

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

    * `render_mode`: `"rgb_array"` draws the crystals, the hypothesis and the residual, or `None`.
    * `sample`: a file made by `python -m envs.make_sample`; default: the shipped one.
    * `dynamics`: a `RefinementDynamics` to use instead of a sample.
    * any key of `envs.config.EnvironmentConfig`, such as `steps`, `start`, `reward`, `ranges`.

    ## Version History

    * v1: first version.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2}  # noqa: RUF012 - Gymnasium's form

    def __init__(
        self,
        render_mode: str | None = None,
        sample: str | Path | None = None,
        dynamics: RefinementDynamics | None = None,
        **settings: Any,
    ) -> None:
        self.render_mode = render_mode
        self.dynamics = make_dynamics(sample, settings) if dynamics is None else dynamics
        self.observation_space = observation_space(self.dynamics)
        self.action_space = action_space()
        self._starts: Starts | None = None
        self._state: Hypotheses | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Open an episode on a random photon, or on photon `options["photon"]`."""
        super().reset(seed=seed)
        if seed is not None or self._starts is None:
            first = self.np_random.integers(2**31) if seed is None else seed
            self._starts = Starts(np.array([first]))
        if options and "photon" in options:
            photon = np.array([options["photon"]], dtype=np.int64)
        else:
            photon = self._starts.draw(len(self.dynamics))
        self._state = self.dynamics.start(photon)
        return self._observe(), self._info()

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move the hypothesis."""
        self._state, reward, terminated = self.dynamics.step(self._current, action[None])
        return self._observe(), float(reward[0]), bool(terminated[0]), False, self._info()

    def render(self) -> Any:
        """The current hypothesis as an RGB image, (H, W, 3) uint8."""
        if self.render_mode is None:
            return None
        from envs.render import draw_hypothesis

        return draw_hypothesis(self.dynamics, self._current)

    @property
    def _current(self) -> Hypotheses:
        if self._state is None:
            raise gym.error.ResetNeeded("call reset before step or render")
        return self._state

    def _observe(self) -> Observation:
        return self.dynamics.observe(self._current)[0]

    def _info(self) -> dict[str, Any]:
        state = self._current
        return {"photon": int(state.photon[0]), "correction": state.correction[0].copy()}
