"""The classifier's low-level outputs for a store, made where they are not at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from common.files import sha256
from e2e.low_level.export import export_low_level, read_low_level

FILE = "low_level.h5"


@dataclass(frozen=True)
class LowLevelOutputs:
    """What a classifier says about N events and their two photons.

    Attributes
    ----------
    embedding
        (N, 2, D) per photon.
    feature_map
        (N, 2, C, h, w) at the photon.
    scores
        (N, 3) probabilities of γγ, H→γγ, γ+jet; NaN for an event without a pair.
    classifier_sha256
        Checksum of the classifier.
    """

    embedding: NDArray[np.floating]
    feature_map: NDArray[np.floating]
    scores: NDArray[np.floating]
    classifier_sha256: str

    @classmethod
    def read(cls, path: Path) -> LowLevelOutputs:
        """Read a file of low-level outputs."""
        arrays = dict(read_low_level(path, ("photons/embedding", "photons/feature_map", "scores")))
        with h5py.File(path) as file:
            checksum = str(file.attrs["checkpoint_sha256"])
        return cls(
            arrays["photons/embedding"], arrays["photons/feature_map"], arrays["scores"], checksum
        )


def low_level_outputs(store: Path, classifier: Path, path: Path) -> LowLevelOutputs:
    """Outputs of a classifier for a store.

    They are taken from `path`, or from the classifier's own run folder, where the file there was
    made by this classifier from this store; otherwise they are made and written to `path`.

    Parameters
    ----------
    store
        Event store.
    classifier
        A `classifier.pt`, or the run folder that holds it.
    path
        HDF5 file to write.
    """
    checkpoint = classifier / "classifier.pt" if classifier.is_dir() else classifier
    for found in (path, checkpoint.with_name(FILE)):
        if found.is_file() and _belongs(found, store, checkpoint):
            return LowLevelOutputs.read(found)
    return LowLevelOutputs.read(export_low_level(checkpoint, store, path))


def _belongs(path: Path, store: Path, checkpoint: Path) -> bool:
    try:
        with h5py.File(path) as file:
            made_of = (file.attrs.get("store_fingerprint"), file.attrs.get("checkpoint_sha256"))
    except OSError:
        return False
    return checkpoint.is_file() and made_of == (sha256(store), sha256(checkpoint))
