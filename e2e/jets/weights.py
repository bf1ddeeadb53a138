"""Weights that make quark and gluon jets alike in pt and eta, or only equally many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from e2e.jets.labels import GLUON, QUARK

PT_BIN = 10.0  # GeV
ETA_EDGES = (0.5, 1.0)  # of |eta|


def kinematic_bin(pt: NDArray[np.floating], eta: NDArray[np.floating]) -> NDArray[np.int64]:
    """(N,) number of each jet's bin in pt and |eta|."""
    eta_bin = np.searchsorted(ETA_EDGES, np.abs(eta))
    return (np.asarray(pt) // PT_BIN).astype(np.int64) * (len(ETA_EDGES) + 1) + eta_bin


def same_spectrum(
    pt: NDArray[np.floating],
    eta: NDArray[np.floating],
    label: NDArray[np.int64],
    rows: NDArray[np.integer],
) -> NDArray[np.float32]:
    """(N,) weights with which both flavours of `rows` have one spectrum, of mean one for each.

    In a bin with q quarks and g gluons a quark counts g / (q + g) and a gluon q / (q + g): none
    counts more than once, and both sums are q g / (q + g). The numbers of jets are those of `rows`;
    jets of other rows and flavours get the weight of their bin, or 0.
    """
    place = kinematic_bin(pt, eta)
    size = int(place.max(initial=0)) + 1
    counts = [
        np.bincount(place[rows][label[rows] == value], minlength=size).astype(np.float64)
        for value in (GLUON, QUARK)
    ]
    total = np.maximum(counts[GLUON] + counts[QUARK], 1)
    # The other flavour's share.
    shares = {GLUON: counts[QUARK] / total, QUARK: counts[GLUON] / total}
    weight = np.zeros(len(label))
    for value in (GLUON, QUARK):
        weight[label == value] = shares[value][place[label == value]]
    return _normalised(weight, label, rows)


def balanced(label: NDArray[np.int64], rows: NDArray[np.integer]) -> NDArray[np.float32]:
    """(N,) weights that give both flavours of `rows` the same sum; mean one, 0 for others."""
    return _normalised((label >= 0).astype(np.float64), label, rows)


def _normalised(
    weight: NDArray[np.float64], label: NDArray[np.int64], rows: NDArray[np.integer]
) -> NDArray[np.float32]:
    result = np.zeros(len(label))
    for value in (GLUON, QUARK):
        mine = label == value
        total = weight[rows][mine[rows]].sum()
        result[mine] = weight[mine] * len(rows) / 2 / max(total, 1e-9)
    return result.astype(np.float32)
