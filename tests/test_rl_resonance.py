"""Samples of pairs: photons of simulated events in memory, files, and the stage that makes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from common.config import build
from common.errors import ConfigError, InputError
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
from rl.resonance import making, stage
from rl.resonance.config import ResonanceConfig
from rl.resonance.making import MIN_PT
from rl.resonance.samples import (
    GUN,
    HIGGS,
    ZEE,
    PairSample,
    join,
    read_attributes,
    read_pairs,
    write_pairs,
)
from tests.toy_electrons import write_lists


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


@pytest.fixture(scope="module")
def toy_lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lists(tmp_path_factory.mktemp("toy"), 400)


def _config(lists: Path, output: Path, **changes: object) -> ResonanceConfig:
    settings = {
        "output": output,
        "lists": lists,
        "detectors": {"nominal": {"zee": 60, "higgs": 30, "gun": 20}, "strong_0": {"zee": 60}},
        "nominal_lists": 120,
        "pileup": 5.0,
    }
    return build(ResonanceConfig, {**settings, **changes})


@pytest.fixture(scope="module")
def run_folder(toy_lists: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The stage run once, with parts of 80 events."""
    output = tmp_path_factory.mktemp("samples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "CHUNK", 40)
        patch.setattr(making, "CHUNKS_PER_PART", 2)
        stage.run(_config(toy_lists, output))
        yield output


def test_the_stage_makes_samples_of_every_detector(run_folder: Path) -> None:
    nominal = read_pairs(run_folder / "nominal" / "zee.h5")
    strong = read_pairs(run_folder / "strong_0" / "zee.h5")
    for sample in (nominal, strong):
        assert len(sample) == 60
        assert (sample.kind == ZEE).all()
        assert (sample.photons.label == ZEE).all()
        mass = sample.masses(np.zeros((120, 3), np.float32))
        assert ((mass > 60) & (mass < 120)).all()
        assert np.isfinite(sample.true_mass).all()
        assert np.median(sample.true_mass) == pytest.approx(91.2, abs=0.6)
        # the field shifts electrons of either charge by up to a crystal, which a photon's mass has
        assert sample.photons.target is not None
        true = sample.masses(sample.photons.target)
        assert np.nanmedian(np.abs(true / sample.true_mass - 1)) < 0.01
        assert sample.photons.energy.min() > MIN_PT
    assert not set(nominal.photons.group) & set(strong.photons.group)
    gun = read_pairs(run_folder / "nominal" / "gun.h5")
    assert gun.photons.target is not None
    assert (gun.kind == GUN).all()
    assert np.isfinite(gun.photons.target).all()
    assert read_attributes(run_folder / "strong_0" / "zee.h5")["detector"]["material"] == 1.5
    for name in ("figures/masses.png", "figures/response_strong_0.png", "metrics.json", "run.json"):
        assert (run_folder / name).is_file()


def test_a_larger_sample_keeps_the_parts_of_a_smaller_one(
    run_folder: Path, toy_lists: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_pairs(run_folder / "strong_0" / "zee.h5")
    made: list[Chunk] = []

    def counted(chunk: Chunk) -> ChunkResult:
        made.append(chunk)
        return simulate_chunk(chunk)

    monkeypatch.setattr(making, "simulate_chunk", counted)
    config = _config(toy_lists, run_folder, detectors={"strong_0": {"zee": 75}})
    metrics = stage.run(config)
    after = read_pairs(run_folder / "strong_0" / "zee.h5")
    assert metrics["strong_0"]["zee"]["pairs"] == len(after) == 75
    np.testing.assert_array_equal(after.take(np.arange(60)).photons.crop, before.photons.crop)
    number_made = len(made)
    assert 0 < number_made <= 4
    stage.run(config)
    assert len(made) == number_made
    (run_folder / "strong_0" / "parts" / "zee_0000.h5").write_bytes(b"damaged")
    (run_folder / "strong_0" / "zee.h5").write_bytes(b"damaged too")
    stage.run(_config(toy_lists, run_folder, detectors={"strong_0": {"zee": 74}}))
    assert len(made) == number_made + 2


def test_lists_that_are_not_there_are_told(toy_lists: Path, tmp_path: Path) -> None:
    config = _config(toy_lists, tmp_path, detectors={"nominal": {"background": 5}})
    with pytest.raises(InputError, match="generate continuum"):
        stage.run(config)
    config = _config(toy_lists, tmp_path, nominal_lists=400, detectors={"weak_0": {"zee": 5}})
    with pytest.raises(InputError, match="all kept for the nominal"):
        stage.run(config)


def test_unknown_detectors_are_refused() -> None:
    with pytest.raises(ConfigError, match="no detector 'tilted'"):
        build(ResonanceConfig, {"detectors": {"tilted": {"zee": 5}}})
