"""Where modules and supermodules of the barrel meet, and energy is lost between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Rows where modules meet: eta = 0, |ieta| 25/26, 45/46, 65/66 and the barrel's ends.
MODULE_EDGES = np.array([0.0, 20.0, 40.0, 60.0, 85.0, 110.0, 130.0, 150.0, 170.0])
SUPERMODULE = 20.0  # crystals in v


def edge_distances(
    u: NDArray[np.floating], v: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signed distances in crystals to the nearest module edge (u) and supermodule edge (v).

    Both (n,), as are the coordinates in crystals (`data.detector.geometry.eb_uv`).
    """
    to_edges = u[:, None] - MODULE_EDGES[None, :]
    nearest = np.abs(to_edges).argmin(axis=1)
    du = to_edges[np.arange(len(u)), nearest]
    dv = (v + SUPERMODULE / 2) % SUPERMODULE - SUPERMODULE / 2
    return du.astype(np.float64), dv.astype(np.float64)
