"""Pairs after the nominal regression: what calibration learns from, and what judges it, apart."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path
from envs.calibration.candidates import Candidates
from envs.photons.table import FloatArray
from rl.evaluation.pairs import Floats, corrected
from rl.resonance.samples import PairSample


@dataclass(frozen=True)
class PreparedPairs:
    """m pairs as the nominal regression leaves them.

    Attributes
    ----------
    energy, u, v, density
        (m, 2) GeV; standard impact points in crystals; MeV per crystal.
    mass
        (m,) GeV.
    group
        (m,) generated event.
    true_mass
        (m,) generated mass, GeV, NaN where unknown; metrics only.
    left
        (m, 2) log(E_true / E), what a perfect calibration would do; metrics and oracle only.
    true_pt
        (m, 2) GeV; metrics only.
    own
        (m, 2) change of log energy that a regression with all inputs, taught by true energies in
        this detector, would make; NaN where there is none.
    """

    energy: Floats
    u: Floats
    v: Floats
    density: Floats
    mass: Floats
    group: NDArray[np.int64]
    true_mass: Floats
    left: Floats
    true_pt: Floats
    own: Floats

    def __len__(self) -> int:
        return len(self.mass)

    def take(self, which: NDArray[Any] | slice) -> PreparedPairs:
        """The chosen pairs."""
        return PreparedPairs(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    def matched(self) -> PreparedPairs:
        """The pairs of which both members' true energies are known."""
        return self.take(np.flatnonzero(np.isfinite(self.left).all(axis=1)))

    def candidates(self, log_reference: float) -> Candidates:
        """All that a calibration may know: no truth."""
        return Candidates(
            energy=self.energy.astype(np.float32),
            u=self.u.astype(np.float32),
            v=self.v.astype(np.float32),
            density=self.density.astype(np.float32),
            log_mass=(np.log(self.mass) - log_reference).astype(np.float32),
        )

    def corrected_mass(self, change: Floats) -> Floats:
        """(m,) GeV after changes (m, 2) of log energy; directions stay."""
        mass: Floats = self.mass * np.exp(change.sum(axis=1) / 2)
        return mass


def prepare(
    sample: PairSample, correction: FloatArray, own: FloatArray | None = None
) -> PreparedPairs:
    """Apply the nominal regression's correction (2m, 3) of log energy, u and v.

    Parameters
    ----------
    own
        (2m, 3) corrections of a regression taught in this detector, which stays unapplied.
    """
    photons = sample.photons
    vertex_z = np.repeat(sample.vertex_z, 2)
    energy = corrected(photons, correction, vertex_z).energy
    target = photons.target
    if target is None:
        target = np.full((len(photons), 3), np.nan, dtype=np.float32)
    true_pt = corrected(photons, target, vertex_z).pt

    def pairwise(values: NDArray[Any]) -> Floats:
        return values.reshape(-1, 2).astype(np.float64)

    return PreparedPairs(
        energy=pairwise(energy),
        u=pairwise(photons.u),
        v=pairwise(photons.v),
        density=pairwise(photons.density),
        mass=sample.masses(correction),
        group=photons.group[::2],
        true_mass=sample.true_mass.astype(np.float64),
        left=pairwise(target[:, 0] - correction[:, 0]),
        true_pt=pairwise(true_pt),
        own=pairwise(np.full_like(energy, np.nan) if own is None else (own - correction)[:, 0]),
    )


def join(parts: list[PreparedPairs]) -> PreparedPairs:
    """Pairs of several samples one after the other."""
    return PreparedPairs(
        **{
            f.name: np.concatenate([getattr(part, f.name) for part in parts])
            for f in fields(PreparedPairs)
        }
    )


def write_prepared(path: Path, pairs: PreparedPairs) -> None:
    """Write as a NumPy archive."""
    with atomic_path(path) as temporary:
        np.savez(temporary, **{f.name: getattr(pairs, f.name) for f in fields(pairs)})


def read_prepared(path: Path) -> PreparedPairs:
    """Read what `write_prepared` wrote."""
    with np.load(path) as archive:
        return PreparedPairs(**{name: archive[name] for name in archive.files})
