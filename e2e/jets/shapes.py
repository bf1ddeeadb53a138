"""What a physicist would compute of a jet's image: multiplicity, width, pTD, minor axis.

Track and hit multiplicity, fragmentation (pTD) and width are what CMS's quark-gluon likelihood
uses (CMS-PAS-JME-13-002), there from particle-flow candidates, here from the pixels that networks
see too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.detector.jets import JET_SIZE
from e2e.inputs.sparse import SparseImages
from e2e.jets.images import LAYERS, N_PIXELS

RADIUS = 29.0  # crystals: R = 0.5
TOWER = 5  # crystals a side
#: Pixels below this (GeV) are noise or pile-up more often than jet.
THRESHOLDS = {"tracks": 0.0, "ECAL": 0.3, "HCAL": 1.0}
QUANTITIES = ("n", "sum_over_pt", "width", "ptd", "minor_axis", "leading")
SHAPES = tuple(f"{layer}_{quantity}" for layer in LAYERS for quantity in QUANTITIES)

FloatArray = NDArray[np.float64]


def jet_shapes(images: SparseImages, pt: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, 18) columns :data:`SHAPES` of N jets; NaN where a layer is empty.

    Of each layer within R = 0.5 of its own centre: the number of filled pixels, their sum over the
    jet's pt, the mean distance to the centre, pTD = sqrt(sum w^2) / sum w, the root of the smaller
    eigenvalue of the second moments, and the leading pixel's share; w is a pixel's value and
    lengths are in crystals.
    """
    jet = np.repeat(np.arange(len(images)), np.diff(images.offsets))
    columns = []
    for layer, name in enumerate(LAYERS):
        row, column = np.divmod(images.pixel - layer * N_PIXELS, JET_SIZE)
        mine = (images.pixel // N_PIXELS == layer) & (images.value > THRESHOLDS[name])
        if name == "HCAL":
            # The middle crystal of a tower stands for it: windows begin at towers' edges.
            mine &= (row % TOWER == TOWER // 2) & (column % TOWER == TOWER // 2)
        y, x = (p[mine] - JET_SIZE // 2 for p in (row, column))
        value = images.value[mine].astype(np.float64)
        columns += _shapes(jet[mine], y, x, value, len(images), np.asarray(pt, np.float64))
    return np.stack(columns, axis=1).astype(np.float32)


def _shapes(
    jet: NDArray[np.int64],
    y: NDArray[np.integer],
    x: NDArray[np.integer],
    value: FloatArray,
    n: int,
    pt: FloatArray,
) -> list[FloatArray]:
    """The quantities of one layer, (n,) each; y and x are pixels from the window's middle."""
    with np.errstate(invalid="ignore", divide="ignore"):
        centre_y, centre_x = np.zeros(n), np.zeros(n)
        # Twice: pile-up at the edge of the first circle pulls its centre.
        for _ in range(2):
            near = np.hypot(y - centre_y[jet], x - centre_x[jet]) < RADIUS
            total = np.bincount(jet[near], value[near], n)
            centre_y = np.nan_to_num(np.bincount(jet[near], (value * y)[near], n) / total)
            centre_x = np.nan_to_num(np.bincount(jet[near], (value * x)[near], n) / total)
        near = np.hypot(y - centre_y[jet], x - centre_x[jet]) < RADIUS
        jet, value = jet[near], value[near]
        dy, dx = y[near] - centre_y[jet], x[near] - centre_x[jet]

        def mean(values: FloatArray) -> FloatArray:
            return np.bincount(jet, value * values, n) / total

        total = np.bincount(jet, value, n)
        yy, xx, yx = mean(dy**2), mean(dx**2), mean(dy * dx)
        minor = (yy + xx) / 2 - np.sqrt((yy - xx) ** 2 / 4 + yx**2)
        leading = np.zeros(n)
        np.maximum.at(leading, jet, value)
        return [
            np.bincount(jet, minlength=n).astype(np.float64),
            total / pt,
            mean(np.hypot(dy, dx)),
            np.sqrt(np.bincount(jet, value**2, n)) / total,
            np.sqrt(np.maximum(minor, 0)),
            leading / total,
        ]
