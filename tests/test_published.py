"""Event stores to the papers' dense arrays and back: the same hits, in either convention."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from common.errors import ConfigError, InputError
from data.batch import Collection, Hits
from data.config import ExportConfig
from data.detector.geometry import EE_VALID
from data.detector.images import make_image
from data.export import stage as export
from data.export.arrays import write_hdf5, write_parquet
from data.sources import ReadOptions, Source, open_source
from data.store import EventStore, StoreWriter
from data.store.schema import GROUPS, PAIR_GROUPS, unknown

N_CELLS = {"EB": 61200, "EE": 20000, "HBHE": 4032, "TRK": 100800}
EVENT_ARRAYS = ("X_EB", "X_EEm", "X_EEp", "X_ECAL_stacked")


def random_hits(rng: np.random.Generator, cells: NDArray, n_events: int, mean: float) -> Hits:
    """Distinct cells in every event, in rising order as the readers give them."""
    parts = [np.sort(rng.choice(cells, min(rng.poisson(mean), len(cells)), replace=False))
             for _ in range(n_events)]  # fmt: skip
    event = np.repeat(np.arange(n_events), [len(part) for part in parts])
    cell = np.concatenate(parts)
    return Hits.from_events(event, n_events, cell, rng.uniform(0.1, 300, len(cell)))


def make_hits(seed: int, n_events: int) -> dict[str, Hits]:
    rng = np.random.default_rng(seed)
    cells = {name: np.arange(n) for name, n in N_CELLS.items()}
    cells["EE"] = np.flatnonzero(np.stack([EE_VALID, EE_VALID]).ravel())
    hits = {name: random_hits(rng, cells[name], n_events, 30) for name in N_CELLS}
    tracks = hits["TRK"]
    rows = len(tracks.cell)
    tracks.eta, tracks.phi = (rng.uniform(-2, 2, rows).astype("f4") for _ in range(2))
    return hits


def write_store(
    path: Path, hits: dict[str, Hits], collections: dict[str, Collection] | None = None
) -> Path:
    n_events = len(next(iter(hits.values())))
    tables = {
        group: {
            name: unknown((n_events, 2) if group in PAIR_GROUPS else (n_events,), dtype)
            for name, dtype in columns.items()
        }
        for group, columns in GROUPS.items()
        if not group.startswith("truth")
    }
    numbers = np.arange(n_events)
    tables["event"] |= {"run": numbers // 3 + 1, "lumi": numbers, "event": numbers + 2**40,
                        "label": numbers % 3, "m_gg": numbers + 100.0}  # fmt: skip
    channels = {name: list(found.columns) for name, found in hits.items()}
    types = {
        place: {name: column.dtype.str[1:] for name, column in rows.columns.items()}
        for place, rows in (collections or {}).items()
    }
    with StoreWriter(path, channels, False, types) as writer:
        writer.append(tables, hits, collections)
        writer.set_attributes({"origin": "simulation"})
    return path


def read(path: Path, chunk: int = 2, options: ReadOptions | None = None) -> tuple[Source, list]:
    with open_source(path, options or ReadOptions()) as source:
        batches = list(source.batches(0, source.n_events, chunk))
    return source, batches


def same(found: list[Hits], expected: Hits) -> None:
    """The same cells and, to rounding, energies of every event."""
    counts = np.concatenate([np.diff(hits.offsets) for hits in found])
    np.testing.assert_array_equal(counts, np.diff(expected.offsets))
    np.testing.assert_array_equal(np.concatenate([hits.cell for hits in found]), expected.cell)
    energy = np.concatenate([hits.energy for hits in found])
    np.testing.assert_allclose(energy, expected.energy, rtol=1e-6)


def inside(hits: Hits, low: int, high: int) -> Hits:
    """Hits with low <= cell < high."""
    keep = (hits.cell >= low) & (hits.cell < high)
    return Hits.from_events(hits.event[keep], len(hits), hits.cell[keep], hits.energy[keep])


@pytest.mark.parametrize("convention", ["conserving", "repeated"])
@given(seed=st.integers(0, 10**6), n_events=st.integers(1, 4))
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whole_detector_and_back(convention: str, seed: int, n_events: int, tmp_path: Path) -> None:
    hits = make_hits(seed, n_events)
    with EventStore(write_store(tmp_path / "store.h5", hits)) as store:
        path = write_hdf5(store, EVENT_ARRAYS, tmp_path / "dense.h5", convention)
    source, batches = read(path)
    assert (source.format, source.missing) == ("dense_hdf5", ("photons",))
    assert not source.warnings
    for channel in ("EB", "EE", "HBHE", "TRK"):
        same([batch.hits[channel] for batch in batches], hits[channel])
    event = np.concatenate([batch.event for batch in batches])
    np.testing.assert_array_equal(event, np.arange(n_events) + 2**40)
    label = np.concatenate([batch.label for batch in batches])
    np.testing.assert_array_equal(label, np.arange(n_events) % 3)
    m0 = np.concatenate([batch.m0 for batch in batches])
    np.testing.assert_array_equal(m0, np.arange(n_events) + 100)


@pytest.mark.parametrize("convention", ["conserving", "repeated"])
def test_barrel_alone(convention: str, tmp_path: Path) -> None:
    """X_EB has the barrel's crystals, its tracks, and the towers with |ieta| <= 17."""
    hits = make_hits(1, 3)
    with EventStore(write_store(tmp_path / "store.h5", hits)) as store:
        path = write_hdf5(store, ["X_EB"], tmp_path / "dense.h5", convention)
    with h5py.File(path) as file:
        assert file["X_EB"].shape == (3, 170, 360, 3)
        assert file.attrs["hcal_upsampling"].decode() == convention
        assert json.loads(file["X_EB"].attrs["layers"])[1] == "EB_energy"
        towers = file["X_EB"][..., 2].sum(axis=(1, 2))
    expected = inside(hits["HBHE"], 11 * 72, 45 * 72)
    factor = 25 if convention == "repeated" else 1
    sums = np.bincount(expected.event, expected.energy, 3)
    np.testing.assert_allclose(towers, factor * sums, rtol=1e-5)
    source, batches = read(path)
    assert source.missing == ("EE", "photons")
    same([batch.hits["EB"] for batch in batches], hits["EB"])
    same([batch.hits["HBHE"] for batch in batches], expected)
    same([b.hits["TRK"] for b in batches], inside(hits["TRK"], 55 * 360, 225 * 360))


def test_plain_images(tmp_path: Path) -> None:
    hits = make_hits(4, 2)
    with EventStore(write_store(tmp_path / "store.h5", hits)) as store:
        path = write_hdf5(store, ["EB_energy", "HBHE_energy"], tmp_path / "dense.h5")
        expected = make_image("HBHE_energy", {"HBHE": store.hits("HBHE")})
    with h5py.File(path) as file:
        assert file["EB_energy"].shape == (2, 170, 360)
        np.testing.assert_array_equal(file["HBHE_energy"][:], expected)


def test_stitched_alone_has_no_endcap_crystals(tmp_path: Path) -> None:
    hits = make_hits(2, 2)
    with EventStore(write_store(tmp_path / "store.h5", hits)) as store:
        path = write_hdf5(store, ["X_ECAL_stacked"], tmp_path / "dense.h5")
    source, batches = read(path)
    assert source.missing == ("EE", "photons")
    for channel in ("EB", "HBHE", "TRK"):
        same([batch.hits[channel] for batch in batches], hits[channel])


def jets_of(n_events: int) -> dict[str, Collection]:
    """Two jets an event, the second of event 0 too near to the end for a window."""
    rng = np.random.default_rng(5)
    n_jets = 2 * n_events
    row = rng.integers(12, 44, n_jets)
    row[1] = 3
    offsets = np.arange(n_events + 1) * 2
    jets = {
        "pt": np.linspace(70, 200, n_jets).astype("f4"), "mass": np.full(n_jets, 9, "f4"),
        "seed_row": row.astype("i2"), "seed_column": rng.integers(0, 72, n_jets).astype("i2"),
    }  # fmt: skip
    truth = {"label": (np.arange(n_jets) % 2).astype("i4")}
    return {"objects/Jet": Collection(offsets, jets), "truth/jets": Collection(offsets, truth)}


@pytest.fixture(scope="module")
def jet_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jets") / "store.h5"
    return write_store(path, make_hits(3, 4), jets_of(4))


@pytest.mark.parametrize("convention", ["conserving", "repeated"])
@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_jets_and_back(suffix: str, convention: str, jet_store: Path, tmp_path: Path) -> None:
    """Cut out, imported, and written again: the same images."""
    path, again = tmp_path / f"jets{suffix}", tmp_path / "again.h5"
    with EventStore(jet_store) as store:
        if suffix == ".h5":
            write_hdf5(store, ["X_jets"], path, convention)
        else:
            write_parquet(store, path, convention)
    source, batches = read(path, chunk=3)
    assert source.missing == ("EB", "EE", "HBHE", "TRK", "photons")
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert all(batch.is_numbered for batch in batches)
    expected = jets_of(4)
    kept = np.delete(np.arange(8), 1)
    rows = {
        (place, name): np.concatenate([b.collections[place].columns[name] for b in batches])
        for place, columns in source.collections.items()
        for name in columns
    }
    for (place, name), values in rows.items():
        np.testing.assert_array_equal(values, expected[place].columns[name][kept])
    assert ("truth/jets", "label") in rows
    event = np.concatenate([batch.event for batch in batches])
    np.testing.assert_array_equal(event - 2**40, kept // 2)
    jets = {"JET": _joined([batch.hits["JET"] for batch in batches])}
    with EventStore(write_store(tmp_path / "imported.h5", jets)) as store:
        write_hdf5(store, ["X_jets"], again, "conserving")
    with EventStore(jet_store) as store:
        write_hdf5(store, ["X_jets"], tmp_path / "first.h5", "conserving")
    with h5py.File(again) as a, h5py.File(tmp_path / "first.h5") as b:
        np.testing.assert_allclose(a["X_jets"][:], b["X_jets"][:], rtol=1e-6)
        assert b["X_jets"][:].max() > 0


def _joined(parts: list[Hits]) -> Hits:
    counts = np.concatenate([np.diff(part.offsets) for part in parts])
    event = np.repeat(np.arange(len(counts)), counts)
    cell, energy = (np.concatenate([getattr(p, n) for p in parts]) for n in ("cell", "energy"))
    return Hits.from_events(event, len(counts), cell, energy)


def test_soft_jets_are_left_out_on_request(jet_store: Path, tmp_path: Path) -> None:
    with EventStore(jet_store) as store:
        write_hdf5(store, ["X_jets"], tmp_path / "a.h5", min_jet_pt=150)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["pt"][:].min() >= 150
        assert len(file["X_jets"]) == len(file["pt"]) == len(file["y"]) == 3


def test_the_same_store_gives_the_same_bytes(jet_store: Path, tmp_path: Path) -> None:
    contents = []
    for name in "ab":
        with EventStore(jet_store) as store:
            first = write_hdf5(store, ["X_jets"], tmp_path / f"{name}.h5")
            second = write_parquet(store, tmp_path / f"{name}.parquet")
        contents.append((first.read_bytes(), second.read_bytes()))
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("name", "images", "message"),
    [
        ("a.npz", ["X_jets"], "X_jets goes to a file .h5 or .parquet"),
        ("a.parquet", ["X_EB"], "holds X_jets and nothing else"),
        ("a.csv", ["X_EB"], "suffix must be"),
    ],
)
def test_the_suffix_says_the_format(
    name: str, images: list[str], message: str, jet_store: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        export.run(ExportConfig(store=jet_store, images=images, output=tmp_path / name))
    path = tmp_path / "a.hdf5"
    export.run(ExportConfig(store=jet_store, images=["X_jets"], output=path, min_jet_pt=100))
    with h5py.File(path) as file:
        assert file["pt"][:].min() >= 100


def test_what_cannot_be_written_is_said(jet_store: Path, tmp_path: Path) -> None:
    barrel = {"EB": make_hits(0, 2)["EB"]}
    without = write_store(tmp_path / "store.h5", barrel)
    output = tmp_path / "out.h5"
    with EventStore(jet_store) as store:
        with pytest.raises(ConfigError, match="unknown image 'X_HB'"):
            write_hdf5(store, ["X_HB"], output)
        with pytest.raises(ConfigError, match="a file of its own"):
            write_hdf5(store, ["X_jets", "X_EB"], output)
    with EventStore(without) as store:
        with pytest.raises(InputError, match="TracksPt_EB needs TRK hits"):
            write_hdf5(store, ["X_EB"], output)
        with pytest.raises(InputError, match="no jets"):
            write_parquet(store, tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.h5"]
