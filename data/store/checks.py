"""Whether an event store is whole: its links, its shapes, and every byte of it.

`check_structure` reads metadata only and runs whenever a store is opened: it refuses files whose
links or datasets lead to other files, datasets that claim more than the file holds (HDF5 would
give zeros for what is missing), and tables of different length. `verify` reads everything once.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import HIT_TYPES
from data.detector.geometry import N_EB, N_ECAL, N_EE, N_HBHE
from data.store.schema import GROUPS, PAIR_GROUPS

if TYPE_CHECKING:
    from data.store import EventStore

N_CELLS = {"EB": N_EB, "EE": N_EE, "HBHE": N_HBHE, "TRK": N_ECAL, "JET": 3 * 125 * 125}
ATTRIBUTES_CHECKSUM = "attributes_sha256"
_SIGNATURE, _SUPERBLOCK = b"\x89HDF\r\n\x1a\n", 3
_MOST_CHUNK_BYTES = 64 << 20
_REMEDY = "the file is damaged or was not made by `preprocess`: make it again"


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn what h5py raises on damaged files into an InputError."""
    try:
        yield
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError) as error:
        raise InputError(
            path, f"damaged: {what} cannot be read ({error})", "make it again"
        ) from error


def open_file(path: Path) -> h5py.File:
    """Open an event store's file to read.

    Raises
    ------
    InputError
        If it is missing, or not HDF5 of the version whose structures have checksums: a flipped
        bit in one of an older version can send the HDF5 library round in circles.
    """
    if not path.is_file():
        raise InputError(path, "no such file")
    try:
        with open(path, "rb") as handle:
            head = handle.read(len(_SIGNATURE) + 1)
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(path, f"not a readable HDF5 file ({error})", "make it again") from error
    if head[:-1] == _SIGNATURE and head[-1] < _SUPERBLOCK:
        file.close()
        raise InputError(
            path, f"HDF5 of superblock version {head[-1]}, so not an event store",
            "make one with `preprocess`",
        )  # fmt: skip
    return file


def write_attribute(item: h5py.HLObject, name: str, value: str | int | float | bool) -> None:
    """Write an attribute; texts with a fixed length, for HDF5 gives no checksum to others."""
    if isinstance(value, str):
        text = value.encode()
        item.attrs[name] = np.array(text, dtype=h5py.string_dtype("utf-8", max(len(text), 1)))
    else:
        item.attrs[name] = value


def text_attribute(path: str | Path, item: h5py.HLObject, name: str) -> str | None:
    """A text among the attributes of a file of any program; None where there is none.

    Raises
    ------
    InputError
        If it is of variable length: see `read_attributes`.
    """
    if name not in item.attrs:
        return None
    if item.attrs.get_id(name).dtype.kind != "S":
        raise InputError(
            path, f"attribute {name} is not a text of fixed length",
            "write it with dtype=h5py.string_dtype('utf-8', length): HDF5 does not protect others",
        )  # fmt: skip
    return bytes(item.attrs[name]).decode("utf-8", errors="replace")


def read_attributes(path: Path, file: h5py.File) -> dict[str, Any]:
    """All attributes: texts, numbers and truth values.

    Raises
    ------
    InputError
        If one has another type. A text of variable length is not even looked at: a flipped bit
        in one can send the HDF5 library round in circles.
    """
    found: dict[str, Any] = {}
    with reading(path, "the attributes"):
        for name in file.attrs:
            dtype = file.attrs.get_id(name).dtype
            if dtype.kind not in "iufbS":
                raise _error(
                    path, f"attribute {name} is neither a text of fixed length nor a number"
                )
            value = file.attrs[name]
            found[name] = value.decode() if dtype.kind == "S" else value.item()
    return found


def attributes_checksum(file: h5py.File) -> str:
    """SHA-256 of all attributes but itself."""
    found = read_attributes(Path(file.filename), file)
    texts = [f"{name}={found[name]}" for name in sorted(found) if name != ATTRIBUTES_CHECKSUM]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def check_structure(path: Path, file: h5py.File) -> None:
    """Check an open event store's attributes, links and shapes.

    Raises
    ------
    InputError
        If it is not what `data.store.StoreWriter` writes.
    """
    with reading(path, "the attributes"):
        found = read_attributes(path, file).get(ATTRIBUTES_CHECKSUM)
        expected = attributes_checksum(file)
    if found != expected:
        raise _error(path, "the attributes do not have the checksum they were written with")
    with reading(path, "the structure"):
        datasets = _own_datasets(path, file)
        for name, dataset in datasets.items():
            _check_storage(path, name, dataset)
    if "event/run" not in datasets or "hits" not in file:
        raise _error(path, "no event/run, or no hits")
    n_events = datasets["event/run"].shape[0]
    _check_tables(path, datasets, n_events)
    for name in datasets:
        group, _, column = name.rpartition("/")
        if column == "offsets":
            _check_rows(path, group, datasets, n_events)
    for channel in file["hits"]:
        if f"hits/{channel}/offsets" not in datasets:
            raise _error(path, f"no hits/{channel}/offsets")


def verify(store: EventStore) -> None:
    """Read a whole event store once, chunk by chunk, and check what its parts say of each other.

    Raises
    ------
    InputError
        If any chunk cannot be read (each has a checksum), offsets fall or do not end at the last
        row, a cell is not one of its detector, or an energy is not a number.
    """
    with reading(store.path, "the file"), h5py.File(store.path, "r") as file:
        check_structure(store.path, file)
        datasets = _own_datasets(store.path, file)
        for name, dataset in datasets.items():
            last = 0
            for start in range(0, dataset.shape[0], dataset.chunks[0]):
                with reading(store.path, name):
                    rows = dataset[start : start + dataset.chunks[0]]
                _check_values(store.path, name, rows, start, last)
                last = int(rows.flat[-1]) if name.endswith("/offsets") else 0
            if name.endswith("/offsets"):
                group = name.removesuffix("/offsets")
                n_rows = {d.shape[0] for n, d in datasets.items() if _is_column(n, group)}
                if n_rows - {last}:
                    raise _error(store.path, f"{name} ends at {last}, its columns at {n_rows}")


def _own_datasets(path: Path, file: h5py.File) -> dict[str, h5py.Dataset]:
    """All datasets by name; links other than to this file's own objects are refused."""
    links: dict[bytes, int] = {}

    def visit(name: bytes, info: Any) -> None:
        links[name] = info.type  # an error raised here would be lost

    root = file["/"]  # held: its links do not keep it open
    root.id.links.visit(visit, info=True)
    foreign = [name for name, kind in links.items() if kind != h5py.h5l.TYPE_HARD]
    if foreign:
        raise _error(path, f"{foreign[0].decode(errors='replace')} is a link to elsewhere")
    items = {name.decode(): file[name] for name in links}
    return {name: item for name, item in items.items() if isinstance(item, h5py.Dataset)}


def _check_storage(path: Path, name: str, dataset: h5py.Dataset) -> None:
    """Chunks in this very file, each with a checksum, all of them there, none of them huge."""
    properties = dataset.id.get_create_plist()
    if properties.get_external_count() or properties.get_layout() != h5py.h5d.CHUNKED:
        raise _error(path, f"{name} is not stored in chunks of this file")
    if dataset.dtype.kind not in "iufb" or not dataset.fletcher32:
        raise _error(path, f"{name} has no checksum, or does not hold numbers")
    if math.prod(dataset.chunks) * dataset.dtype.itemsize > _MOST_CHUNK_BYTES:
        raise _error(path, f"{name} has chunks of {dataset.chunks} values")
    expected = math.prod(
        -(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)
    )
    size = path.stat().st_size
    # Compared first, because the count of a dataset that claims 2**60 rows would take for ever.
    if expected > size or dataset.id.get_num_chunks() != expected:
        raise _error(path, f"{name} of shape {dataset.shape} lacks some of its {expected} chunks")
    # HDF5 crashes on some chunks that lie outside of the file.
    if dataset.id.chunk_iter(lambda chunk: chunk.byte_offset + chunk.size > size or None):
        raise _error(path, f"{name} has a chunk outside of the file")


def _check_tables(path: Path, datasets: dict[str, h5py.Dataset], n_events: int) -> None:
    has_truth = "truth/process" in datasets
    for group, columns in GROUPS.items():
        if group.startswith("truth") and not has_truth:
            continue
        shape = (n_events, 2) if group in PAIR_GROUPS else (n_events,)
        for column, dtype in columns.items():
            dataset = datasets.get(f"{group}/{column}")
            if dataset is None:
                raise _error(path, f"no {group}/{column}")
            if dataset.shape != shape or dataset.dtype != np.dtype(dtype):
                raise _error(
                    path, f"{group}/{column} is {dataset.dtype} {dataset.shape}; expected "
                    f"{np.dtype(dtype)} {shape}",
                )  # fmt: skip


def _check_rows(path: Path, group: str, datasets: dict[str, h5py.Dataset], n_events: int) -> None:
    """A group with offsets: one more of these than events, and columns of one length."""
    offsets = datasets[f"{group}/offsets"]
    if offsets.shape != (n_events + 1,) or offsets.dtype != np.int64:
        raise _error(path, f"{group}/offsets is {offsets.dtype} {offsets.shape}; expected int64 "
                     f"({n_events + 1},)")  # fmt: skip
    columns = {
        name.rpartition("/")[2]: d for name, d in datasets.items() if _is_column(name, group)
    }
    if len({dataset.shape for dataset in columns.values()}) > 1:
        shapes = ", ".join(f"{name} {dataset.shape}" for name, dataset in columns.items())
        raise _error(path, f"{group}: columns of different length: {shapes}")
    if not group.startswith("hits/"):
        return
    if group.removeprefix("hits/") not in N_CELLS:
        raise _error(path, f"{group}: no such channel; known: {', '.join(N_CELLS)}")
    for name in {"cell", "energy", *columns}:
        if name not in columns or columns[name].dtype != np.dtype(HIT_TYPES.get(name, "V")):
            raise _error(path, f"{group}/{name} is absent, of another type or not known")


def _check_values(path: Path, name: str, rows: NDArray, start: int, last: int) -> None:
    """Values of one chunk; `last` is the last offset of the chunk before."""
    group, _, column = name.rpartition("/")
    problem = ""
    if column == "offsets":
        if start == 0 and rows[0] != 0:
            problem = f"offsets begin at {rows[0]}; expected 0"
        elif rows[0] < last or (np.diff(rows) < 0).any():
            problem = "offsets fall"
    elif group.startswith("hits/"):
        n_cells = N_CELLS[group.removeprefix("hits/")]
        if column == "cell" and rows.max() >= n_cells:
            problem = f"cell {rows.max()} of {n_cells}"
        elif column == "energy" and not np.isfinite(rows).all():
            problem = "an energy is not a number"
    if problem:
        raise _error(path, f"{name}, rows from {start}: {problem}")


def _is_column(name: str, group: str) -> bool:
    return name.rpartition("/")[0] == group and not name.endswith("/offsets")


def _error(path: Path, problem: str) -> InputError:
    return InputError(path, problem, _REMEDY)
