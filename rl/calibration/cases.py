"""Cases of the study: which candidates of which detector, and which methods they teach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from envs.calibration.candidates import Candidates
from rl.calibration.config import CalibrateConfig
from rl.calibration.prepared import PreparedPairs, join

NOMINAL = "nominal"

#: Methods that are networks, with the agent's layers.
NETWORKS = (
    "mass_loss", "agent", "mass_loss_maps", "agent_maps", "oracle", "oracle_gun",
    "control", "trap_loss", "trap_agent",
)  # fmt: skip
#: One network each is enough of these: they only have to fail.
SINGLE = ("control", "trap_loss", "trap_agent")
_MAIN = ("mass_loss", "agent", "mass_loss_maps", "agent_maps", "oracle", "oracle_gun")
_PLAIN = ("mass_loss", "agent")
_SIZE = (*_PLAIN, "mass_loss_maps", "agent_maps")


@dataclass(frozen=True)
class Case:
    """One set of candidates.

    Attributes
    ----------
    detector
        Whose candidates.
    candidates
        Z → ee among them, before the mass window.
    background
        Share of background in the window.
    networks
        Methods of `NETWORKS` to train; scales and maps are always made.
    """

    detector: str
    candidates: int
    background: float
    networks: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the case's folder."""
        return f"{self.detector}_{self.candidates}_{100 * self.background:g}"


def cases(config: CalibrateConfig, available: Mapping[str, int]) -> list[Case]:
    """All cases, the largest samples of every detector first.

    Parameters
    ----------
    available
        Z → ee that there are of each detector.
    """
    found: list[Case] = []
    for rank, detector in enumerate(config.detectors):
        sizes = sorted({min(n, available[detector]) for n in config.candidates}, reverse=True)
        extra = SINGLE if rank == 0 else ()
        found.append(Case(detector, sizes[0], config.background, (*_MAIN, *extra)))
    first = config.detectors[0]
    sizes = sorted({min(n, available[first]) for n in config.candidates}, reverse=True)
    found += [Case(first, n, config.background, _SIZE) for n in sizes[1:]]
    found += [Case(first, sizes[0], share, _PLAIN) for share in config.backgrounds]
    found.append(Case(NOMINAL, min(sizes[0], available[NOMINAL]), 0.0, _PLAIN))
    return found


def mix(
    zee: PreparedPairs,
    background: PreparedPairs,
    case: Case,
    window: tuple[float, float],
    seed: int,
) -> PreparedPairs:
    """The case's candidates inside the mass window, in random order.

    Background pairs are drawn with replacement: there are fewer than large samples need.
    """
    rng = np.random.default_rng(seed)
    signal = in_window(zee.take(slice(case.candidates)), window)
    under = in_window(background, window)
    n_background = round(len(signal) * case.background / (1 - case.background))
    mixed = join([signal, under.take(rng.choice(len(under), n_background))])
    return mixed.take(rng.permutation(len(mixed)))


def in_window(pairs: PreparedPairs, window: tuple[float, float]) -> PreparedPairs:
    """Pairs with a mass inside."""
    return pairs.take((pairs.mass > window[0]) & (pairs.mass < window[1]))


def permuted(candidates: Candidates, seed: int) -> Candidates:
    """Masses of other pairs: nothing can be learned from them."""
    order = np.random.default_rng(seed).permutation(len(candidates))
    return candidates.with_log_mass(candidates.log_mass[order])
