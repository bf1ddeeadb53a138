"""The photon table: all that the environment knows of n photons, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class PhotonTable:
    """n photons: standard reconstruction, crystals, low-level outputs, and the true answer.

    Attributes
    ----------
    row, slot
        (n,) row of the event store and place in the pair (0 leading, 1 trailing).
    group, label
        (n,) parton event and class of the photon's event, see `docs/event_store.md`.
    energy, e5x5
        (n,) standard energy and energy sum of its 5x5 window, GeV.
    u, v
        (n,) standard impact point in crystals, see `data.detector.geometry.eb_uv`.
    seed
        (n,) flat EB cell of the seed.
    r9, sigma_ieta_ieta, h_over_e
        (n,) shower shapes; NaN where the source lacks the channel.
    density
        (n,) transverse energy density of the event outside its photons, MeV per crystal.
    crop
        (n, 11, 11) crystal energies round the seed, GeV, indexed [eta, phi].
    embedding
        (n, D) embedding of the classifier, or None.
    feature_map
        (n, F) flattened feature map of the classifier at the photon, or None.
    regression
        (n, 3) correction predicted by a regression, or None: change of log energy, u, v.
    target
        (n, 3) true correction, NaN without truth; read by rewards and metrics only.
    """

    row: IntArray
    slot: IntArray
    group: IntArray
    label: IntArray
    energy: FloatArray
    e5x5: FloatArray
    u: FloatArray
    v: FloatArray
    seed: IntArray
    r9: FloatArray
    sigma_ieta_ieta: FloatArray
    h_over_e: FloatArray
    density: FloatArray
    crop: FloatArray
    embedding: FloatArray | None = None
    feature_map: FloatArray | None = None
    regression: FloatArray | None = None
    target: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: NDArray) -> PhotonTable:
        """The photons of the given rows, or of a mask."""
        return PhotonTable(**{name: column[rows] for name, column in self.columns().items()})

    def matched(self) -> PhotonTable:
        """The photons whose truth is known.

        Raises
        ------
        ConfigError
            If the table has no truth at all.
        """
        if self.target is None:
            raise ConfigError("these photons have no truth, which rewards and metrics need")
        return self.take(np.flatnonzero(np.isfinite(self.target).all(axis=1)))

    def columns(self) -> dict[str, NDArray]:
        """The columns that are present, by name."""
        return {f.name: c for f in fields(self) if (c := getattr(self, f.name)) is not None}

    def with_regression(self, regression: FloatArray) -> PhotonTable:
        """The same photons with a regression's predictions."""
        return replace(self, regression=regression.astype(np.float32))

    @property
    def offset(self) -> FloatArray:
        """(n, 2) standard impact point relative to the seed's centre, crystals."""
        du = self.u - (self.seed // 360 + 0.5)
        dv = wrap_crystals(self.v - (self.seed % 360 + 0.5))
        return np.stack([du, dv], axis=1).astype(np.float32)


def wrap_crystals(dv: NDArray) -> NDArray:
    """Difference of two v coordinates in [-180, 180)."""
    return (dv + 180.0) % 360.0 - 180.0


def concatenate(tables: Sequence[PhotonTable]) -> PhotonTable:
    """Join tables; a column that one of them lacks is dropped."""
    names = set.intersection(*(set(table.columns()) for table in tables))
    return PhotonTable(**{n: np.concatenate([getattr(t, n) for t in tables]) for n in names})
