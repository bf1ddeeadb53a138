"""Where the cells are: ECAL barrel and endcap crystals, HBHE towers, the stitched ECAL image.

Flat cells (the paper's ntuple order; all indices 0-based):

========  ===========  ==========================================================================
EB        170 x 360    row * 360 + col; row = ieta + 85 (ieta < 0) or ieta + 84, col = iphi - 1
EE        2 x 100 x 100  side * 10000 + (iy - 1) * 100 + ix - 1; side 0 is EE-, 1 is EE+
HBHE      56 x 72      row * 72 + col; row = ieta + 28 (ieta < 0) or ieta + 27, col = (iphi+1) % 72
ECAL      280 x 360    rows 0-54 EE-, 55-224 EB, 225-279 EE+, binned in (eta, phi)
========  ===========  ==========================================================================

Lengths are in cm and angles in radians, seen from the origin. The crystal positions in
`tables.npz` were measured from public CMS event displays (one quadrant of one endcap: the
other seven are its mirror images to 3e-4 cm).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

EB_SHAPE = (170, 360)
EE_SHAPE = (2, 100, 100)
HBHE_SHAPE = (56, 72)
ECAL_SHAPE = (280, 360)
N_EB, N_EE, N_HBHE, N_ECAL = 61200, 20000, 4032, 100800

R_EB = 129.0  # inner radius of the barrel crystals, cm
Z_EE = 317.0  # inner |z| of the endcap crystals, cm
CRYSTAL = 0.01745  # width of a barrel crystal in eta and phi (CMS's sigmaIetaIeta unit)
ETA_EB_END = 1.479  # where the stitched image passes from barrel to endcap

_TABLES = np.load(Path(__file__).with_name("tables.npz"))


def _mirrored(half: FloatArray) -> FloatArray:
    return np.concatenate([-half[::-1], half])


def _quadrant_to_plane(quadrant: FloatArray, sign_x: float, sign_y: float) -> FloatArray:
    """Unfold the quadrant ix, iy <= 50 of an endcap into its (iy, ix) plane."""
    upper = np.concatenate([quadrant, sign_x * quadrant[:, ::-1]], axis=1)
    return np.concatenate([upper, sign_y * upper[::-1]], axis=0)


EB_ETA: FloatArray = _mirrored(_TABLES["eb_abs_eta"].astype(np.float64))  # (170,) centres
EB_PHI: FloatArray = np.deg2rad((np.arange(360) - 9.5 + 180) % 360 - 180)  # (360,) centres
_half_edges = (EB_ETA[85:-1] + EB_ETA[86:]) / 2
EB_ETA_EDGES: FloatArray = np.concatenate(  # (171,)
    [
        [-EB_ETA[-1] - (EB_ETA[-1] - EB_ETA[-2]) / 2],
        -_half_edges[::-1],
        [0.0],
        _half_edges,
        [EB_ETA[-1] + (EB_ETA[-1] - EB_ETA[-2]) / 2],
    ]
)

EE_VALID: NDArray[np.bool_] = np.unpackbits(_TABLES["ee_valid"]).reshape(100, 100).astype(bool)
EE_X = _quadrant_to_plane(_TABLES["ee_x"].astype(np.float64), -1, 1)  # (100, 100), cm, by [iy, ix]
EE_Y = _quadrant_to_plane(_TABLES["ee_y"].astype(np.float64), 1, -1)
EE_Z = _quadrant_to_plane(_TABLES["ee_z"].astype(np.float64), 1, 1)
with np.errstate(divide="ignore", invalid="ignore"):
    _eta_plus = np.where(EE_VALID, np.arcsinh(EE_Z / np.hypot(EE_X, EE_Y)), np.nan)
EE_ETA: FloatArray = np.stack([-_eta_plus, _eta_plus])  # (2, 100, 100), NaN where no crystal
EE_PHI: FloatArray = np.stack([np.where(EE_VALID, np.arctan2(EE_Y, EE_X), np.nan)] * 2)

EE_ETA_EDGES: FloatArray = np.array(  # 55 bins of the stitched image, EE+
    [
        1.479, 1.4964, 1.5138, 1.5312, 1.5486, 1.566, 1.5834, 1.6008, 1.6182, 1.6356, 1.653,
        1.6704, 1.6878, 1.7052, 1.7226, 1.74, 1.758, 1.776, 1.794, 1.812, 1.83, 1.85, 1.87, 1.89,
        1.91, 1.93, 1.9526, 1.9752, 1.9978, 2.0204, 2.043, 2.0688, 2.0946, 2.1204, 2.1462, 2.172,
        2.202, 2.232, 2.262, 2.292, 2.322, 2.3576, 2.3932, 2.4288, 2.4644, 2.5, 2.53, 2.56, 2.59,
        2.62, 2.65, 2.72, 2.79, 2.86, 2.93, 3.0,
    ]
)  # fmt: skip
HBHE_ETA_EDGES: FloatArray = np.array(  # 28 rows a side
    [
        0.0, 0.087, 0.174, 0.261, 0.348, 0.435, 0.522, 0.609, 0.695, 0.783, 0.87, 0.957, 1.044,
        1.131, 1.218, 1.305, 1.392, 1.479, 1.566, 1.653, 1.74, 1.83, 1.93, 2.043, 2.172, 2.322,
        2.5, 2.65, 3.0,
    ]
)  # fmt: skip
_HE_CENTRES = [  # |ieta| 17 to 28, measured
    1.4351, 1.5221, 1.6092, 1.6962, 1.7874, 1.8822, 1.9884, 2.1089, 2.2477, 2.4106, 2.5759, 2.7850,
]  # fmt: skip
HBHE_ETA: FloatArray = _mirrored(
    np.array([*((np.arange(16) + 0.5) * 0.087), *_HE_CENTRES])
)  # (56,)
_ECAL_ETA_EDGES: FloatArray = np.concatenate([EB_ETA_EDGES[85:-1], EE_ETA_EDGES])  # (141,)


def _degrees(phi: ArrayLike) -> FloatArray:
    return np.rad2deg(np.asarray(phi, dtype=np.float64))


def eb_uv(eta: ArrayLike, phi: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Continuous crystal coordinates (u, v) of a direction: row and column plus fraction.

    u is outside [0, 170) where the direction misses the barrel; v is always in [0, 360).
    """
    eta = np.asarray(eta, dtype=np.float64)
    u = np.interp(eta, EB_ETA_EDGES, np.arange(171.0))
    outside = np.abs(eta) >= EB_ETA_EDGES[-1]
    u = np.where(outside, np.where(eta > 0, 171.0, -1.0), u)
    return u, (_degrees(phi) + 10.0) % 360.0 % 360.0


def eb_eta_phi(u: ArrayLike, v: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Direction (eta, phi in [-pi, pi)) of continuous crystal coordinates; inverse of `eb_uv`."""
    eta = np.interp(np.asarray(u, dtype=np.float64), np.arange(171.0), EB_ETA_EDGES)
    phi = np.deg2rad((np.asarray(v, dtype=np.float64) + 170.0) % 360.0 - 180.0)
    return eta, phi


def eb_cell(eta: ArrayLike, phi: ArrayLike) -> IntArray:
    """Flat EB cell hit by a direction; -1 outside the barrel."""
    u, v = eb_uv(eta, phi)
    inside = (u >= 0) & (u < 170)
    return np.where(inside, np.floor(u) * 360 + np.floor(v), -1).astype(np.int64)


def ee_cell_xy(x: ArrayLike, y: ArrayLike, zside: ArrayLike) -> IntArray:
    """Flat EE cell at (x, y) in cm on the side of the sign of `zside`; -1 where no crystal is.

    Crystals are 2.98 cm apart within 0.8 cm over the whole endcap (measured), so the nearest
    lattice point is the crystal but at the edges between supercrystals.
    """
    ix = np.floor(np.asarray(x) / 2.98 + 50.0).astype(np.int64)
    iy = np.floor(np.asarray(y) / 2.98 + 50.0).astype(np.int64)
    inside = (ix >= 0) & (ix < 100) & (iy >= 0) & (iy < 100)
    valid = inside & EE_VALID[iy.clip(0, 99), ix.clip(0, 99)]
    side = (np.asarray(zside) > 0).astype(np.int64)
    return np.where(valid, side * 10000 + iy * 100 + ix, -1)


def ee_cell(eta: ArrayLike, phi: ArrayLike) -> IntArray:
    """Flat EE cell whose centre is nearest to a direction, on the side of the sign of `eta`.

    Every direction gets a crystal, as with CMS's nearest-cell search: choose the directions that
    belong to an endcap first.
    """
    eta, phi = np.asarray(eta, dtype=np.float64), np.asarray(phi, dtype=np.float64)
    size = 1 / np.sinh(np.maximum(np.abs(eta), 0.1))  # tangent of the polar angle
    iy, ix = np.nonzero(EE_VALID)
    _, nearest = _ee_tree().query(np.stack([size * np.cos(phi), size * np.sin(phi)], axis=-1))
    return (np.where(eta > 0, 10000, 0) + iy[nearest] * 100 + ix[nearest]).astype(np.int64)


@cache
def _ee_tree() -> cKDTree:
    """Directions of one endcap's crystals as (x / z, y / z)."""
    from scipy.spatial import cKDTree  # a quarter of a second that readers need not wait for

    position = np.stack([EE_X[EE_VALID], EE_Y[EE_VALID]], axis=-1)
    return cKDTree(position / EE_Z[EE_VALID, None])


def hbhe_cell(eta: ArrayLike, phi: ArrayLike) -> IntArray:
    """Flat HBHE cell of a direction; -1 for |eta| >= 3."""
    eta = np.asarray(eta, dtype=np.float64)
    ring = np.searchsorted(HBHE_ETA_EDGES, np.abs(eta), side="right") - 1
    row = np.where(eta > 0, 28 + ring, 27 - ring)
    column = (np.floor(_degrees(phi) % 360.0 / 5.0).astype(np.int64) + 2) % 72
    return np.where((ring >= 0) & (ring < 28), row * 72 + column, -1)


def ecal_cell(eta: ArrayLike, phi: ArrayLike) -> IntArray:
    """Flat cell of the stitched 280 x 360 ECAL image; -1 for |eta| >= 3."""
    eta = np.asarray(eta, dtype=np.float64)
    ring = np.searchsorted(_ECAL_ETA_EDGES, np.abs(eta), side="right") - 1
    row = np.where(eta >= 0, 140 + ring, 139 - ring)
    # Barrel columns begin at -10 degrees; the endcaps' bin p from -180 degrees goes to column
    # (p + 190) % 360, which is the same.
    column = np.floor(_degrees(phi) + 370.0).astype(np.int64) % 360
    return np.where(ring < 140, row * 360 + column, -1)


def eb_to_hbhe(cell: ArrayLike) -> IntArray:
    """The HBHE tower behind an EB crystal (5 x 5 crystals each)."""
    cell = np.asarray(cell, dtype=np.int64)
    return (cell // 360 // 5 + 11) * 72 + cell % 360 // 5


def ecal_to_hbhe(cell: ArrayLike) -> IntArray:
    """The HBHE tower of a cell of the stitched image; -1 stays -1.

    Rows and columns go by fives: in the barrel the tower behind the crystal, in the endcaps the
    tower that the (eta, phi) bin is part of, because each tower's edges are those of five bins.
    """
    cell = np.asarray(cell, dtype=np.int64)
    return np.where(cell >= 0, cell // 360 // 5 * 72 + cell % 360 // 5, -1)


def _ee_to_ecal() -> IntArray:
    cells = np.full(EE_SHAPE, -1, dtype=np.int64)
    valid = np.stack([EE_VALID, EE_VALID])
    cells[valid] = ecal_cell(EE_ETA[valid], EE_PHI[valid])
    return cells.ravel()


EE_TO_ECAL: IntArray = _ee_to_ecal()  # (20000,) stitched cell of each EE crystal, -1 where none is
EE_TO_HBHE: IntArray = np.where(
    np.isfinite(EE_ETA), hbhe_cell(np.nan_to_num(EE_ETA), np.nan_to_num(EE_PHI)), -1
).ravel()


def vertex_eta(eta_detector: ArrayLike, vertex_z: ArrayLike) -> FloatArray:
    """Pseudorapidity, seen from a vertex at z (cm), of a point on the barrel's inner radius."""
    return np.arcsinh(np.sinh(eta_detector) - np.asarray(vertex_z) / R_EB)


def detector_eta(eta_vertex: ArrayLike, vertex_z: ArrayLike) -> FloatArray:
    """Inverse of `vertex_eta`: where a straight line from the vertex meets the barrel."""
    return np.arcsinh(np.sinh(eta_vertex) + np.asarray(vertex_z) / R_EB)
