"""Diphoton selections of the paper, on arrays.

=================  ================================================================================
none               keep every event; `selected` flags the ones that pass diphoton2012
pair               two photons that the standard reconstruction finds too
diphoton2012       exactly two photons with pt >= 20 GeV and |eta| <= 1.44; m >= 90 GeV, both
                   pt >= m/4, leading pt >= m/3
diphoton2012_id    exactly two photons with pt >= 18 GeV, |eta| <= 1.44, r9 >= 0.5, H/E <= 0.07,
                   sigmaIetaIeta <= 0.0105 and no pixel seed; leading pt >= 30 GeV; m and pt/m as
                   above
=================  ================================================================================

The pair is the two photons that the selection looks at: the two candidates of diphoton2012(_id)
where there are exactly two, otherwise (and for `pair`) the two leading photons.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from data.config import Selection
from data.kinematics import diphoton_mass
from data.reconstruction import Clusters

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MIN_PT, MIN_PT_ID, MIN_LEADING_PT_ID = 20.0, 18.0, 30.0
MAX_ETA = 1.44
MIN_MASS = 90.0
MIN_R9, MAX_H_OVER_E, MAX_SIGMA_IETA_IETA = 0.5, 0.07, 0.0105


@dataclass
class Photons:
    """Photons of a batch, sorted by event, then by falling pt; all arrays (M,), GeV and radians.

    A quantity that the source lacks is None.
    """

    event: IntArray
    energy: FloatArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    r9: FloatArray | None = None
    sigma_ieta_ieta: FloatArray | None = None
    h_over_e: FloatArray | None = None
    pixel_seed: BoolArray | None = None
    seed: IntArray | None = None

    @classmethod
    def from_source(cls, photons: ak.Array) -> Photons:
        """From a reader's jagged records; photons that are not finite are left out."""
        event = np.repeat(np.arange(len(photons)), ak.to_numpy(ak.num(photons, axis=1)))
        wanted = {f.name for f in fields(cls)} & set(photons.fields)
        columns = {n: ak.to_numpy(ak.flatten(photons[n], axis=1)) for n in wanted}
        kinematics = np.stack([columns[n] for n in ("energy", "pt", "eta", "phi")])
        finite = np.asarray(np.isfinite(kinematics).all(axis=0))
        rows = np.lexsort((-columns["pt"], event))
        rows = rows[finite[rows]]
        return cls(event[rows], **{name: column[rows] for name, column in columns.items()})

    @classmethod
    def from_clusters(cls, clusters: Clusters) -> Photons:
        """The standard clusters as photons; without HCAL they have no H/E."""
        names = ("event", "energy", "pt", "eta", "phi", "r9", "sigma_ieta_ieta", "seed")
        photons = cls(**{name: getattr(clusters, name) for name in names})
        if np.isfinite(clusters.h_over_e).all():
            photons.h_over_e = clusters.h_over_e
        return photons


class Pairs(NamedTuple):
    """The pair of each of N events, and whether the event passes.

    row is (N, 2): index into the photons, leading first, -1 where there is none.
    """

    row: IntArray
    passes: BoolArray


def select(
    photons: Photons,
    n_events: int,
    selection: Selection,
    has_cluster: BoolArray,
    warnings: Counter[str],
) -> Pairs:
    """Choose each event's pair and apply a selection.

    Parameters
    ----------
    photons
        Photons of N events.
    selection
        Name of the selection; for `none` the events that pass diphoton2012 are flagged.
    has_cluster
        Per photon, whether the standard reconstruction finds it.
    warnings
        Told of cuts that the source's photons do not allow.
    """
    if selection == "pair":
        row, count = _first_two(photons, has_cluster, n_events)
        return Pairs(row, count >= 2)
    with_id = selection == "diphoton2012_id"
    candidate = _identified(photons, warnings) if with_id else np.full(len(photons.pt), True)
    candidate &= (photons.pt >= (MIN_PT_ID if with_id else MIN_PT)) & (
        np.abs(photons.eta) <= MAX_ETA
    )
    row, count = _first_two(photons, candidate, n_events)
    leading, _ = _first_two(photons, np.full(len(photons.pt), True), n_events)
    is_pair = count == 2
    passes = is_pair & _passes_mass(photons, row, MIN_LEADING_PT_ID if with_id else 0.0)
    return Pairs(np.where(is_pair[:, None], row, leading), passes)


def pair_mass(photons: Photons, row: IntArray) -> FloatArray:
    """(N,) mass in GeV of each event's pair, NaN where there is none."""
    pt, eta, phi = (take(getattr(photons, name), row) for name in ("pt", "eta", "phi"))
    return diphoton_mass(pt, eta, phi)


def take(column: NDArray | None, row: IntArray, empty: float = np.nan) -> NDArray:
    """Values at `row` of any shape, `empty` where it is -1 or the column is None."""
    if column is None or len(column) == 0:
        return np.full(row.shape, empty)
    return np.where(row >= 0, column[row], empty)


def _first_two(photons: Photons, mask: BoolArray, n_events: int) -> tuple[IntArray, IntArray]:
    """Rows (N, 2) of each event's two leading photons under a mask, and their number (N,)."""
    rows = np.flatnonzero(mask)
    count = np.bincount(photons.event[rows], minlength=n_events)
    position = (np.cumsum(count) - count)[:, None] + np.arange(2)
    exists = np.arange(2) < count[:, None]
    padded = np.append(rows, -1)
    return padded[np.where(exists, position, len(rows))], count


def _identified(photons: Photons, warnings: Counter[str]) -> BoolArray:
    good = np.full(len(photons.pt), True)
    for name, cut in (
        ("r9", lambda x: x >= MIN_R9),
        ("h_over_e", lambda x: x <= MAX_H_OVER_E),
        ("sigma_ieta_ieta", lambda x: x <= MAX_SIGMA_IETA_IETA),
        ("pixel_seed", lambda x: ~x.astype(bool)),
    ):
        column = getattr(photons, name)
        if column is None:
            warnings[f"selection: the source has no {name}, photons not cut on it"] += len(good)
        else:
            good &= cut(column)
    return good


def _passes_mass(photons: Photons, row: IntArray, min_leading_pt: float) -> BoolArray:
    mass = pair_mass(photons, row)
    pt = take(photons.pt, row)
    # Comparisons with NaN are false, so an event without a pair fails.
    return (
        (mass >= MIN_MASS)
        & (pt[:, 1] >= mass / 4)
        & (pt[:, 0] >= mass / 3)
        & (pt[:, 0] >= min_leading_pt)
    )
