"""The simulate stage: files, their content, resuming, and independence of the workers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from common.errors import InputError
from data.detector.geometry import detector_eta, eb_uv
from data.reconstruction import find_photons
from data.simulation import chunks, files
from data.simulation.chunks import Chunk, simulate_chunk
from data.simulation.config import SimulateConfig
from data.simulation.merit import peak
from data.simulation.particles import read, write
from data.simulation.stage import run
from data.simulation.writer import pair_columns, read_provenance
from data.sources import open_source

FILES = ("diphoton_000", "gamma_jet_000", "gun_000", "gun_001", "higgs_000")


@pytest.fixture(autouse=True, scope="module")
def short_files() -> Iterator[None]:
    """Files of one chunk of 40 events, so that 50 events fill two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 40)
        patch.setattr(files, "CHUNKS_PER_FILE", 1)
        yield


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of particle lists, so that the stage starts quickly."""
    from data.simulation.config import SHIPPED_LISTS

    folder = tmp_path_factory.mktemp("lists")
    for process, n in (("higgs", 40), ("diphoton", 30), ("gamma_jet", 30), ("minimum_bias", 100)):
        some = read(SHIPPED_LISTS / f"{process}_0.npz.xz").take(np.arange(n))
        write(folder / f"{process}_0.npz.xz", some)
    return folder


def configuration(output: Path, lists: Path, **changes: object) -> SimulateConfig:
    return SimulateConfig(
        **{
            "output": output,
            "lists": lists,
            "events": {"gun": 50},
            "keep_all": True,
            "pileup": 5.0,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, lists: Path) -> Path:
    """All processes simulated by one process."""
    folder = tmp_path_factory.mktemp("sample")
    metrics = run(configuration(folder, lists))
    assert {p: m["simulated"] for p, m in metrics.items()} == {
        "higgs": 40, "diphoton": 30, "gamma_jet": 30, "gun": 50,
    }  # fmt: skip
    return folder


def test_trees_have_the_ntuples_branches(sample: Path) -> None:
    with uproot.open(sample / "higgs_000.root") as file:
        tree, truth = file["fevt/RHTree"], file["fevt/Truth"]
        shapes = {
            "EB_energy": 61200,
            "EB_time": 61200,
            "EEm_energy": 10000,
            "EEp_energy": 10000,
            "HBHE_energy": 4032,
            "HBHE_energy_EB": 2448,
            "ECAL_tracksPt": 100800,
            "FC_inputs": 5,
        }
        for name, size in shapes.items():
            array = tree[name].array(library="np")
            assert array.shape == (40, size)
            assert array.dtype == np.dtype("f4") or array.dtype == np.dtype(">f4")
        for name in ("eventId", "runId", "lumiId", "m0", "diPhoE", "diPhoPt", "vertex_z", "nVtx"):
            assert tree[name].array(library="np").shape == (40,)
        assert tree["eventId"].array().type.content.primitive == "uint64"
        assert tree["pho_seed"].array().type.content.content.primitive == "int32"
        assert tree["pho_hasPixelSeed"].array().type.content.content.primitive == "bool"
        assert truth.num_entries == 40
        assert set(truth["process"].array(library="np")) == {1}
        assert truth["gen_converted"].array().type.content.content.primitive == "bool"
        towers = tree["HBHE_energy"].array(library="np").reshape(-1, 56, 72)
        barrel = tree["HBHE_energy_EB"].array(library="np").reshape(-1, 34, 72)
        np.testing.assert_array_equal(towers[:, 11:45], barrel)


def test_written_photons_are_the_standard_reconstruction_of_the_written_hits(sample: Path) -> None:
    with open_source(sample / "higgs_000.root") as source:
        assert source.origin == "simulation"
        batch = next(source.batches(0, 40, 40))
    clusters = find_photons(batch.hits["EB"], batch.hits["HBHE"], batch.vertex_z)
    written = batch.photons
    np.testing.assert_allclose(ak.to_numpy(ak.flatten(written.pt)), clusters.pt, rtol=1e-5)
    np.testing.assert_allclose(ak.to_numpy(ak.flatten(written.r9)), clusters.r9, rtol=1e-5)
    assert (np.asarray(batch.m0) > 0).mean() > 0.9


def test_truth_is_consistent(sample: Path) -> None:
    with uproot.open(sample / "higgs_000.root") as file:
        truth = file["fevt/Truth"].arrays()
    assert np.median(truth.gen_mass) == pytest.approx(125.0, abs=0.1)
    z = ak.broadcast_arrays(truth.vertex_z, truth.gen_eta)[0]
    u, v = eb_uv(detector_eta(ak.flatten(truth.gen_eta), ak.flatten(z)), ak.flatten(truth.gen_phi))
    inside = (u > 0) & (u < 170)
    np.testing.assert_allclose(ak.flatten(truth.gen_u)[inside], u[inside], atol=1e-3)
    np.testing.assert_allclose(ak.flatten(truth.gen_v), v, atol=1e-3)


def contents(path: Path) -> dict[str, np.ndarray]:
    with uproot.open(path) as file:
        found = {}
        for tree in ("fevt/RHTree", "fevt/Truth"):
            for name, array in file[tree].arrays(library="ak", how=dict).items():
                flat = ak.flatten(array, axis=None) if array.ndim > 1 else array
                found[f"{tree}/{name}"] = ak.to_numpy(flat)
        return found


def test_files_do_not_depend_on_the_number_of_workers(
    sample: Path, lists: Path, tmp_path: Path
) -> None:
    run(configuration(tmp_path, lists, workers=2))
    for name in FILES:
        one, two = (contents(folder / f"{name}.root") for folder in (sample, tmp_path))
        assert one.keys() == two.keys()
        for key, values in one.items():
            np.testing.assert_array_equal(values, two[key], err_msg=f"{name} {key}")


def test_complete_files_are_kept_and_damaged_ones_made_again(sample: Path, lists: Path) -> None:
    before = {n: (sample / f"{n}.root").stat().st_mtime_ns for n in FILES}
    kept = contents(sample / "higgs_000.root")["fevt/RHTree/EB_energy"]
    damaged = sample / "higgs_000.root"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    run(configuration(sample, lists))
    after = {n: (sample / f"{n}.root").stat().st_mtime_ns for n in FILES}
    assert [n for n in FILES if before[n] != after[n]] == ["higgs_000"]
    np.testing.assert_array_equal(contents(damaged)["fevt/RHTree/EB_energy"], kept)


def test_a_larger_sample_keeps_complete_files_and_a_smaller_one_removes_them(
    sample: Path, lists: Path, tmp_path: Path
) -> None:
    def simulate(n: int) -> dict[str, int]:
        events = {"gun": n, "higgs": 0, "diphoton": 0, "gamma_jet": 0}
        metrics = run(configuration(tmp_path, lists, events=events))
        found = sorted(tmp_path.glob("*.root"))
        assert [f.name for f in found] == metrics["gun"]["files"]
        assert metrics["gun"]["simulated"] == n
        return {f.name: f.stat().st_mtime_ns for f in found}

    small, large = simulate(45), simulate(50)
    assert list(large) == ["gun_000.root", "gun_001.root"]
    assert small["gun_000.root"] == large["gun_000.root"]
    assert small["gun_001.root"] != large["gun_001.root"]
    for name in large:
        one, two = (contents(folder / name) for folder in (sample, tmp_path))
        np.testing.assert_array_equal(one["fevt/Truth/gen_pt"], two["fevt/Truth/gen_pt"])
    assert list(simulate(40)) == ["gun_000.root"]


def test_the_rate_is_told_for_what_was_simulated(lists: Path, tmp_path: Path) -> None:
    events = {"higgs": 20, "diphoton": 0, "gamma_jet": 0}
    first, again = (run(configuration(tmp_path, lists, events=events)) for _ in range(2))
    hours = first["higgs"]["hours_for_100000"]
    assert hours == pytest.approx(100_000 / first["higgs"]["events_per_second"] / 3600)
    assert again["higgs"]["events_per_second"] is None


def test_a_file_may_hold_no_event(lists: Path, tmp_path: Path) -> None:
    some = read(lists / "minimum_bias_0.npz.xz").take(np.arange(3))  # no photon above 15 GeV
    folder = tmp_path / "lists"
    folder.mkdir()
    write(folder / "minimum_bias_0.npz.xz", read(lists / "minimum_bias_0.npz.xz"))
    write(folder / "higgs_0.npz.xz", some)
    events = {"diphoton": 0, "gamma_jet": 0}
    metrics = run(configuration(tmp_path, folder, events=events, keep_all=False))
    assert (metrics["higgs"]["simulated"], metrics["higgs"]["written"]) == (3, 0)
    with open_source(tmp_path / "higgs_000.root") as source:
        assert source.n_events == 0
        assert source.has_truth


def test_another_seed_gives_other_events_and_provenance_tells(
    sample: Path, lists: Path, tmp_path: Path
) -> None:
    events = {"higgs": 20, "diphoton": 0, "gamma_jet": 0}
    run(configuration(tmp_path, lists, events=events, seed=2))
    assert [f.name for f in tmp_path.glob("*.root")] == ["higgs_000.root"]
    one, two = (contents(f / "higgs_000.root")["fevt/Truth/vertex_z"] for f in (sample, tmp_path))
    assert not np.isin(one, two).any()
    provenance = read_provenance(tmp_path / "higgs_000.root")
    assert provenance is not None
    assert provenance["origin"] == "simulation"
    assert provenance["seed"] == 2
    assert provenance["config"]["pileup"] == 5
    assert provenance["entries"] == [0, 20]
    assert provenance["generator"]["higgs"][0]["process"] == "higgs"
    assert (provenance["simulated"], provenance["written"]) == (20, 20)
    json.dumps(provenance)


def test_repeated_lists_keep_their_group_and_change_otherwise(lists: Path) -> None:
    chunk = Chunk("higgs", 0, 0, 80, 40, str(lists), 20.0, 1, True)
    events = simulate_chunk(chunk).events
    np.testing.assert_array_equal(events.group[:40], events.group[40:])
    first, again = (events.truth.pt[events.truth.event // 40 == k] for k in (0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(events.vertex_z[:40], events.vertex_z[40:])


def test_events_without_a_pair_are_dropped_by_default(lists: Path) -> None:
    everything = simulate_chunk(Chunk("gamma_jet", 0, 0, 30, 30, str(lists), 20.0, 1, True))
    pairs = simulate_chunk(Chunk("gamma_jet", 0, 0, 30, 30, str(lists), 20.0, 1, False))
    has_pair = pair_columns(everything.events)["m0"] > 0
    assert pairs.simulated == 30
    np.testing.assert_array_equal(pairs.numbers, np.flatnonzero(has_pair) + 1)
    assert len(pairs.events) == has_pair.sum()


def test_minimum_bias_is_the_shipped_one_where_a_folder_has_none(
    lists: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    write(folder / "higgs_7.npz.xz", read(lists / "higgs_0.npz.xz").take(np.arange(5)))
    run(configuration(tmp_path, folder, events={"diphoton": 0, "gamma_jet": 0}))
    provenance = read_provenance(tmp_path / "higgs_000.root")
    assert provenance is not None
    assert list(provenance["lists_sha256"]) == ["higgs_7.npz.xz", "minimum_bias_0.npz.xz"]


def test_missing_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="generate"):
        run(configuration(tmp_path / "out", tmp_path))


def test_the_higgs_peak_is_at_its_mass() -> None:
    from common.metrics import sigma_eff
    from data.simulation.config import SHIPPED_LISTS

    chunk = Chunk("higgs", 0, 0, 640, 5000, str(SHIPPED_LISTS), 20.0, 3, False)
    mass = pair_columns(simulate_chunk(chunk).events)["m0"].astype(np.float64)
    mass = mass[(mass > 100) & (mass < 150)]
    assert peak(mass) == pytest.approx(125.0, abs=0.6)
    assert sigma_eff(mass) < 5.5
