"""Samples of pairs: photons of simulated events in memory, files, and the stage that makes them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from common.errors import InputError
from data.config import PreprocessConfig
from data.preprocessing.stage import run as preprocess
from data.simulation.chunks import Chunk, ChunkResult, simulate_chunk
from data.simulation.config import SHIPPED_LISTS
from data.simulation.detector import SimulatedEvents
from data.simulation.hard_events import LABELS
from data.simulation.particles import read, write
from data.simulation.writer import RHTreeWriter
from data.store import EventStore
from envs.photons.gather import gather_photons
from envs.photons.simulated import photons_of
from rl.calibration.samples import (
    HIGGS,
    PairSample,
    join,
    read_attributes,
    read_pairs,
    write_pairs,
)


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few particle lists, so that the library of minimum bias is quick to simulate."""
    folder = tmp_path_factory.mktemp("lists")
    for process, n in (("higgs", 60), ("minimum_bias", 100)):
        some = read(SHIPPED_LISTS / f"{process}_0.npz.xz").take(np.arange(n))
        write(folder / f"{process}_0.npz.xz", some)
    return folder


@pytest.fixture(scope="module")
def made(lists: Path) -> ChunkResult:
    """Some H to two photons with two standard photons each."""
    return simulate_chunk(
        Chunk("higgs", 0, 0, 60, 60, str(lists), pileup=5.0, seed=3, keep_all=False)
    )


@pytest.fixture(scope="module")
def sample(made: ChunkResult) -> PairSample:
    events = made.events
    return _sample(events)


def _sample(events: SimulatedEvents) -> PairSample:
    photons = photons_of(events, LABELS["higgs"])
    n = len(photons) // 2
    z = events.vertex_z[photons.row[::2]]
    return join([PairSample(photons, z, np.full(n, HIGGS), np.full(n, 125.0))])


def test_events_in_memory_give_the_table_of_the_same_events_in_a_file(
    made: ChunkResult, tmp_path: Path
) -> None:
    with RHTreeWriter(tmp_path / "events.root", LABELS["higgs"]) as writer:
        writer.write(made.events, 1, made.numbers)
        writer.write_provenance({"origin": "simulation"})
    preprocess(
        PreprocessConfig(
            input=[tmp_path / "events.root"], output=tmp_path / "events.h5", selection="pair"
        )
    )
    with EventStore(tmp_path / "events.h5") as store:
        expected = gather_photons(store)
        vertex_z = store.vertex_z()
    found = photons_of(made.events, LABELS["higgs"])
    assert len(found) > 50
    assert found.columns().keys() == expected.columns().keys()
    for name, column in expected.columns().items():
        np.testing.assert_array_equal(getattr(found, name), column, err_msg=name)
        assert getattr(found, name).dtype == column.dtype, name
    np.testing.assert_allclose(made.events.vertex_z, vertex_z, rtol=1e-6)


def test_pairs_keep_their_order_and_masses_through_a_file(
    sample: PairSample, tmp_path: Path
) -> None:
    path = tmp_path / "higgs.h5"
    write_pairs(path, sample, {"detector": "nominal"})
    found = read_pairs(path)
    assert read_attributes(path) == {"detector": "nominal"}
    none = np.zeros((len(sample.photons), 3), np.float32)
    np.testing.assert_array_equal(found.masses(none), sample.masses(none))
    np.testing.assert_allclose(found.photons.crop, sample.photons.crop, rtol=2e-4)
    np.testing.assert_array_equal(found.photons.row, np.arange(2 * len(sample)) // 2)
    assert 110 < np.median(found.masses(none)) < 130
    scaled = none + np.array([0.01, 0, 0], np.float32)
    np.testing.assert_allclose(
        found.masses(scaled), found.masses(none) * np.exp(np.float32(0.01)), rtol=1e-6
    )


def test_the_true_correction_gives_the_true_mass(made: ChunkResult) -> None:
    sample = _sample(made.events)
    assert sample.photons.target is not None
    true = sample.masses(sample.photons.target)
    right = np.abs(made.events.vertex_z - made.events.true_z) < 0.01
    kept = right[photons_of(made.events, 1).row[::2]]
    assert np.nanmedian(np.abs(true[kept] - 125.0)) < 0.05


def test_chosen_pairs_are_numbered_anew(sample: PairSample) -> None:
    chosen = sample.take(np.array([4, 1]))
    none = np.zeros((4, 3), np.float32)
    expected = sample.masses(np.zeros((len(sample.photons), 3), np.float32))[[4, 1]]
    np.testing.assert_array_equal(chosen.masses(none), expected)
    np.testing.assert_array_equal(chosen.photons.row, [0, 0, 1, 1])
    both = join([chosen, sample])
    assert len(both) == 2 + len(sample)
    np.testing.assert_array_equal(both.photons.row, np.arange(2 * len(both)) // 2)


def test_other_files_are_refused(sample: PairSample, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a readable"):
        read_pairs(tmp_path / "absent.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not a sample of pairs"):
        read_pairs(tmp_path / "other.h5")
    path = tmp_path / "damaged.h5"
    write_pairs(path, sample, {})
    with h5py.File(path, "r+") as file:
        del file["vertex_z"]
    with pytest.raises(InputError, match="damaged"):
        read_pairs(path)
