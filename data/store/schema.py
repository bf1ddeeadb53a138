"""The event store's schema: groups, columns and types, and how every dataset is stored."""

from __future__ import annotations

from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

SCHEMA = "e2e-event-store"
SCHEMA_VERSION = 2
LABELS = {
    -1: "unknown", 0: "diphoton", 1: "higgs", 2: "gamma_jet", 3: "gun", 4: "dijet", 5: "zee",
    6: "continuum",
}  # fmt: skip

EVENT_FIELDS: dict[str, str] = {
    "run": "u4",
    "lumi": "u4",
    "event": "u8",
    "label": "i1",
    "event_weight": "f4",
    "m_gg": "f4",
    "m0_file": "f4",
    "n_vertices": "i4",
    "group": "i8",
    "source": "i4",
    "selected": "?",
}
PHOTON_FIELDS: dict[str, str] = {
    "energy": "f4",
    "pt": "f4",
    "eta": "f4",
    "phi": "f4",
    "r9": "f4",
    "sigma_ieta_ieta": "f4",
    "h_over_e": "f4",
    "seed": "i4",
}
CLUSTER_FIELDS: dict[str, str] = PHOTON_FIELDS | {"u": "f4", "v": "f4", "e5x5": "f4"}
VERTEX_FIELDS: dict[str, str] = {"z": "f4"}
TRUTH_EVENT_FIELDS: dict[str, str] = {
    "process": "i4",
    "n_prompt": "i4",
    "vertex_z": "f4",
    "n_pileup": "i4",
    "gen_mass": "f4",
}
TRUTH_PHOTON_FIELDS: dict[str, str] = {
    "energy": "f4",
    "pt": "f4",
    "eta": "f4",
    "phi": "f4",
    "u": "f4",
    "v": "f4",
    "converted": "f4",
}
GROUPS: dict[str, dict[str, str]] = {
    "event": EVENT_FIELDS,
    "photons": PHOTON_FIELDS,
    "clusters": CLUSTER_FIELDS,
    "vertex": VERTEX_FIELDS,
    "truth": TRUTH_EVENT_FIELDS,
    "truth/photons": TRUTH_PHOTON_FIELDS,
}
PAIR_GROUPS = ("photons", "clusters", "truth/photons")


def dataset_options(
    chunk_rows: int, row_shape: tuple[int, ...] = (), is_scratch: bool = False
) -> dict[str, Any]:
    """h5py keywords of every dataset the project writes: compressed, checksum, growable.

    Scratch files, read once and deleted, are compressed by LZ4, which takes half the time of zstd.
    """
    return {
        "shape": (0, *row_shape),
        "maxshape": (None, *row_shape),
        "chunks": (chunk_rows, *row_shape),
        "shuffle": True,  # halves the cells, a tenth off the energies
        "fletcher32": True,
        **(hdf5plugin.LZ4() if is_scratch else hdf5plugin.Zstd(clevel=3)),
    }


def append(dataset: h5py.Dataset, rows: NDArray) -> None:
    """Append rows to a growing dataset."""
    start = dataset.shape[0]
    dataset.resize(start + len(rows), axis=0)
    dataset[start:] = rows


def unknown(shape: tuple[int, ...], dtype: str) -> NDArray:
    """What stands for values that a source lacks: NaN; 0 for a charge; -1 for other integers."""
    if dtype.startswith("f"):
        return np.full(shape, np.nan, dtype=dtype)
    return np.full(shape, 0 if dtype in ("i1", "?") or dtype.startswith("u") else -1, dtype=dtype)
