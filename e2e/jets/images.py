"""Images of jets, kept sparse: tracks, ECAL and HCAL in 125 x 125 crystals round the seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data.batch import Hits
from data.detector.jets import JET_SIZE, jet_pixels
from e2e.inputs.sparse import SparseImages

LAYERS = ("tracks", "ECAL", "HCAL")
N_PIXELS = JET_SIZE**2


def cut_windows(
    hits: dict[str, Hits],
    event: NDArray[np.integer],
    seed_row: NDArray[np.integer],
    seed_column: NDArray[np.integer],
) -> SparseImages:
    """(3, 125, 125) windows round jets' seeds, rows along eta and columns along phi.

    Tracks hold pt and crystals energy in GeV. Each of the 25 crystals of a tower holds the tower's
    whole energy, so that the logarithm of towers and of crystals is of the same size.

    Parameters
    ----------
    hits
        EB, EE, HBHE and TRK of N events.
    event, seed_row, seed_column
        (M,) event and HBHE tower of each jet.
    """
    layers = jet_pixels(hits, event, seed_row, seed_column, upsampling="repeated")
    jets, cells, values = [], [], []
    for index, pixels in enumerate(layers):
        inside = pixels.cell >= 0
        jets.append(pixels.event[inside])
        cells.append(pixels.cell[inside] + index * N_PIXELS)
        values.append(pixels.value[inside])
    return SparseImages.from_entries(
        np.concatenate(jets),
        np.concatenate(cells),
        np.concatenate(values),
        len(event),
        (len(LAYERS), JET_SIZE, JET_SIZE),
    )


def only(images: SparseImages, layer: str) -> SparseImages:
    """(1, 125, 125) images of one layer."""
    jet = np.repeat(np.arange(len(images)), np.diff(images.offsets))
    found, pixel = np.divmod(images.pixel, N_PIXELS)
    mine = found == LAYERS.index(layer)
    shape = (1, JET_SIZE, JET_SIZE)
    return SparseImages.from_entries(jet[mine], pixel[mine], images.value[mine], len(images), shape)
