"""True flavour of jets: the only module of this package that reads truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.store import EventStore

TRUE_JETS = "truth/jets"
GLUON, QUARK = 0, 1
TITLES = {QUARK: "quark", GLUON: "gluon"}


def true_flavour(store: EventStore, rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """(N,) 1 for u, d and s quarks, 0 for gluons, -1 for others, of rows of `objects/Jet`.

    Raises
    ------
    InputError
        If the store does not know, or has only one of both.
    """
    if "label" not in store.collections.get(TRUE_JETS, {}):
        raise InputError(
            store.path,
            "no true flavour of jets",
            "simulate dijets (events.dijet) and preprocess them, or import labelled jets",
        )
    label = store.rows(TRUE_JETS).columns["label"][rows].astype(np.int64)
    label = np.where((label == QUARK) | (label == GLUON), label, -1)
    if absent := [title for value, title in TITLES.items() if not (label == value).any()]:
        raise InputError(
            store.path, f"no {absent[0]} jets pass the cuts", "use more events or wider cuts"
        )
    return label
