"""The scores of a run as HDF5: every model on every held-out event."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path
from data.store import EventStore
from data.store.schema import append, dataset_options
from e2e.evaluation.scores import softmax
from e2e.labels import CLASS_NAMES

SCHEMA = "e2e-scores"


def write_scores(
    path: str | Path,
    store: EventStore,
    fold: NDArray[np.integer],
    logits: dict[str, NDArray[np.float32]],
    attributes: dict[str, str],
) -> None:
    """Write identifiers, folds, and per model (N, 3) logits and scores, NaN where not held out."""
    columns: dict[str, NDArray] = {
        f"event/{name}": store.event(name) for name in ("run", "lumi", "event", "label", "m_gg")
    }
    columns["event/fold"] = fold.astype(np.int8)
    for model, values in logits.items():
        columns[f"{model}/logits"] = values
        columns[f"{model}/scores"] = softmax(values).astype(np.float32)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, rows in columns.items():
            file.create_dataset(name, dtype=rows.dtype, **dataset_options(4096, rows.shape[1:]))
            append(file[name], rows)
        file.attrs["schema"] = SCHEMA
        file.attrs["schema_version"] = 1
        file.attrs["class_names"] = list(CLASS_NAMES)
        for key, text in attributes.items():
            file.attrs[key] = text
