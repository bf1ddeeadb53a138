"""Windows of barrel crystals round photons, gathered from sparse hits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.batch import Hits
from data.detector.geometry import EB_SHAPE, N_EB

CROP = 11  # crystals; the 7x7 residual image can follow a hypothesis by two crystals


def photon_crops(
    hits: Hits, event: ArrayLike, seed: ArrayLike, size: int = CROP
) -> NDArray[np.float32]:
    """Energies of the `size` x `size` crystals centred on each photon's seed.

    Parameters
    ----------
    hits
        EB rechits of N events; of duplicated hits the last one counts, as in the clustering.
    event
        (M,) index of each photon's event in `hits`.
    seed
        (M,) flat EB cell of each photon's seed; a photon with seed -1 gets an empty window.
    size
        Crystals per side, odd.

    Returns
    -------
    ndarray
        (M, size, size) float32 in GeV, indexed [eta row, phi column]; phi wraps round, crystals
        beyond the barrel's ends and crystals without a hit hold 0.

    Raises
    ------
    ValueError
        If `size` is even: no crystal would be central.
    """
    if size % 2 == 0:
        raise ValueError(f"a crop of {size} crystals has no centre: use an odd size")
    event = np.asarray(event, dtype=np.int64)
    seed = np.asarray(seed, dtype=np.int64)
    steps = np.arange(size) - size // 2
    row = (seed // EB_SHAPE[1])[:, None, None] + steps[None, :, None]
    column = ((seed % EB_SHAPE[1])[:, None, None] + steps[None, None, :]) % EB_SHAPE[1]
    inside = (row >= 0) & (row < EB_SHAPE[0]) & (seed >= 0)[:, None, None]
    wanted = event[:, None, None] * N_EB + row * EB_SHAPE[1] + column

    key = hits.event * N_EB + hits.cell.astype(np.int64)
    if len(key) == 0:
        return np.zeros(wanted.shape, dtype=np.float32)
    order = np.argsort(key, kind="stable")
    key, energy = key[order], hits.energy[order]
    # The rightmost of equal keys is the last of the duplicated hits.
    position = (np.searchsorted(key, wanted, side="right") - 1).clip(min=0)
    found = inside & (key[position] == wanted)
    return np.where(found, np.maximum(energy[position], 0), 0).astype(np.float32)
