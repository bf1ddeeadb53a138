"""What the agent sees of one electron or photon: where it hit, and what maps say of the place.

The features have fixed scales, so that nothing has to be fitted to the data.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from data.detector.edges import SUPERMODULE, edge_distances
from data.detector.geometry import EB_SHAPE, eb_eta_phi
from envs.calibration.candidates import Candidates
from envs.calibration.config import CalibrationEnvConfig

FloatArray = NDArray[np.float32]
Floats = NDArray[np.float64]

N_SUPERMODULES = 36
BOUND = 6.0
_HALF = EB_SHAPE[0] // 2
_PER_SIDE = N_SUPERMODULES // 2
_REFERENCE_ENERGY = 60.0  # GeV
_TYPICAL_DENSITY = 3.0  # MeV per crystal
_MAPS = 100.0  # one per cent counts as one


def supermodule(u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.int64]:
    """Supermodule 0-35 of an impact point: those of eta < 0 first."""
    along_phi = (v // SUPERMODULE).astype(np.int64) % _PER_SIDE
    return along_phi + _PER_SIDE * (u >= _HALF)


def position(some: Candidates) -> dict[str, Floats]:
    """Place and pile-up: nothing that tells how much energy was measured."""
    u, v = some.u.astype(np.float64).ravel(), some.v.astype(np.float64).ravel()
    eta, _ = eb_eta_phi(u, v)
    du, dv = edge_distances(u, v)
    return {
        "eta": eta / 0.75,
        "abs_eta": (np.abs(eta) - 0.7) / 0.4,
        "sub_crystal_u": (u % 1 - 0.5) / 0.3,
        "sub_crystal_v": (v % 1 - 0.5) / 0.3,
        "module_nearness": 2 * np.exp(-np.abs(du)),
        "module_side": 2 * np.sign(du) * np.exp(-np.abs(du)),
        "supermodule_nearness": 2 * np.exp(-np.abs(dv)),
        "supermodule_side": 2 * np.sign(dv) * np.exp(-np.abs(dv)),
        "phi_in_supermodule": (v % SUPERMODULE - SUPERMODULE / 2) / 6,
        "density": some.density.astype(np.float64).ravel() / _TYPICAL_DENSITY - 1,
    }


def supermodules(some: Candidates) -> dict[str, Floats]:
    """Which of the 36 supermodules was hit."""
    place = supermodule(some.u, some.v).ravel()
    return {f"supermodule_{k}": 2.0 * (place == k) for k in range(N_SUPERMODULES)}


def maps(some: Candidates) -> dict[str, Floats]:
    """What maps made of other pairs say of the place, per cent."""
    if some.maps is None:
        raise ConfigError("the candidates bring no maps: leave `maps` out of blocks")
    return {"maps": _MAPS * some.maps.astype(np.float64).ravel()}


def energy(some: Candidates) -> dict[str, Floats]:
    """The trap: with it the resonance narrows by regression to the mean."""
    return {"log_energy": 2 * np.log(some.energy.astype(np.float64).ravel() / _REFERENCE_ENERGY)}


BLOCKS: dict[str, Callable[[Candidates], dict[str, Floats]]] = {
    "position": position,
    "supermodules": supermodules,
    "maps": maps,
    "energy": energy,
}


def features(some: Candidates, config: CalibrationEnvConfig) -> tuple[tuple[str, ...], FloatArray]:
    """Names (d,) and values (m, 2, d) of what is observed of both members of m pairs."""
    named: dict[str, Floats] = {}
    for block in config.blocks:
        named |= BLOCKS[block](some)
    values = np.stack(list(named.values()), axis=1).clip(-BOUND, BOUND)
    return tuple(named), values.reshape(len(some), 2, len(named)).astype(np.float32)
