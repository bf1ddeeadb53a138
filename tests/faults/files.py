"""Undamaged files of every format and codec, small enough to damage them thousands of times."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uproot
from numpy.typing import NDArray

from data.store.checks import write_attribute
from tests.made_files import Events, ig_event, make_events, write_aod, write_ig, write_rhtree
from tests.made_objects import write_nanoaod
from tests.synthetic import write_store

CODECS = {
    "ZLIB": uproot.ZLIB(1), "LZ4": uproot.LZ4(1), "LZMA": uproot.LZMA(1), "ZSTD": uproot.ZSTD(1),
    "none": None,
}  # fmt: skip
REAL = {
    "AOD layout, written by ROOT": "cms_layout/aodlike_doublephoton.root",
    "RHTree, written by ROOT": "cms_layout/rhtree_DoublePhoton_Run2012B_0.root",
    "event display of real collisions": "real/DoublePhoton_Run2012B_0.ig",
}
Make = Callable[[Path], Path]


def makers(n_events: int = 12) -> dict[str, Make]:
    """Name of each kind of file, and what writes one."""
    events = make_events(n_events, seed=3)
    made: dict[str, Make] = {}
    for codec, compression in CODECS.items():
        made[f"AOD, {codec}"] = lambda path, c=compression: write_aod(path, events, compression=c)
        made[f"RHTree, {codec}"] = lambda path, c=compression: write_rhtree(
            path, make_events(4, seed=3), "jagged", truth=True, step=2, compression=c
        )
    made["NanoAOD, ZLIB"] = lambda path: write_nanoaod(path)
    made["dense HDF5, gzip"] = _write_dense_hdf5
    made["dense Parquet"] = _write_dense_parquet
    made["dense Parquet with page checksums"] = lambda path: _write_dense_parquet(path, True)
    made["event display"] = lambda path: _write_ig(path, events)
    made["event store"] = lambda path: write_store(path, n_events=30)
    return made


def codec(name: str) -> str:
    """The codec in a file's name in `makers`, or what stands for it."""
    return name.rpartition(", ")[2]


def _write_dense_hdf5(path: Path) -> Path:
    """Jets as the papers' converters write them: chunks without checksums, texts as attributes."""
    with h5py.File(path, "w") as file:
        file.create_dataset("X_jets", data=_jets(), chunks=(1, 125, 125, 3), compression="gzip")
        file["y"] = np.arange(4.0)
        write_attribute(file, "hcal_upsampling", "conserving")
    return path


def _write_dense_parquet(path: Path, has_checksums: bool = False) -> Path:
    table = pa.table({"X_jets": np.moveaxis(_jets(), 3, 1).tolist(), "y": np.arange(4.0)})
    pq.write_table(table, path, write_page_checksum=has_checksums)
    return path


def _jets() -> NDArray[np.float32]:
    rng = np.random.default_rng(5)
    shape = (4, 125, 125, 3)
    return (rng.uniform(0.1, 50, shape) * (rng.random(shape) < 0.01)).astype(np.float32)


def _write_ig(path: Path, events: Events) -> Path:
    return write_ig(path, [json.dumps(ig_event(events, i)) for i in range(len(events))])
