"""In-situ calibration under Gymnasium's two interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.config import build
from envs.calibration.candidates import read_candidates
from envs.calibration.config import CalibrationEnvConfig
from envs.calibration.dynamics import ResonanceDynamics
from envs.faces.named import NamedEnv, NamedVectorEnv


def make_dynamics(
    sample: str | Path | None = None, settings: Mapping[str, Any] | None = None
) -> ResonanceDynamics:
    """Dynamics of a file of candidates (the shipped one for None); `settings` override its own."""
    candidates, stored = read_candidates(sample)
    return ResonanceDynamics(candidates, build(CalibrationEnvConfig, stored, dict(settings or {})))


class ResonanceCalibrationEnv(NamedEnv):
    """
    ## Description

    A detector differs from its simulation: crystals drift, response is lost, supermodules tilt. No
    truth is at hand, but Z bosons decay to electron pairs whose mass is known. The agent gets one
    candidate pair, sees where its members hit the barrel, and changes the energy of each; it is
    paid for a mass nearer to what nominal simulation gives for such a pair. A policy that is good
    on average has learned the calibration of the detector, and holds for photons too.

    Energies, masses and shower shapes are not observed: with them the resonance would narrow by
    moving every pair to the average.

    ## Action Space

    A `ndarray` of shape `(2,)`, type `float32`: the corrections of both members, in units of the
    range.

    | Num | Action                                | Min | Max | Range |
    |-----|---------------------------------------|-----|-----|-------|
    | 0   | change of log(E / GeV), first member  | -1  | 1   | 0.08  |
    | 1   | change of log(E / GeV), second member | -1  | 1   | 0.08  |

    ## Observation Space

    A `ndarray` of shape `(2 d,)`, type `float32`: d features of the first member, then of the
    second, on fixed scales, clipped to ±6. By block:

    | Block        | Number | Content (unit)                                                   |
    |--------------|--------|------------------------------------------------------------------|
    | position     | 10     | eta, abs(eta), impact within the crystal (crystals), nearness and |
    |              |        | side of module and supermodule edges (exp(-crystals)), phi in the |
    |              |        | supermodule (crystals), energy density of the event (MeV/crystal) |
    | supermodules | 36     | which supermodule                                                |
    | maps         | 1      | correction found by maps from other pairs, per cent              |
    | energy       | 1      | log E: the trap, for study only                                  |

    The default is `position` and `supermodules` (d = 46).

    ## Rewards

    With *d = min(abs(log(m / m_ref)) / 0.015, 6)* the pair earns *d(before) - d(after)*. The info
    holds `photon_reward`, (2,): for each member *d(without its own correction) - d(after)*, the
    partner's as played; `envs.calibration.sb3.SharedActorVecEnv` pays that to one actor for both.

    ## Starting State

    A random pair of the sample. `reset(options={"pair": i})` takes the i-th pair.

    ## Episode End

    The episode terminates after one step. It is never truncated.

    ## Arguments

    ```python
    >>> import gymnasium as gym
    >>> import envs
    >>> env = gym.make("ResonanceCalibration-v1", render_mode="rgb_array", range=0.05)
    >>> observation, info = env.reset(seed=1)
    >>> observation, reward, terminated, truncated, info = env.step(env.action_space.sample())

    ```

    * `render_mode`: `"rgb_array"` draws impact points and mass, or `None`.
    * `sample`: a file of candidates; default: the shipped one, simulated Z → ee of a distorted
      detector.
    * `dynamics`: a `ResonanceDynamics` to use instead of a sample.
    * any key of `envs.calibration.config.CalibrationEnvConfig`: `blocks`, `range`, `scale`, `cap`.

    ## Version History

    * v1: first version.
    """

    make_dynamics = staticmethod(make_dynamics)


class ResonanceCalibrationVectorEnv(NamedVectorEnv):
    """`num_envs` pairs calibrated at once; see `ResonanceCalibrationEnv` for spaces and rewards."""

    single = ResonanceCalibrationEnv
