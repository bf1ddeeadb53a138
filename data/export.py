"""Export: an event store to dense images in a NumPy archive, written a few events at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path
from common.progress import log, progress
from data.config import ExportConfig
from data.detector.images import image, make_image
from data.sources.base import ranges
from data.store import EventStore

_EVENTS_AT_A_TIME = 100
_DATE = (1980, 1, 1, 0, 0, 0)  # no clock in the archive: the same store gives the same bytes


def run(config: ExportConfig) -> Path:
    """Write `run_lumi_event` (N, 3), `m0` (N,), `selected` (N,) and the images (N, rows, columns).

    All are in the store's order. m0 in GeV is the source's own mass where it has one, else the
    mass of the store's pair, else 0.

    Raises
    ------
    ConfigError
        For an unknown image name.
    InputError
        If the store lacks the hits an image is made of, or is damaged.
    """
    with EventStore(config.store) as store:
        for name in config.images:
            lacking = [c for c in image(name).channels if c not in store.channels]
            if lacking:
                raise InputError(
                    config.store,
                    f"{name} needs {' and '.join(lacking)} hits, which no input provided",
                    f"channels in the store: {', '.join(store.channels)}",
                )
        with (
            atomic_path(config.output) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            for name, column in event_columns(store).items():
                _write(archive, name, column.shape, column.dtype, [column])
            for name in config.images:
                shape = (len(store), *image(name).shape)
                _write(archive, name, shape, np.dtype(np.float32), _images(store, name))
        log.info("export: %d events to %s", len(store), config.output)
    return config.output


def event_columns(store: EventStore) -> dict[str, NDArray]:
    """Identifiers, mass and flag of the events, as the export writes them."""
    ids = [store.event(name).astype(np.int64) for name in ("run", "lumi", "event")]
    of_file, of_pair = store.event("m0_file"), np.nan_to_num(store.event("m_gg"))
    return {
        "run_lumi_event": np.stack(ids, axis=1),
        "m0": np.where(np.isfinite(of_file), of_file, of_pair).astype(np.float32),
        "selected": store.event("selected").astype(bool),
    }


def _images(store: EventStore, name: str) -> Iterable[NDArray]:
    parts = list(ranges(0, len(store), _EVENTS_AT_A_TIME))
    for start, stop in progress(parts, desc=name, unit="parts"):
        hits = {channel: store.hits(channel, start, stop) for channel in image(name).channels}
        yield make_image(name, hits)


def _write(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype,
    parts: Iterable[NDArray],
) -> None:
    entry = zipfile.ZipInfo(f"{name}.npy", date_time=_DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with archive.open(entry, "w", force_zip64=True) as member:
        npy.write_array_header_2_0(member, header)
        for part in parts:
            member.write(np.ascontiguousarray(part, dtype=dtype).data)
