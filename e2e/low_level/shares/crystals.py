"""The hit crystals of photons' crops as one table, and simple estimates of their shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from e2e.inputs.sparse import SparseImages

FloatArray = NDArray[np.float64]
_ENERGY_EDGES = np.array([0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.3, 2.0, 4.0, 10.0, 30.0])  # GeV
_TINY = 1e-9


@dataclass(frozen=True)
class Crystals:
    """M hit crystals in the crops of N events.

    Attributes
    ----------
    event
        (M,) index of the event, not falling.
    pixel
        (M,) flat index into the event's image (2, S, S).
    hit
        (M,) energy of the rechit, GeV.
    share
        (M,) true share of prompt photons.
    size
        Crystals per side of a crop, S.
    """

    event: NDArray[np.int64]
    pixel: NDArray[np.int64]
    hit: FloatArray
    share: FloatArray
    size: int

    @classmethod
    def read(
        cls, hits: SparseImages, shares: SparseImages, events: NDArray[np.integer]
    ) -> Crystals:
        """The hit crystals of the given events, numbered anew from 0."""
        hits, shares = hits.take(events), shares.take(events)
        event = np.repeat(np.arange(len(events)), np.diff(hits.offsets))
        pixels = int(np.prod(hits.shape))
        key = event * pixels + hits.pixel
        known = np.repeat(np.arange(len(events)), np.diff(shares.offsets)) * pixels + shares.pixel
        order = np.argsort(known)
        known, values = np.append(known[order], -1), np.append(shares.value[order], 0.0)
        place = np.searchsorted(known[:-1], key)
        share = np.where(known[place] == key, values[place], 0.0)
        return cls(event, hits.pixel.astype(np.int64), hits.value.astype(np.float64), share,
                   hits.shape[-1])  # fmt: skip

    def take(self, keep: NDArray[np.bool_]) -> Crystals:
        """The crystals where `keep` (M,) is true."""
        return Crystals(
            self.event[keep], self.pixel[keep], self.hit[keep], self.share[keep], self.size
        )

    @property
    def photon(self) -> NDArray[np.int64]:
        """(M,) 2 * event + slot."""
        return 2 * self.event + self.pixel // self.size**2

    @property
    def row(self) -> NDArray[np.int64]:
        """(M,) row in the crop."""
        return self.pixel // self.size % self.size

    @property
    def column(self) -> NDArray[np.int64]:
        """(M,) column in the crop."""
        return self.pixel % self.size

    def at(self, images: NDArray[np.floating]) -> FloatArray:
        """(M,) values of dense images (N, 2, S, S) at the crystals."""
        return images.reshape(len(images), -1)[self.event, self.pixel].astype(np.float64)

    def photon_sums(self, values: FloatArray, n_events: int) -> FloatArray:
        """(2 N,) sum over each photon's crop."""
        return np.bincount(self.photon, values, minlength=2 * n_events).astype(np.float64)


class Lookup:
    """Mean share by place in the crop and energy of the hit, learned on other events.

    Place is the distance from the crop's middle, where the photon is, along eta and along phi.
    """

    def __init__(self, crystals: Crystals) -> None:
        self._size = crystals.size
        cells = (self._size // 2) ** 2 * (len(_ENERGY_EDGES) + 1)
        cell, weight = self._cell(crystals), crystals.hit
        total = np.bincount(cell, weight, cells)
        photon = np.bincount(cell, weight * crystals.share, cells)
        self.mean = float(photon.sum() / max(total.sum(), _TINY))
        self._table = np.where(total > 0, photon / np.maximum(total, _TINY), self.mean)

    def predict(self, crystals: Crystals) -> FloatArray:
        """(M,) shares."""
        return self._table[self._cell(crystals)]

    def _cell(self, crystals: Crystals) -> NDArray[np.int64]:
        half = self._size // 2
        along_u, along_v = (
            np.where(place < half, half - 1 - place, place - half)
            for place in (crystals.row, crystals.column)
        )
        energy = np.searchsorted(_ENERGY_EDGES, crystals.hit)
        return (energy * half + along_u) * half + along_v


def shuffled(crystals: Crystals, values: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The control: values permuted among the hit crystals of each photon's crop."""
    order = np.argsort(crystals.photon, kind="stable")
    random = np.lexsort((rng.random(len(order)), crystals.photon))
    result = np.empty_like(values)
    result[order] = values[random]
    return result
