"""Columns of one collection in a ROOT tree, read together and checked against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import Collection
from data.sources.root_file import DAMAGED, flat, read


def flat_columns(
    path: str, branches: dict[str, Any], start: int, stop: int
) -> tuple[dict[str, NDArray], NDArray[np.int64]]:
    """Flat columns of jagged branches, and how many rows every event has.

    Raises
    ------
    InputError
        If a branch is not jagged, or not as long as the first in every event.
    """
    columns: dict[str, NDArray] = {}
    counts: NDArray[np.int64] | None = None
    for name, branch in branches.items():
        array = read(path, branch, start, stop)
        if array.ndim != 2:
            raise InputError(path, f"branch {branch.name}: expected a list of numbers per event")
        columns[name], found = flat(array)
        if counts is not None and not np.array_equal(counts, found):
            entry = int(np.argmin(counts == found))
            raise InputError(
                path,
                f"branch {branch.name}, entry {start + entry}: {found[entry]} values where its "
                f"collection has {counts[entry]}",
                DAMAGED,
            )
        counts = found
    assert counts is not None
    return columns, counts


def collection(
    columns: dict[str, NDArray], counts: NDArray[np.int64], types: dict[str, str]
) -> Collection:
    """Columns with the types they have in the store."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Collection(offsets, {name: columns[name].astype(kind) for name, kind in types.items()})
