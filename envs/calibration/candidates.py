"""Candidates of a resonance: pairs of electrons or photons with their mass, without any truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path

FloatArray = NDArray[np.float32]

SHIPPED = Path(__file__).parent / "samples" / "zee.npz"


@dataclass(frozen=True)
class Candidates:
    """m pairs, as reconstructed before the calibration.

    Attributes
    ----------
    energy
        (m, 2) energies, GeV; observed in the trap only.
    u, v
        (m, 2) impact points in crystals, see `data.detector.geometry.eb_uv`.
    density
        (m, 2) transverse energy density of the event, MeV per crystal.
    log_mass
        (m,) log(m / m_ref); m_ref is what nominal simulation gives for such a pair.
    maps
        (m, 2) change of log energy that maps found from other pairs; `log_mass` has it already.
    """

    energy: FloatArray
    u: FloatArray
    v: FloatArray
    density: FloatArray
    log_mass: FloatArray
    maps: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.log_mass)

    def take(self, which: NDArray[Any]) -> Candidates:
        """The chosen pairs."""
        return Candidates(**{name: values[which] for name, values in self.columns().items()})

    def columns(self) -> dict[str, FloatArray]:
        """The columns that are present, by name."""
        return {f.name: c for f in fields(self) if (c := getattr(self, f.name)) is not None}

    def with_log_mass(self, log_mass: NDArray[np.floating]) -> Candidates:
        """The same pairs with other masses."""
        return replace(self, log_mass=np.asarray(log_mass, dtype=np.float32))


def write_candidates(path: str | Path, candidates: Candidates, settings: Mapping[str, Any]) -> None:
    """Write pairs and the environment's settings as a compressed NumPy archive."""
    content: dict[str, Any] = {"settings": np.array(json.dumps(dict(settings)))}
    content |= candidates.columns()
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **content)


def read_candidates(path: str | Path | None = None) -> tuple[Candidates, dict[str, Any]]:
    """Pairs and settings of a file; of the one shipped with the project for None.

    Raises
    ------
    InputError
        If the file is missing or is no such archive.
    """
    path = SHIPPED if path is None else Path(path)
    if not path.is_file():
        raise InputError(path, "no such candidates", "`calibrate` writes some: candidates.npz")
    try:
        with np.load(path) as archive:
            content = {name: archive[name] for name in archive.files}
        settings = json.loads(str(content.pop("settings")))
        return Candidates(**content), settings
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise InputError(path, f"not a file of candidates ({error})") from error
