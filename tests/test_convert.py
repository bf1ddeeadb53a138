"""Preprocessing: the store's content, resuming, failing files, same bytes from every executor."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from common.files import sha256
from data.config import PreprocessConfig
from data.preprocessing import shards
from data.preprocessing.merge import Merger
from data.preprocessing.shards import Job
from data.preprocessing.stage import PartialFailure, Summary, run
from data.store import EventStore
from tests.conftest import ROOT
from tests.made_files import (
    event_auxiliary,
    ig_event,
    make_events,
    write_aod,
    write_ig,
    write_rhtree,
)

N_EVENTS = 11


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_EVENTS", 4)
    # Another revision makes other shards; a commit between two runs of a test must not.
    for module in ("data.preprocessing.stage", "data.preprocessing.plan"):
        monkeypatch.setattr(f"{module}.git_revision", lambda: "fixed")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    events = make_events(N_EVENTS)
    texts = [json.dumps(ig_event(events, i)) for i in range(N_EVENTS)]
    return {
        "simulated": write_rhtree(folder / "simulated.root", events, truth=True),
        "ntuple": write_rhtree(folder / "ntuple.root", events),
        "aod": write_aod(folder / "aod.root", events),
        "ig": write_ig(folder / "display.ig", texts),
    }


def preprocess(output: Path, *inputs: Path, executor: Any = None, **keys: Any) -> Summary:
    config = PreprocessConfig(input=list(inputs), output=output, **keys)
    return run(config, executor)


def manifest(output: Path) -> dict[str, Any]:
    return json.loads(output.with_name(output.name + ".manifest.json").read_text())


def test_simulated_events(files: dict[str, Path], tmp_path: Path) -> None:
    summary = preprocess(tmp_path / "a.h5", files["simulated"])
    assert (summary.n_read, summary.n_kept) == (N_EVENTS, N_EVENTS)
    events = make_events(N_EVENTS)
    with EventStore(tmp_path / "a.h5") as store:
        assert store.attrs["origin"] == "simulation"
        assert store.simulation
        assert (store.event("label") == 1).all()
        np.testing.assert_allclose(store.photons("pt"), events.photons[:, :, 0], rtol=1e-5)
        # The showers were made with the containment that the reconstruction corrects for.
        np.testing.assert_allclose(store.clusters("pt"), store.photons("pt"), rtol=0.03)
        np.testing.assert_allclose(store.clusters("eta"), store.photons("eta"), atol=0.02)
        np.testing.assert_allclose(store.truth("pt"), events.photons[:, :, 0], rtol=1e-5)
        np.testing.assert_allclose(store.truth("u"), store.clusters("u"), atol=1.0)
        np.testing.assert_allclose(store.vertex_z(), events.vertex_z, rtol=1e-5)
        # Entries 2i and 2i+1 were written as siblings of one parton event.
        groups = store.event("group")
        assert len(np.unique(groups)) == 6
        assert (groups[0:10:2] == groups[1:11:2]).all()


def test_collisions(files: dict[str, Path], tmp_path: Path) -> None:
    preprocess(tmp_path / "a.h5", files["aod"], label=2)
    with EventStore(tmp_path / "a.h5") as store:
        assert store.attrs["origin"] == "collision"
        assert not store.simulation
        assert not store.has_truth
        assert (store.event("label") == 2).all()
        assert len(np.unique(store.event("group"))) == N_EVENTS
        assert np.isnan(store.event("m0_file")).all()


def test_the_same_events_from_every_format(files: dict[str, Path], tmp_path: Path) -> None:
    """Clusters do not depend on the format; the ntuple has no vertex, so eta may differ there."""
    found = {}
    for name in files:
        preprocess(tmp_path / f"{name}.h5", files[name])
        with EventStore(tmp_path / f"{name}.h5") as store:
            found[name] = {n: store.clusters(n) for n in ("u", "v", "e5x5", "r9", "seed")}
            found[name]["cell"] = store.hits("HBHE").cell
    for name in ("ntuple", "aod", "ig"):
        order = [0, 1] if name != "ntuple" else None
        for column, values in found["simulated"].items():
            other = found[name][column]
            if values.ndim == 2 and order is None:
                values, other = np.sort(values, axis=1), np.sort(other, axis=1)
            np.testing.assert_allclose(other, values, rtol=1e-5, err_msg=f"{name} {column}")


def test_ntuple_without_photons(files: dict[str, Path], tmp_path: Path) -> None:
    """Clusters are the photons; the file's m0 says what its selection took."""
    preprocess(tmp_path / "all.h5", files["ntuple"])
    preprocess(tmp_path / "sel.h5", files["ntuple"], selection="diphoton2012")
    with EventStore(tmp_path / "all.h5") as everything, EventStore(tmp_path / "sel.h5") as chosen:
        even = np.arange(N_EVENTS) % 2 == 0
        assert everything.event("selected").tolist() == even.tolist()
        np.testing.assert_array_equal(everything.event("m0_file"), np.where(even, 125.0, 0.0))
        np.testing.assert_array_equal(everything.photons("pt"), everything.clusters("pt"))
        assert chosen.event("event").tolist() == everything.event("event")[even].tolist()
        assert chosen.event("selected").all()
        assert everything.attrs["missing_channels"] == ["photons"]


def test_selection_keeps_the_hits_of_kept_events(files: dict[str, Path], tmp_path: Path) -> None:
    preprocess(tmp_path / "all.h5", files["aod"])
    preprocess(tmp_path / "sel.h5", files["aod"], selection="diphoton2012")
    with EventStore(tmp_path / "all.h5") as everything, EventStore(tmp_path / "sel.h5") as chosen:
        keep = everything.event("selected")
        assert 0 < keep.sum() <= N_EVENTS
        assert len(chosen) == keep.sum()
        for channel in everything.channels:
            expected = everything.hits(channel).select(keep)
            np.testing.assert_array_equal(chosen.hits(channel).cell, expected.cell)
            np.testing.assert_array_equal(chosen.hits(channel).offsets, expected.offsets)


def test_mixed_inputs(files: dict[str, Path], tmp_path: Path) -> None:
    preprocess(tmp_path / "a.h5", files["simulated"], files["aod"])
    with EventStore(tmp_path / "a.h5") as store:
        assert store.attrs["origin"] == "mixed"
        assert store.event("source").tolist() == [0] * N_EVENTS + [1] * N_EVENTS
        assert np.isnan(store.truth("pt")[N_EVENTS:]).all()
        assert (store.truth_event("process")[N_EVENTS:] == -1).all()
        assert store.event("label").tolist() == [1] * N_EVENTS + [-1] * N_EVENTS
        groups = store.event("group")
        assert not set(groups[:N_EVENTS]) & set(groups[N_EVENTS:])
        inputs = store.attrs["inputs"]
        sums = [f"sha256:{sha256(files[n])}" for n in ("simulated", "aod")]
        assert [i["identity"] for i in inputs] == sums
        assert inputs[0]["entries"] == [0, N_EVENTS]
        assert {"config", "versions", "git_revision", "hcal_convention"} <= set(store.attrs)


def test_a_collision_in_two_files_stays_one_group(files: dict[str, Path], tmp_path: Path) -> None:
    summary = preprocess(tmp_path / "a.h5", files["aod"], files["ig"])
    with EventStore(tmp_path / "a.h5") as store:
        groups = store.event("group")
    assert groups[:N_EVENTS].tolist() == groups[N_EVENTS:].tolist()
    assert summary.warnings["events that occur more than once in the inputs"] == N_EVENTS


def test_bad_files_do_not_stop_the_others(files: dict[str, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.root"
    content = files["aod"].read_bytes()
    bad.write_bytes(content[: len(content) // 3])
    copy = tmp_path / "copy.root"
    shutil.copy(files["aod"], copy)
    output = tmp_path / "a.h5"
    with pytest.raises(PartialFailure) as caught:
        preprocess(output, bad, files["aod"], tmp_path / "absent.root", copy, files["ig"])
    assert str(bad) in str(caught.value)
    assert caught.value.summary.n_kept == 2 * N_EVENTS
    with EventStore(output) as store:
        assert len(store) == 2 * N_EVENTS
        assert [entry["source"] for entry in store.attrs["inputs"]] == [1, 4]
    record = manifest(output)
    assert record["status"] == "partial"
    assert [f["status"] for f in record["files"]] == ["failed", "done", "failed", "failed", "done"]
    assert "same content" in record["files"][3]["reason"]
    assert record["output"]["sha256"] == sha256(output)


def broken_at_entry_9(path: Path) -> Path:
    objects = [list(event_auxiliary(1, 2, i)) for i in range(N_EVENTS)]
    objects[9] = objects[9][:20]
    return write_aod(path, make_events(N_EVENTS), overwrite={"EventAuxiliary": ak.Array(objects)})


def test_a_file_that_breaks_half_way_is_left_out_whole(tmp_path: Path) -> None:
    wrong = broken_at_entry_9(tmp_path / "wrong.root")
    good = write_rhtree(tmp_path / "good.root", make_events(3, seed=5))
    with pytest.raises(PartialFailure, match="EventAuxiliary of entry 9"):
        preprocess(tmp_path / "a.h5", wrong, good)
    with EventStore(tmp_path / "a.h5") as store:
        assert len(store) == 3


def test_only_bad_files(tmp_path: Path) -> None:
    with pytest.raises(PartialFailure, match="no event store was written"):
        preprocess(tmp_path / "a.h5", tmp_path / "absent.root")
    assert not (tmp_path / "a.h5").exists()
    assert manifest(tmp_path / "a.h5")["status"] == "failed"


def test_same_bytes_from_every_executor_and_chunk(files: dict[str, Path], tmp_path: Path) -> None:
    outputs = [tmp_path / name for name in ("serial.h5", "threads.h5", "chunks.h5")]
    inputs = (files["simulated"], files["aod"])
    preprocess(outputs[0], *inputs)
    with ThreadPoolExecutor(3) as pool:
        preprocess(outputs[1], *inputs, executor=pool)
    preprocess(outputs[2], *inputs, chunk=2)
    assert len({sha256(output) for output in outputs}) == 1
    assert not list(tmp_path.glob("*.shards"))


def test_two_processes(files: dict[str, Path], tmp_path: Path) -> None:
    preprocess(tmp_path / "one.h5", files["simulated"])
    preprocess(tmp_path / "two.h5", files["simulated"], workers=2)
    assert sha256(tmp_path / "one.h5") == sha256(tmp_path / "two.h5")


def test_an_unchanged_run_is_not_repeated(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.h5"
    first = preprocess(output, files["aod"])
    with monkeypatch.context() as patch:
        patch.setattr("data.preprocessing.stage.convert", lambda *_: pytest.fail("converted again"))
        again = preprocess(output, files["aod"])
    assert (again.n_read, again.n_kept) == (first.n_read, first.n_kept)
    output.write_bytes(output.read_bytes()[:-1])  # damaged: made again
    preprocess(output, files["aod"])
    with EventStore(output) as store:
        assert len(store) == N_EVENTS


KILLED = """
import os, signal, sys
from pathlib import Path
from data import store
from data.preprocessing import plan, shards
from data.preprocessing import stage as convert
from data.config import PreprocessConfig
from data.preprocessing.stage import run
shards.SHARD_EVENTS = 4
convert.git_revision = plan.git_revision = lambda: "fixed"
calls, original = [0], store.StoreWriter.append
def append(self, *arguments):
    calls[0] += 1
    original(self, *arguments)
    if calls[0] == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
store.StoreWriter.append = append
run(PreprocessConfig(input=[Path(sys.argv[1])], output=Path(sys.argv[2])))
"""


@pytest.mark.parametrize("appends", [1, 3, 5])
def test_killed_and_resumed(
    appends: int, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while a shard is written or merged: whole shards are used again."""
    output = tmp_path / "a.h5"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(files["simulated"]), str(output), str(appends)],
        cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert not output.exists()
    left = sorted((tmp_path / "a.h5.shards").glob("[!.]*.h5"))
    assert len(left) == appends // 2
    before = {path: path.stat().st_mtime_ns for path in left}
    seen: dict[Path, int] = {}
    offer = Merger.offer

    def watched(merger: Merger, task: Any, path: Path) -> None:
        seen[path] = path.stat().st_mtime_ns
        offer(merger, task, path)

    monkeypatch.setattr(Merger, "offer", watched)
    preprocess(output, files["simulated"])
    assert len(seen) == 3
    assert before.items() <= seen.items()
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []
    preprocess(tmp_path / "b.h5", files["simulated"])
    assert sha256(output) == sha256(tmp_path / "b.h5")


def test_a_shard_damaged_between_runs_is_made_again(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "a.h5"

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Merger, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            preprocess(output, files["aod"])
    left = sorted((tmp_path / "a.h5.shards").glob("*.h5"))
    assert len(left) == 3
    content = bytearray(left[1].read_bytes())
    content[len(content) // 2] ^= 1
    left[1].write_bytes(content)
    preprocess(output, files["aod"])
    preprocess(tmp_path / "b.h5", files["aod"])
    assert sha256(output) == sha256(tmp_path / "b.h5")


def test_a_late_failure_leaves_no_trace_of_the_file(tmp_path: Path) -> None:
    """Shards of the broken file are merged before it breaks: the store is that of the others."""
    wrong = broken_at_entry_9(tmp_path / "wrong.root")
    good = write_rhtree(tmp_path / "good.root", make_events(3, seed=5))
    with pytest.raises(PartialFailure):
        preprocess(tmp_path / "a.h5", wrong, good)
    with pytest.raises(PartialFailure):
        preprocess(tmp_path / "b.h5", tmp_path / "absent.root", good)
    with EventStore(tmp_path / "a.h5") as one, EventStore(tmp_path / "b.h5") as other:
        assert one.channels == other.channels
        for channel in one.channels:
            for name, column in one.hits(channel).columns.items():
                np.testing.assert_array_equal(column, other.hits(channel).columns[name])


def test_parts_then_merged(files: dict[str, Path], tmp_path: Path) -> None:
    """What the tasks of a batch array do, in any order; the merge finds every shard whole."""
    inputs = (files["simulated"], files["aod"])
    preprocess(tmp_path / "whole.h5", *inputs)
    output = tmp_path / "parts.h5"
    for part in ("2/4", "0/4", "3/4", "1/4"):
        preprocess(output, *inputs, part=part)
        assert not output.exists()
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "parts.h5.shards").glob("[!.]*.h5")}
    assert len(made) == 6
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data.preprocessing.shards.assemble", lambda *_: pytest.fail("made again"))
        preprocess(output, *inputs)
    assert sha256(output) == sha256(tmp_path / "whole.h5")


@pytest.mark.parametrize("part", ["4/4", "1", "a/b", "-1/3"])
def test_a_part_that_cannot_be(part: str) -> None:
    with pytest.raises(ValueError, match="part"):
        PreprocessConfig(input=["a.root"], part=part)


def test_an_interrupted_run_inspects_each_file_once(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preprocess(tmp_path / "a.h5", files["aod"], part="0/2")
    again = lambda *_: pytest.fail("inspected again")  # noqa: E731
    monkeypatch.setattr("data.preprocessing.plan.inspect", again)
    preprocess(tmp_path / "a.h5", files["aod"])


def test_a_file_that_changes_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.root"
    shutil.copy(files["aod"], copy)
    preprocess(tmp_path / "a.h5", copy, part="0/9")
    plan = json.loads((tmp_path / "a.h5.plan.json").read_text())
    info = plan["files"]["0"]
    job = Job(tmp_path, 0, info["identity"], "none", -1, "fixed", stat=(info["stat"][0], 1))
    with pytest.raises(InputError, match="changed since it was inspected"):
        shards.convert(copy, 0, 4, job)


def test_shards_end_where_baskets_end() -> None:
    assert shards.shard_ranges(250, [], 100) == [(0, 83), (83, 166), (166, 250)]
    edges = [0, 64, 128, 192, 250]
    assert shards.shard_ranges(250, edges, 100) == [(0, 64), (64, 166), (166, 250)]
    assert shards.shard_ranges(10_000, list(range(0, 10_001, 64)), 5000) == [
        (0, 4992), (4992, 10_000),
    ]  # fmt: skip
    assert shards.shard_ranges(90, [0, 90], 100) == [(0, 90)]
    assert shards.shard_ranges(0, [0], 100) == []


def test_a_failure_costs_no_merge_of_the_others(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file none of whose shards is merged, and that alone brings nothing, is just left out."""
    wrong = broken_at_entry_9(tmp_path / "wrong.root")
    monkeypatch.setattr(Merger, "_restart", lambda _: pytest.fail("merged anew"))
    monkeypatch.setattr(shards, "SHARD_EVENTS", 2 * N_EVENTS)  # it fails in its only shard
    with pytest.raises(PartialFailure):
        preprocess(tmp_path / "a.h5", files["aod"], wrong)
    with EventStore(tmp_path / "a.h5") as store:
        assert len(store) == N_EVENTS


@given(
    st.integers(0, 500), st.lists(st.integers(0, 500), max_size=20), st.integers(1, 120)
)  # fmt: skip
def test_shards_cover_a_file_once(n_events: int, edges: list[int], size: int) -> None:
    inner = sorted({0, n_events, *(edge for edge in edges if edge < n_events)})
    found = shards.shard_ranges(n_events, inner, size)
    assert [event for start, stop in found for event in range(start, stop)] == list(range(n_events))
    assert all(0 < stop - start <= 2 * size for start, stop in found)
