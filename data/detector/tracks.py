"""Pixels of the track images: what a track counts, and at which cell.

A track lies either at the cell that its direction at the origin points to, as in the paper's
ntuple, or where its helix in the solenoid's field meets the face of the ECAL.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from data.batch import Hits
from data.detector.calorimeter import FIRST_EB_CELL, on_side
from data.detector.geometry import N_EB, ecal_cell, ecal_to_hbhe, ee_cell
from data.detector.helix import ENDCAP, LOST, half_angle_at_endcap, to_calorimeter
from data.detector.pixels import Filler, IntArray, Pixels

FloatArray = NDArray[np.float64]
DIRECTION = ("eta", "phi", "z", "charge")


def weight(tracks: Hits, quantity: str) -> NDArray:
    """What a track counts: 1 (`""`), its pt (`Pt`) or charge x pt (`QPt`), in GeV."""
    if quantity == "":
        return np.ones_like(_known(tracks, "eta"))
    if quantity == "Pt":
        return tracks.energy
    return _known(tracks, "charge") * tracks.energy


def at_ecal(tracks: Hits) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Eta and phi, seen from the origin, of the tracks' impacts on the ECAL, and which have one.

    Tracks start on the beam at their z and follow a helix in 3.8 T; those of charge 0 go straight.
    Without an impact are tracks that leave beyond |eta| = 3 or between barrel and endcap, and
    loopers: what has not met barrel or endcap after half a circle comes back to the beam, and where
    it would end depends on the energy it loses on the way, which a helix does not know.
    """
    pt = tracks.energy.astype(np.float64)
    eta, phi, z, charge = (_known(tracks, name) for name in DIRECTION)
    impact = to_calorimeter(pt, eta, phi, charge, z)
    turned = half_angle_at_endcap(pt, eta, charge, z) > np.pi / 2
    reaches = (impact.region != LOST) & ~((impact.region == ENDCAP) & turned)
    return impact.eta, impact.phi, reaches


def _known(tracks: Hits, name: str) -> FloatArray:
    """A column of the tracks; charges have no NaN and are unknown where eta is."""
    column, mark = getattr(tracks, name), tracks.eta if name == "charge" else getattr(tracks, name)
    if column is None:
        column = np.zeros(0)  # of no tracks: `make_image` has seen to it
    if mark is not None and not np.isfinite(mark).all():
        n_unknown = int((~np.isfinite(mark)).sum())
        raise ConfigError(
            f"{n_unknown} of {len(mark)} tracks have no {name}, because one of the store's inputs "
            f"has none: make a store of inputs that have it, or choose images that need none"
        )
    return column.astype(np.float64)


def _cell(tracks: Hits, propagated: bool) -> IntArray:
    """Cells of the stitched image, -1 for tracks that do not reach it."""
    if not propagated:
        return tracks.cell.astype(np.int64)
    eta, phi, reaches = at_ecal(tracks)
    return np.where(reaches, ecal_cell(eta, phi), -1)


def in_ecal(quantity: str, propagated: bool) -> Filler:
    """Tracks in the stitched image."""

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        tracks = hits["TRK"]
        return Pixels(tracks.event, _cell(tracks, propagated), weight(tracks, quantity))

    return fill


def in_eb(quantity: str, propagated: bool) -> Filler:
    """Tracks at barrel crystals: rows 55 to 224 of the stitched image."""

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        event, cell, value = in_ecal(quantity, propagated)(hits)
        crystal = cell - FIRST_EB_CELL
        return Pixels(event, np.where((crystal >= 0) & (crystal < N_EB), crystal, -1), value)

    return fill


def in_ee(quantity: str, propagated: bool, side: int) -> Filler:
    """Tracks at the nearest crystal of one endcap: those in the endcap's rows of the stitched."""
    to_side = on_side(side)

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        tracks = hits["TRK"]
        if propagated:
            eta, phi, _ = at_ecal(tracks)
        else:
            eta, phi = _known(tracks, "eta"), _known(tracks, "phi")
        stitched = _cell(tracks, propagated)
        crystal = stitched - FIRST_EB_CELL
        rows = np.flatnonzero((stitched >= 0) & ((crystal < 0) | (crystal >= N_EB)))
        cell = to_side(ee_cell(eta[rows], phi[rows]))
        return Pixels(tracks.event[rows], cell, weight(tracks, quantity)[rows])

    return fill


def in_hbhe(quantity: str, propagated: bool) -> Filler:
    """Tracks at towers: 5 x 5 cells of the stitched image each."""

    def fill(hits: Mapping[str, Hits]) -> Pixels:
        event, cell, value = in_ecal(quantity, propagated)(hits)
        return Pixels(event, ecal_to_hbhe(cell), value)

    return fill
