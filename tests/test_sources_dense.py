"""Dense arrays of others: layouts, chunkings, names and damage that our own files do not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import EventBatch, concatenate_hits
from data.sources import ReadOptions, open_source
from data.sources import dense_blocks as blocks

JET = (125, 125, 3)


def sparse(shape: tuple[int, ...], seed: int = 0, share: float = 0.01) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.1, 50, shape) * (rng.random(shape) < share)
    return values.astype(np.float32)


def jets(n_jets: int, seed: int = 0) -> NDArray[np.float32]:
    """Images whose HCAL layer is upsampled."""
    images = sparse((n_jets, *JET), seed)
    towers = sparse((n_jets, 25, 25), seed + 1, 0.1)
    images[..., 2] = np.kron(towers, np.ones((1, 5, 5), np.float32))
    return images


def write_hdf5(path: Path, arrays: dict[str, Any], **options: Any) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, **(options if values.ndim > 1 else {}))
    return path


def read(path: Path, chunk: int = 4, **options: Any) -> tuple[Any, EventBatch | None, NDArray]:
    """The source, its first batch, and the images that the channel JET holds."""
    with open_source(path, ReadOptions(**options)) as source:
        batches = list(source.batches(0, source.n_events, chunk))
    hits = concatenate_hits([batch.hits["JET"] for batch in batches])
    images = np.zeros((len(hits), 3, 125 * 125), np.float32)
    images[hits.event, hits.cell // 15625, hits.cell % 15625] = hits.energy
    return source, batches[0], np.moveaxis(images, 1, 2).reshape(len(hits), *JET)


@given(
    n_jets=st.integers(1, 9),
    chunks=st.tuples(
        st.integers(1, 9), st.sampled_from([1, 7, 125]), st.sampled_from([5, 125]),
        st.integers(1, 3),
    ),
    most_bytes=st.sampled_from([1, 200_000, 64 << 20]),
    start=st.integers(0, 8), stop=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_any_chunking_in_any_blocks(
    n_jets: int,
    chunks: tuple[int, ...],
    most_bytes: int,
    start: int,
    stop: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("chunks") / "a.h5"
    images = sparse((n_jets, 14, 125, 3), 2)
    first, last = min(start, stop, n_jets), min(max(start, stop), n_jets)
    fitting = tuple(min(c, n) for c, n in zip(chunks, images.shape, strict=True))
    write_hdf5(path, {"a": images}, chunks=fitting)
    with h5py.File(path) as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MOST_BYTES", most_bytes)
        array = blocks.DenseArray("a.h5", file["a"])
        event, position, value = array.read(first, last)
        again = array.read(first, last)
    dense = np.zeros((last - first, 14 * 125 * 3), np.float32)
    dense[event, position] = value
    np.testing.assert_array_equal(dense, images[first:last].reshape(last - first, 14 * 125 * 3))
    assert (np.diff(event * 10**6 + position) > 0).all()
    np.testing.assert_array_equal(again.value, value)


def test_jets_of_the_public_set(tmp_path: Path) -> None:
    """`X_jets`, `m0`, `pt`, `y` as in the quark-gluon set: no event numbers."""
    images = jets(6)
    columns = {"m0": np.arange(6.0), "pt": np.arange(6) + 100.0, "y": np.arange(6.0) % 2}
    path = write_hdf5(tmp_path / "a.h5", {"X_jets": images, **columns}, chunks=(3, 5, 5, 1))
    source, batch, found = read(path)
    np.testing.assert_allclose(found, images, rtol=1e-6)
    assert source.origin == "simulation"
    assert source.channels == {"JET": ["cell", "energy"]}
    assert batch is not None
    assert batch.collections["objects/Jet"].columns["mass"].tolist() == [0, 1, 2, 3]
    assert batch.collections["truth/jets"].columns["label"].tolist() == [0, 1, 0, 1]
    assert (batch.label, batch.m0, batch.is_numbered) == (None, None, False)
    assert batch.event.tolist() == [0, 1, 2, 3]
    assert source.basket_edges == []  # one block holds all


def test_towers_that_were_repeated(tmp_path: Path) -> None:
    images = jets(3)
    path = write_hdf5(tmp_path / "a.h5", {"X_jets": images})
    _, _, found = read(path, hcal_upsampling="repeated")
    np.testing.assert_array_equal(found[..., :2], images[..., :2])
    np.testing.assert_allclose(found[..., 2], images[..., 2] / 25, rtol=1e-6)


@pytest.mark.parametrize(("convention", "expected"), [("conserving", 50.0), ("repeated", 2.0)])
def test_towers_of_a_barrel_image(convention: str, expected: float, tmp_path: Path) -> None:
    """A tower is the sum or the mean of its 25 crystals; uneven ones are counted."""
    image = np.zeros((2, 170, 360, 3), np.float32)
    image[0, 5:10, 355:360, 2] = 2.0
    image[1, 0:5, 0:5, 2] = 2.0
    image[1, 0, 0, 2] = 3.0
    path = write_hdf5(tmp_path / "a.h5", {"X_EB": image, "y": np.array([1, 9])})
    with open_source(path, ReadOptions(hcal_upsampling=convention)) as source:  # type: ignore[arg-type]
        (batch,) = source.batches(0, 2, 10)
        warnings = dict(source.warnings)
    towers = batch.hits["HBHE"]
    assert towers.cell.tolist() == [12 * 72 + 71, 11 * 72]
    np.testing.assert_allclose(towers.energy, [expected, expected + (1 if expected > 2 else 0.04)])
    assert warnings["HBHE: towers whose 25 crystals are not equal"] == 1
    assert warnings["y: values that are no class of the store, taken as unknown"] == 1
    assert batch.label is not None
    assert batch.label.tolist() == [1, -1]


def test_fewer_layers(tmp_path: Path) -> None:
    """Converters wrote X_EB without towers, and endcaps of energy alone."""
    barrel, endcap = sparse((2, 170, 360, 2)), np.zeros((2, 100, 100, 1), np.float32)
    endcap[1, 50, 20, 0] = 4.0
    path = write_hdf5(tmp_path / "a.h5", {"X_EB": barrel, "X_EEm": endcap, "X_EEp": endcap})
    with open_source(path) as source:
        (batch,) = source.batches(0, 2, 10)
        assert source.missing == ("HBHE", "photons")
    assert batch.hits["EE"].cell.tolist() == [5020, 15020]
    np.testing.assert_allclose(batch.hits["EB"].energy.sum(), barrel[..., 1].sum(), rtol=1e-5)
    np.testing.assert_allclose(batch.hits["TRK"].energy.sum(), barrel[..., 0].sum(), rtol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.zeros((3, 32, 32, 2))}, r"HDF5 without any of X_ECAL_stacked.*it holds X"),
        ({"X_jets": np.zeros((3, 125, 125, 8), np.float32)}, r"X_jets: shape \(3, 125, 125, 8\)"),
        ({"X_jets": np.zeros((3, 3, 125, 125), np.float32)}, r"expected \(N,\) \+ \(125, 125, 3\)"),
        ({"X_EB": np.zeros((2, 170, 360, 1)), "X_EEm": np.zeros((3, 100, 100, 1))}, "X_EEm has 3"),
        ({"X_jets": np.zeros((2, *JET)), "y": np.zeros(3)}, r"y: shape \(3,\), expected one"),
        ({"X_jets": np.full((2, *JET), np.nan)}, r"X_jets, entry 0: energy nan"),
        ({"X_jets": np.full((2, *JET), -1.0)}, r"X_jets, entry 0: value -1 GeV where none"),
    ],
)  # fmt: skip
def test_other_arrays_are_refused(arrays: dict[str, NDArray], message: str, tmp_path: Path) -> None:
    path = write_hdf5(tmp_path / "a.h5", arrays)
    with pytest.raises(InputError, match=message):
        read(path)


def test_event_numbers(tmp_path: Path) -> None:
    """Numbers written as floats are taken, rounded ones counted, impossible ones refused."""
    number = np.array([5, 2**24 + 4], np.float32)
    ids = {"jetRunId": np.array([1.0, 194533.0]), "jetEventId": number}
    path = write_hdf5(tmp_path / "a.h5", {"X_jets": jets(2), **ids, "y_jets": np.ones(2)})
    with open_source(path) as source:
        (batch,) = source.batches(0, 2, 10)
        warnings = dict(source.warnings)
    assert (batch.run.tolist(), batch.lumi.tolist()) == ([1, 194533], [0, 0])
    assert batch.event.tolist() == [5, 2**24 + 4]
    assert batch.is_numbered
    assert warnings == {"events whose number is rounded: written as a 32-bit float": 1}
    ids["jetRunId"][1] = -3
    path = write_hdf5(tmp_path / "b.h5", {"X_jets": jets(2), **ids})
    with pytest.raises(InputError, match="run -3; expected 1 to"):
        read(path)


def test_datasets_elsewhere_are_refused(tmp_path: Path) -> None:
    """A file that leads to other files, or claims more than it holds, is not read."""
    other = write_hdf5(tmp_path / "other.h5", {"X_jets": jets(2)})
    layout = h5py.VirtualLayout((2, *JET), dtype="f4")
    layout[:] = h5py.VirtualSource(other, "X_jets", (2, *JET))
    path = tmp_path / "a.h5"

    def refuse(message: str) -> None:
        with pytest.raises(InputError, match=message):
            open_source(path)

    for target in (h5py.ExternalLink(other.name, "X_jets"), h5py.SoftLink("/nowhere")):
        with h5py.File(path, "w") as file:
            file["X_jets"] = target
        refuse("X_jets|without any of")
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("X_jets", layout)
    refuse("X_jets does not hold numbers in this file")
    with h5py.File(path, "w") as file:
        file.create_group("X_jets")
    refuse("X_jets is not a dataset")
    for chunks in (None, (1, *JET)):
        with h5py.File(path, "w") as file:
            file.create_dataset("X_jets", (10**9, *JET), "f4", chunks=chunks)
        refuse("is not wholly in the file")


def test_chunks_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """A damaged index of chunks, which HDF5 itself may follow into a crash."""
    path = write_hdf5(tmp_path / "a.h5", {"X_jets": jets(3)}, chunks=(1, *JET))
    with h5py.File(path) as file:
        second = file["X_jets"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    at = content.find(second.byte_offset.to_bytes(8, "little"))
    content[at - 40 : at + 8] = bytes(48)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"X_jets"):
        read(path)


def test_what_a_file_says_of_its_towers(tmp_path: Path) -> None:
    """It counts for more than the setting, and must be one of the two conventions."""
    images = jets(2)
    path = write_hdf5(tmp_path / "a.h5", {"X_jets": images})
    with h5py.File(path, "r+") as file:
        file.attrs["hcal_upsampling"] = np.bytes_("repeated")
    _, _, found = read(path, hcal_upsampling="conserving")
    np.testing.assert_allclose(found[..., 2], images[..., 2] / 25, rtol=1e-6)
    with h5py.File(path, "r+") as file:
        file.attrs["hcal_upsampling"] = np.bytes_("shared")
    with pytest.raises(InputError, match="'shared'; expected conserving or repeated"):
        open_source(path)


def test_damaged_chunks_are_refused(tmp_path: Path) -> None:
    path = write_hdf5(
        tmp_path / "a.h5", {"X_jets": jets(4)}, chunks=(1, *JET), fletcher32=True,
        compression="gzip",
    )  # fmt: skip
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"dataset X_jets, entries 0:4: cannot be read"):
        read(path)


def write_parquet(
    path: Path, images: NDArray, name: str, row_group: int, **columns: NDArray
) -> Path:
    values = {name: pa.array(images.tolist())} | {k: pa.array(v) for k, v in columns.items()}
    pq.write_table(pa.table(values), path, row_group_size=row_group)
    return path


@pytest.mark.parametrize("layers_first", [True, False])
@pytest.mark.parametrize(("name", "row_group"), [("X_jet", 1), ("X_jets", 100)])
def test_parquet_layouts(layers_first: bool, name: str, row_group: int, tmp_path: Path) -> None:
    """A row group per jet with the layers first, as converters write them, or else."""
    images = jets(5)
    lists = np.moveaxis(images, 3, 1) if layers_first else images
    path = write_parquet(
        tmp_path / "a.parquet", lists, name, row_group, pt=np.arange(5.0), m0=np.arange(5.0),
        y=np.array([1.0, 0, 1, 0, 1]), iphi=np.full(5, 40.0), ieta=np.full(5, 20.0),
    )  # fmt: skip
    source, batch, found = read(path, chunk=2)
    np.testing.assert_allclose(found, images, rtol=1e-6)
    assert source.basket_edges == (list(range(1, 5)) if row_group == 1 else [])
    assert batch is not None
    assert batch.collections["objects/Jet"].columns["seed_row"].tolist() == [20, 20]
    assert batch.collections["truth/jets"].columns["label"].tolist() == [1, 0]
    with open_source(path) as again:
        parts = list(again.batches(1, 4, 2))
    assert np.concatenate([part.event for part in parts]).tolist() == [1, 2, 3]
    kept = concatenate_hits([part.hits["JET"] for part in parts])
    assert len(kept.cell) == (images[1:4] > 0).sum()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 8, 125, 125)), r"shape \(8, 125, 125\), expected \(3, 125, 125\)"),
        (np.zeros((2, 3, 5)), "lists nested thrice"),
        (np.zeros(2), "lists nested thrice"),
    ],
)
def test_other_lists_are_refused(images: NDArray, message: str, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", images, "X_jets", 10)
    with pytest.raises(InputError, match=message):
        read(path)


def test_other_parquet_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"pt": pa.array([1.0])}), path)
    with pytest.raises(InputError, match=r"without a column X_jets or X_jet; it holds: pt"):
        open_source(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="not a readable Parquet file"):
        open_source(path)


def test_ragged_lists_are_refused(tmp_path: Path) -> None:
    image = np.zeros((3, 125, 125)).tolist()
    image[1][3].pop()
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"X_jets": pa.array([image])}), path)
    with pytest.raises(InputError, match="lists of unequal lengths"):
        read(path)
