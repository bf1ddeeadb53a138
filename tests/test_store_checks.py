"""Event stores that were not written by this program, or are not whole, are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from common.errors import InputError
from data.store import EventStore
from data.store.checks import ATTRIBUTES_CHECKSUM, attributes_checksum, verify, write_attribute
from data.store.schema import dataset_options
from tests.synthetic import write_store

Change = Callable[[h5py.File], object]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "events.h5", n_events=30)


def replace(name: str, rows: np.ndarray, **options: object) -> Change:
    def change(file: h5py.File) -> None:
        kept = dataset_options(4096, rows.shape[1:]) | {"shape": rows.shape} | options
        del file[name]
        file.create_dataset(name, data=rows, **kept)

    return change


def external(file: h5py.File) -> None:
    del file["event/run"]
    raw = [("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("event/run", shape=(30,), dtype="u4", external=raw)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(30,), dtype="u4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(30,))
    del file["event/run"]
    file.create_virtual_dataset("event/run", layout)


def linked(link: object) -> Change:
    def change(file: h5py.File) -> None:
        del file["hits/EB/energy"]
        file["hits/EB/energy"] = link

    return change


def resized(name: str, rows: int) -> Change:
    return lambda file: file[name].resize(rows, axis=0)


STRUCTURE: dict[str, tuple[Change, str]] = {
    "soft link": (linked(h5py.SoftLink("/hits/EB/cell")), "is a link to elsewhere"),
    "external link": (linked(h5py.ExternalLink("/etc/passwd", "/x")), "is a link to elsewhere"),
    "external storage": (external, "not stored in chunks of this file"),
    "virtual dataset": (virtual, "not stored in chunks of this file"),
    "claims 2**50 rows": (resized("hits/EB/cell", 1 << 50), "lacks some of its"),
    "claims some rows more": (resized("hits/EB/cell", 70_000), "lacks some of its"),
    "no checksum": (replace("event/run", np.zeros(30, "u4"), fletcher32=False), "has no checksum"),
    "text": (replace("event/run", np.full(30, b"x")), "does not hold numbers"),
    "another type": (replace("event/run", np.zeros(30, "f8")), "expected uint32"),
    "a shorter table": (resized("photons/pt", 29), r"photons/pt is float32 \(29, 2\)"),
    "a missing table": (lambda file: file.pop("clusters/e5x5"), "no clusters/e5x5"),
    "no hits": (lambda file: file.pop("hits"), "no hits"),
    "unequal columns": (resized("hits/EB/energy", 5), "columns of different length"),
    "fewer offsets": (resized("hits/EB/offsets", 30), "expected int64"),
    "an unknown channel": (lambda file: file.move("hits/EB", "hits/ZDC"), "no such channel"),
    "no offsets": (lambda file: file.pop("hits/EB/offsets"), "no hits/EB/offsets"),
    "another attribute": (
        lambda f: write_attribute(f, "origin", "x"),
        "checksum they were written",
    ),
    "a text without checksum": (lambda f: f.attrs.update(x="y"), "neither a text of fixed length"),
}


@pytest.mark.parametrize("name", STRUCTURE)
def test_structure(name: str, store: Path, tmp_path: Path) -> None:
    change, message = STRUCTURE[name]
    path = tmp_path / "changed.h5"
    shutil.copy(store, path)
    with h5py.File(path, "r+") as file:
        change(file)
        if "attribute" not in name and "text without" not in name:
            write_attribute(file, ATTRIBUTES_CHECKSUM, attributes_checksum(file))
    with pytest.raises(InputError, match=message) as caught:
        EventStore(path)
    assert str(path) in str(caught.value)


def changed_values(name: str, position: int, value: float) -> Change:
    def change(file: h5py.File) -> None:
        file[name][position] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed_values("hits/EB/offsets", 0, 1), "offsets begin at 1"),
        (changed_values("hits/EB/offsets", 5, 1 << 40), "offsets fall"),
        (changed_values("hits/EB/offsets", 5, -1), "offsets fall"),
        (changed_values("hits/EB/offsets", 30, 1 << 40), "its columns at"),
        (changed_values("hits/EB/cell", 3, 61200), "cell 61200 of 61200"),
        (changed_values("hits/EB/energy", 3, np.nan), "not a number"),
    ],
)
def test_content(change: Change, message: str, store: Path, tmp_path: Path) -> None:
    path = tmp_path / "changed.h5"
    shutil.copy(store, path)
    with h5py.File(path, "r+") as file:
        change(file)
    with EventStore(path) as opened, pytest.raises(InputError, match=message):
        verify(opened)


def test_a_whole_store_passes(store: Path) -> None:
    with EventStore(store) as opened:
        verify(opened)


def test_flipped_bits_in_texts_of_attributes_are_noticed(store: Path, tmp_path: Path) -> None:
    """HDF5 keeps texts where it has no checksums."""
    content = store.read_bytes()
    position = content.index(b"e2e-event-store") - 20
    path = tmp_path / "flipped.h5"
    for shift in range(60):
        damaged = bytearray(content)
        damaged[position + shift] ^= 1
        path.write_bytes(damaged)
        try:
            with EventStore(path) as opened, EventStore(store) as whole:
                assert opened.attrs == whole.attrs
        except InputError:
            continue
