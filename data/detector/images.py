"""Dense images from sparse hits, under the names of the paper's ntuple.

================  ==============  ================================================================
name              rows x columns  content of a pixel
================  ==============  ================================================================
EB_energy         170 x 360       energy of the barrel crystal, GeV
EB_time           170 x 360       time of the barrel hit, ns; 0 where there is no hit
EEm_energy        100 x 100       energy of the EE- crystal, by [iy-1][ix-1], GeV
EEp_energy        100 x 100       the same for EE+
ECAL_energy       280 x 360       rows 55-224 EB_energy; rows 0-54 (EE-) and 225-279 (EE+) sum of
                                  the endcap crystals whose centre lies in the (eta, phi) bin, GeV
ECAL_tracksPt     280 x 360       sum of pt of the tracks whose direction at the origin points to
                                  the bin, not propagated in the magnetic field, GeV
TracksPt_EB       170 x 360       rows 55-224 of ECAL_tracksPt
HBHE_energy       56 x 72         sum over depths of the tower's energy, GeV; towers with
                                  |ieta| > 20 give half to each of the two columns they cover
HBHE_energy_EB    34 x 72         rows 11-44 of HBHE_energy (|ieta| <= 17)
HBHE_EMenergy     56 x 72         sum of the ECAL crystals in front of the tower: 5 x 5 barrel
                                  crystals, and the endcap crystals whose centre lies in it, GeV
================  ==============  ================================================================
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from data.batch import Hits
from data.detector.geometry import (
    EB_SHAPE,
    ECAL_SHAPE,
    EE_TO_ECAL,
    EE_TO_HBHE,
    HBHE_SHAPE,
    N_EB,
    eb_to_hbhe,
)

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]
EB_ROWS_IN_ECAL = slice(55, 225)
EB_ROWS_IN_HBHE = slice(11, 45)
_EE_SIDE = (100, 100)


@dataclass(frozen=True)
class Image:
    """How an image is made: its shape, the channels it needs, and the function of their hits."""

    shape: tuple[int, int]
    channels: tuple[str, ...]
    fill: Callable[[Mapping[str, Hits]], FloatArray]


def make_image(name: str, hits: Mapping[str, Hits]) -> FloatArray:
    """Dense image of N events.

    Parameters
    ----------
    name
        One of `IMAGES`.
    hits
        Hits by channel; those in `IMAGES[name].channels` are needed.

    Returns
    -------
    (N, rows, columns) float32.

    Raises
    ------
    ConfigError
        For an unknown name, naming the nearest known one.
    """
    return image(name).fill(hits)


def image(name: str) -> Image:
    """The image of a name; `ConfigError` names the nearest one for an unknown name."""
    if name in IMAGES:
        return IMAGES[name]
    by_lower = {known.lower(): known for known in IMAGES}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.4)
    hint = f"did you mean {by_lower[near[0]]}? " if near else ""
    raise ConfigError(f"unknown image {name!r}: {hint}Known: {', '.join(IMAGES)}")


def scatter(
    event: IntArray, cell: IntArray, value: NDArray, n_events: int, shape: tuple[int, int]
) -> FloatArray:
    """Sum values into (n_events, *shape); rows with a negative cell are left out."""
    size = shape[0] * shape[1]
    inside = cell >= 0
    key = event[inside] * size + cell[inside]
    total = np.bincount(key, weights=value[inside], minlength=n_events * size)
    return total.astype(np.float32).reshape(n_events, *shape)


def _sum(hits: Hits, cell: IntArray, shape: tuple[int, int], value: NDArray) -> FloatArray:
    return scatter(hits.event, cell, value, len(hits), shape)


def _cells(hits: Hits) -> IntArray:
    return hits.cell.astype(np.int64)


def _eb_energy(hits: Mapping[str, Hits]) -> FloatArray:
    barrel = hits["EB"]
    return _sum(barrel, _cells(barrel), EB_SHAPE, barrel.energy)


def _eb_time(hits: Mapping[str, Hits]) -> FloatArray:
    barrel = hits["EB"]
    time = np.zeros_like(barrel.energy) if barrel.time is None else np.nan_to_num(barrel.time)
    return _sum(barrel, _cells(barrel), EB_SHAPE, time)


def _ee_energy(side: int) -> Callable[[Mapping[str, Hits]], FloatArray]:
    def fill(hits: Mapping[str, Hits]) -> FloatArray:
        endcap = hits["EE"]
        cell = _cells(endcap)
        cell = np.where(cell // 10000 == side, cell % 10000, -1)
        return _sum(endcap, cell, _EE_SIDE, endcap.energy)

    return fill


def _ecal_energy(hits: Mapping[str, Hits]) -> FloatArray:
    barrel, endcap = hits["EB"], hits["EE"]
    first = EB_ROWS_IN_ECAL.start * ECAL_SHAPE[1]
    stitched = _sum(endcap, EE_TO_ECAL[_cells(endcap)], ECAL_SHAPE, endcap.energy)
    return stitched + _sum(barrel, _cells(barrel) + first, ECAL_SHAPE, barrel.energy)


def _tracks_pt(hits: Mapping[str, Hits]) -> FloatArray:
    tracks = hits["TRK"]
    return _sum(tracks, _cells(tracks), ECAL_SHAPE, tracks.energy)


def _tracks_pt_eb(hits: Mapping[str, Hits]) -> FloatArray:
    tracks = hits["TRK"]
    cell = _cells(tracks) - EB_ROWS_IN_ECAL.start * ECAL_SHAPE[1]
    return _sum(tracks, np.where(cell < N_EB, cell, -1), EB_SHAPE, tracks.energy)


def _hbhe_energy(hits: Mapping[str, Hits]) -> FloatArray:
    hcal = hits["HBHE"]
    return _sum(hcal, _cells(hcal), HBHE_SHAPE, hcal.energy)


def _hbhe_em_energy(hits: Mapping[str, Hits]) -> FloatArray:
    barrel, endcap = hits["EB"], hits["EE"]
    towers = _sum(barrel, eb_to_hbhe(_cells(barrel)), HBHE_SHAPE, barrel.energy)
    return towers + _sum(endcap, EE_TO_HBHE[_cells(endcap)], HBHE_SHAPE, endcap.energy)


IMAGES: dict[str, Image] = {
    "EB_energy": Image(EB_SHAPE, ("EB",), _eb_energy),
    "EB_time": Image(EB_SHAPE, ("EB",), _eb_time),
    "EEm_energy": Image(_EE_SIDE, ("EE",), _ee_energy(0)),
    "EEp_energy": Image(_EE_SIDE, ("EE",), _ee_energy(1)),
    "ECAL_energy": Image(ECAL_SHAPE, ("EB", "EE"), _ecal_energy),
    "ECAL_tracksPt": Image(ECAL_SHAPE, ("TRK",), _tracks_pt),
    "TracksPt_EB": Image(EB_SHAPE, ("TRK",), _tracks_pt_eb),
    "HBHE_energy": Image(HBHE_SHAPE, ("HBHE",), _hbhe_energy),
    "HBHE_energy_EB": Image(
        (34, 72), ("HBHE",), lambda hits: _hbhe_energy(hits)[:, EB_ROWS_IN_HBHE]
    ),
    "HBHE_EMenergy": Image(HBHE_SHAPE, ("EB", "EE"), _hbhe_em_energy),
}
