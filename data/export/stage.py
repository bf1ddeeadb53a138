"""Export: an event store to dense images, written a few events at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from common.errors import ConfigError
from common.files import atomic_path
from common.progress import log
from data.config import ExportConfig
from data.detector.images import image
from data.export.arrays import write_hdf5, write_parquet
from data.export.drawing import check, diphoton_mass, draw, parts, shape_of
from data.export.jets import JETS
from data.store import EventStore

_EVENTS_AT_A_TIME = 100
_DATE = (1980, 1, 1, 0, 0, 0)  # no clock in the archive: the same store gives the same bytes


def run(config: ExportConfig) -> Path:
    """Write the images in the format that the output's suffix names.

    `.npz`: `run_lumi_event` (N, 3), `m0` (N,), `selected` (N,) and the images (N, rows, columns),
    stacks (N, rows, columns, channels), all in the store's order. m0 in GeV is the source's own
    mass where it has one, else the mass of the store's pair, else 0. With towers upsampled to
    crystals the archive says in `hcal_upsampling` how. `.h5`, `.hdf5` and `.parquet`: the papers'
    arrays, see `data.export.arrays`.

    Raises
    ------
    ConfigError
        For an unknown image name or suffix.
    InputError
        If the store lacks the hits or the columns an image is made of, or is damaged.
    """
    kind = config.output.suffix
    with EventStore(config.store) as store:
        if kind == ".npz":
            if JETS in config.images:
                raise ConfigError(f"{config.output}: {JETS} goes to a file .h5 or .parquet")
            return _write_archive(store, config)
        if kind in (".h5", ".hdf5"):
            return write_hdf5(
                store, config.images, config.output, config.hcal_upsampling, config.min_jet_pt
            )
        if kind == ".parquet":
            if config.images != [JETS]:
                raise ConfigError(f"{config.output}: a .parquet file holds {JETS} and nothing else")
            return write_parquet(store, config.output, config.hcal_upsampling, config.min_jet_pt)
    raise ConfigError(f"output {config.output}: the suffix must be .npz, .h5, .hdf5 or .parquet")


def _write_archive(store: EventStore, config: ExportConfig) -> Path:
    check(store, config.images)
    with (
        atomic_path(config.output) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, column in event_columns(store).items():
            _write(archive, name, column.shape, column.dtype, [column])
        if any(image(part).upsampled for name in config.images for part in parts(name)):
            text = np.array(config.hcal_upsampling)
            _write(archive, "hcal_upsampling", text.shape, text.dtype, [text])
        for name in config.images:
            made = draw(store, name, config.hcal_upsampling, _EVENTS_AT_A_TIME)
            _write(archive, name, (len(store), *shape_of(name)), np.dtype(np.float32), made)
    log.info("export: %d events to %s", len(store), config.output)
    return config.output


def event_columns(store: EventStore) -> dict[str, NDArray]:
    """Identifiers, mass and flag of the events, as the export writes them."""
    ids = [store.event(name).astype(np.int64) for name in ("run", "lumi", "event")]
    return {
        "run_lumi_event": np.stack(ids, axis=1),
        "m0": diphoton_mass(store),
        "selected": store.event("selected").astype(bool),
    }


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
