"""What is to be learned and who is whose sibling: the only place of this package to read truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError

if TYPE_CHECKING:
    from data.store import EventStore

CLASS_NAMES = ("diphoton", "higgs", "gamma_jet")
CLASS_TITLES = ("γγ", "H→γγ", "γ+jet")
DIPHOTON, HIGGS, GAMMA_JET = range(3)


@dataclass
class Labels:
    """Classes of N events.

    Attributes
    ----------
    label
        (N,) class; other values than 0, 1, 2 take no part in training or metrics.
    group
        (N,) events of one parton event share a group.
    overlap
        (N,) whether a γ+jet event holds two prompt photons at parton level, and so is counted
        by the diphoton sample too; removed from γ+jet in metrics "after overlap removal".
    weight
        (N,) how many events an event stands for (`event_weight`, whole numbers).
    prompt
        (N, 2) 1 for a photon matched to a true prompt one, 0 for a fake, NaN without truth.
    """

    label: NDArray[np.int64]
    group: NDArray[np.int64]
    overlap: NDArray[np.bool_]
    weight: NDArray[np.int64]
    prompt: NDArray[np.float32]

    @classmethod
    def read(cls, store: EventStore) -> Self:
        """Read the classes of a store.

        Raises
        ------
        InputError
            If one of the three classes is absent.
        """
        label = store.event("label").astype(np.int64)
        absent = [CLASS_NAMES[c] for c in range(3) if not (label == c).any()]
        if absent:
            raise InputError(
                store.path,
                f"no events labelled {', '.join(absent)}",
                "classify needs all three classes: preprocess them into one store",
            )
        overlap = np.zeros(len(label), dtype=bool)
        prompt = np.full((len(label), 2), np.nan, dtype=np.float32)
        if store.has_truth:
            prompt = np.isfinite(store.truth("energy")).astype(np.float32)
            overlap = (label == GAMMA_JET) & (store.truth_event("n_prompt") >= 2)
        weight = np.rint(store.event("event_weight")).astype(np.int64)
        return cls(label, store.event("group").astype(np.int64), overlap, weight, prompt)
