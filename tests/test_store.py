"""The event store: what is written is read, and damage is noticed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from data.batch import Hits
from data.store import GROUPS, EventStore, StoreWriter
from tests.conftest import ROOT
from tests.synthetic import write_store

COLUMNS = {"EB": ["cell", "energy", "time"], "TRK": ["cell", "energy"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "events.h5", n_events=30)


def tables(n_events: int, seed: int, with_truth: bool = True) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    made: dict[str, dict[str, np.ndarray]] = {}
    for group, columns in GROUPS.items():
        if with_truth or not group.startswith("truth"):
            shape = (n_events, 2) if group in ("photons", "clusters", "truth/photons") else n_events
            made[group] = {n: rng.integers(0, 2, shape).astype(d) for n, d in columns.items()}
    return made


def hits(n_events: int, seed: int) -> Hits:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, n_events)
    event = np.repeat(np.arange(n_events), counts)
    n = len(event)
    return Hits.from_events(
        event, n_events, rng.integers(0, 61200, n), rng.uniform(0, 9, n), time=rng.uniform(0, 9, n)
    )


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 999))
@settings(max_examples=8, deadline=None)
def test_batches_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int
) -> None:
    path = tmp_path_factory.mktemp("round") / "a.h5"
    parts = [(tables(n, seed + i), hits(n, seed + i)) for i, n in enumerate(sizes)]
    with StoreWriter(path, COLUMNS, with_truth=True) as writer:
        for table, barrel in parts:
            writer.append(table, {"EB": barrel})
    with EventStore(path) as store:
        assert len(store) == sum(sizes)
        for getter, group in (
            (store.event, "event"),
            (store.photons, "photons"),
            (store.clusters, "clusters"),
            (store.truth, "truth/photons"),
            (store.truth_event, "truth"),
        ):
            for name in GROUPS[group]:
                expected = np.concatenate([table[group][name] for table, _ in parts])
                np.testing.assert_array_equal(getter(name), expected)
        found = store.hits("EB")
        np.testing.assert_array_equal(found.cell, np.concatenate([b.cell for _, b in parts]))
        np.testing.assert_array_equal(
            np.diff(found.offsets), np.concatenate([np.diff(b.offsets) for _, b in parts])
        )
        # A channel that no batch brought is there, without hits.
        assert len(store.hits("TRK").cell) == 0


@pytest.mark.parametrize(("start", "stop"), [(0, 30), (3, 9), (29, 40), (5, 5), (31, 40)])
def test_hits_of_a_range(store: Path, start: int, stop: int) -> None:
    with EventStore(store) as opened:
        everything, part = opened.hits("EB"), opened.hits("EB", start, stop)
    keep = np.arange(30)
    expected = everything.select((keep >= start) & (keep < stop))
    np.testing.assert_array_equal(part.offsets, expected.offsets)
    for name, column in expected.columns.items():
        np.testing.assert_array_equal(getattr(part, name), column)


def test_every_dataset_is_compressed_and_has_a_checksum(store: Path) -> None:
    found = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(name)
            assert item.fletcher32, name
            assert item.id.get_create_plist().get_nfilters() >= 2, name

    with h5py.File(store) as file:
        file.visititems(visit)
    assert len(found) > 30


def test_flipped_bytes_are_noticed(store: Path, tmp_path: Path) -> None:
    """In the data of any dataset: an InputError, never silently wrong numbers."""
    content = store.read_bytes()
    with h5py.File(store) as file:
        chunks = {
            name: file[name].id.get_chunk_info(0)
            for name in ("event/m_gg", "clusters/pt", "hits/EB/energy", "hits/EB/offsets",
                         "truth/photons/energy")
        }  # fmt: skip
    for name, chunk in chunks.items():
        for position in (0, chunk.size // 2, chunk.size - 1):
            damaged = bytearray(content)
            damaged[chunk.byte_offset + position] ^= 0x04
            path = tmp_path / "damaged.h5"
            path.write_bytes(damaged)
            with EventStore(path) as opened:
                read = {
                    "event/m_gg": lambda o=opened: o.event("m_gg"),
                    "clusters/pt": lambda o=opened: o.clusters("pt"),
                    "truth/photons/energy": lambda o=opened: o.truth("energy"),
                }.get(name, lambda o=opened: o.hits("EB"))
                with pytest.raises(InputError, match="damaged") as caught:
                    read()
            assert str(path) in str(caught.value)
            assert name.rsplit("/", 1)[0] in str(caught.value)


def test_no_flipped_byte_anywhere_gives_other_numbers(store: Path, tmp_path: Path) -> None:
    """In the data or in HDF5's own structures."""

    def everything(path: Path) -> list[bytes]:
        with EventStore(path) as opened:
            found = [str(opened.attrs).encode()]
            for group, columns in GROUPS.items():
                found += [opened.column(f"{group}/{name}").tobytes() for name in columns]
            for channel in opened.channels:
                found += [c.tobytes() for c in opened.hits(channel).columns.values()]
        return found

    content, expected = store.read_bytes(), everything(store)
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(0, len(content), 60):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(0, 8))
        path = tmp_path / "damaged.h5"
        path.write_bytes(damaged)
        try:
            found = everything(path)
        except InputError:
            refused += 1
            continue
        assert found == expected
    assert refused > 30


def test_truncated_stores_are_refused(store: Path, tmp_path: Path) -> None:
    content = store.read_bytes()
    for size in (0, 10, 500, len(content) // 2, len(content) - 1):
        path = tmp_path / f"{size}.h5"
        path.write_bytes(content[:size])
        with pytest.raises(InputError):
            EventStore(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        EventStore(tmp_path / "absent.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not an event store"):
        EventStore(tmp_path / "other.h5")


def test_another_schema_version_is_refused(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    path.write_bytes(store.read_bytes())
    with h5py.File(path, "a") as file:
        file.attrs["schema_version"] = 0
    with pytest.raises(InputError, match="schema version 0"):
        EventStore(path)


def test_the_documented_examples_run(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "event_store.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 2
    shutil.copy(store, tmp_path / "events.h5")
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, "docs/event_store.md", "exec"), {})


def test_every_dataset_is_documented(store: Path) -> None:
    text = (ROOT / "docs" / "event_store.md").read_text(encoding="utf-8")
    for columns in GROUPS.values():
        for name in columns:
            assert f"`{name}`" in text or f"/{name}`" in text, name


def test_missing_datasets_are_named(store: Path) -> None:
    with EventStore(store) as opened:
        with pytest.raises(InputError, match="no dataset event/mass"):
            opened.event("mass")
        with pytest.raises(InputError, match="no ES hits"):
            opened.hits("ES")
