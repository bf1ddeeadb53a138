"""The table of all images: shape, needs, formula and source of each.

Names follow the paper's ntuple `fevt/RHTree` where it has the image, and extend its words where it
has not: `ET` and `EZ` for the transverse and longitudinal part of the energy, `_up` for towers
upsampled to crystals, `EEup` for resampled endcaps, `AtECAL` for tracks propagated to the ECAL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from data.detector import calorimeter, tracks
from data.detector.geometry import EB_SHAPE, ECAL_SHAPE, HBHE_SHAPE
from data.detector.pixels import Filler, upsampled

NTUPLE = "ntuple"  # the paper's fevt/RHTree has a branch of this name and content
PAPERS = "papers"  # a geometry or component of the papers that the ntuple does not hold
OURS = "ours"  # an extension

EE_SIDE = (100, 100)
TOWERS_EB = (34, 72)
_COMPONENTS = {"energy": "E", "ET": "E / cosh(eta)", "EZ": "E tanh(eta)"}
_QUANTITIES = {"": "number of", "Pt": "sum of pt [GeV] of", "QPt": "sum of charge x pt [GeV] of"}
# An ntuple's rows are sums of pt, not tracks; rows with a direction are tracks and can be counted.
_COLUMNS: dict[str, tuple[str, ...]] = {"": ("eta",), "Pt": (), "QPt": ("eta", "charge")}


@dataclass(frozen=True)
class Image:
    """How an image is made.

    Attributes
    ----------
    shape
        Rows and columns.
    channels
        Hit channels it is made of.
    columns
        Columns that the hits of each of its channels need beyond cell and energy.
    formula, source
        What a pixel holds, and where the image is from: `ntuple`, `papers` or `ours`.
    fill
        The function of the hits; of an upsampled image it holds the tower's energy in each cell.
    upsampled
        Whether the convention of upsampling matters.
    """

    shape: tuple[int, int]
    channels: tuple[str, ...]
    columns: tuple[str, ...]
    formula: str
    source: str
    fill: Filler
    upsampled: bool = False


def _crystals(component: str, side: int) -> Filler:
    return calorimeter.hits_of("EE", component, calorimeter.on_side(side))


def _towers_up(component: str) -> Filler:
    return upsampled(calorimeter.towers(component), HBHE_SHAPE[1], 5)


def _towers_eb_up(component: str) -> Filler:
    return upsampled(calorimeter.towers_behind_eb(component), TOWERS_EB[1], 5)


_Made = Callable[[str], Filler]
_EB, _EE, _ECAL, _HBHE = ("EB",), ("EE",), ("EB", "EE"), ("HBHE",)
_ENERGY_IMAGES: list[tuple[str, tuple[int, int], tuple[str, ...], _Made, str, str]] = [
    ("EB_{}", EB_SHAPE, _EB, partial(calorimeter.hits_of, "EB"), "of the crystal", NTUPLE),
    ("EEm_{}", EE_SIDE, _EE, partial(_crystals, side=0), "of the EE- crystal [iy-1][ix-1]", NTUPLE),
    ("EEp_{}", EE_SIDE, _EE, partial(_crystals, side=1), "of the EE+ crystal [iy-1][ix-1]", NTUPLE),
    ("ECAL_{}", ECAL_SHAPE, _ECAL, calorimeter.ecal,
     "of the crystal; endcaps: of the crystals with their centre in the bin", NTUPLE),
    ("ECAL_EEup_{}", ECAL_SHAPE, _ECAL, calorimeter.ecal_resampled,
     "as ECAL; endcaps: a quarter of the sum over 2 x 2 bins in each of them", PAPERS),
    ("HBHE_{}", HBHE_SHAPE, _HBHE, calorimeter.towers, "of the tower, depths summed", NTUPLE),
    ("HBHE_{}_EB", TOWERS_EB, _HBHE, calorimeter.towers_behind_eb,
     "of the tower, rows 11-44 of HBHE", NTUPLE),
    ("HBHE_{}_up", ECAL_SHAPE, _HBHE, _towers_up,
     "of the tower / 25 (repeated: not divided) in each of its 5 x 5 cells", PAPERS),
    ("HBHE_{}_EB_up", EB_SHAPE, _HBHE, _towers_eb_up,
     "of the tower / 25 (repeated: not divided) in each of its 5 x 5 crystals", PAPERS),
    ("HBHE_{}_EEm", EE_SIDE, _HBHE, partial(calorimeter.towers_at_ee, side=0),
     "of the tower / number of EE- crystals with their centre in it", NTUPLE),
    ("HBHE_{}_EEp", EE_SIDE, _HBHE, partial(calorimeter.towers_at_ee, side=1),
     "of the tower / number of EE+ crystals with their centre in it", NTUPLE),
    ("HBHE_EM{}", HBHE_SHAPE, _ECAL, calorimeter.ecal_in_towers,
     "of the ECAL crystals in front of the tower", NTUPLE),
]  # fmt: skip
_IN_PARTS = ("EB_{}", "EEm_{}", "EEp_{}", "ECAL_{}", "HBHE_{}")  # by the papers


def _energies() -> dict[str, Image]:
    """ECAL and HCAL by component of the energy."""
    table = {}
    for component, formula in _COMPONENTS.items():
        for name, shape, channels, make, where, source in _ENERGY_IMAGES:
            if component != "energy":
                source = PAPERS if name in _IN_PARTS else OURS
            table[name.format(component)] = Image(
                shape, channels, (), f"{formula} [GeV] {where}", source, make(component),
                upsampled=name.endswith("_up"),
            )  # fmt: skip
    return table


def _times() -> dict[str, Image]:
    eb, ee = calorimeter.in_ecal("EB"), calorimeter.in_ecal("EE")
    one = "time [ns] of the crystal's hit, 0 without"
    mean = "mean time [ns] of the bin's hits, weighted by energy, 0 without"
    minus, plus = ({"EE": calorimeter.on_side(side)} for side in (0, 1))
    table: dict[str, tuple[tuple[int, int], tuple[str, ...], str, str, calorimeter.Places]] = {
        "EB_time": (EB_SHAPE, _EB, one, NTUPLE, {"EB": None}),
        "EEm_time": (EE_SIDE, _EE, one, OURS, minus),
        "EEp_time": (EE_SIDE, _EE, one, OURS, plus),
        "ECAL_time": (ECAL_SHAPE, _ECAL, mean, OURS, {"EB": eb, "EE": ee}),
    }
    return {
        name: Image(shape, channels, ("time",), formula, source, calorimeter.time_of(place))
        for name, (shape, channels, formula, source, place) in table.items()
    }


def _tracks(quantity: str, propagated: bool) -> dict[str, Image]:
    """Tracks in all geometries, at the origin's direction or propagated."""
    word = quantity + ("AtECAL" if propagated else "")
    how = "tracks whose helix meets" if propagated else "tracks whose direction points to"
    formula = f"{_QUANTITIES[quantity]} {how}"
    columns = tracks.DIRECTION if propagated else _COLUMNS[quantity]
    at_crystal = tuple(c for c in tracks.DIRECTION if c in {"eta", "phi", *columns})
    made = (quantity, propagated)
    ntuple = OURS if propagated else NTUPLE
    table = {
        f"ECAL_tracks{word}": (ECAL_SHAPE, columns, "the cell", ntuple if quantity else OURS,
                               tracks.in_ecal(*made)),
        f"Tracks{word}_EB": (EB_SHAPE, columns, "the crystal", ntuple, tracks.in_eb(*made)),
        f"Tracks{word}_EEm": (EE_SIDE, at_crystal, "EE-: nearest crystal", ntuple,
                              tracks.in_ee(*made, side=0)),
        f"Tracks{word}_EEp": (EE_SIDE, at_crystal, "EE+: nearest crystal", ntuple,
                              tracks.in_ee(*made, side=1)),
        f"HBHE_tracks{word}": (HBHE_SHAPE, columns, "the tower",
                               OURS if propagated else PAPERS, tracks.in_hbhe(*made)),
    }  # fmt: skip
    return {
        name: Image(shape, ("TRK",), needs, f"{formula} {where}", source, fill)
        for name, (shape, needs, where, source, fill) in table.items()
    }


IMAGES: dict[str, Image] = _energies() | _times()
for _propagated in (False, True):
    for _quantity in _QUANTITIES:
        IMAGES |= _tracks(_quantity, _propagated)

STACKS: dict[str, tuple[str, ...]] = {  # the papers' arrays: images as channels
    "X_EB": ("TracksPt_EB", "EB_energy", "HBHE_energy_EB_up"),
    "X_EEm": ("TracksPt_EEm", "EEm_energy", "HBHE_energy_EEm"),
    "X_EEp": ("TracksPt_EEp", "EEp_energy", "HBHE_energy_EEp"),
    "X_ECAL_stacked": ("ECAL_tracksPt", "ECAL_EEup_energy", "HBHE_energy_up"),
}
