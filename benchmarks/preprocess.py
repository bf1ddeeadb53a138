"""Preprocessing against uproot alone and against dense arrays: `python benchmarks/preprocess.py`.

All figures are ratios of measurements made in one run, CPU seconds of one process with
`OMP_NUM_THREADS=1` where they are CPU. Files are made first (`benchmarks/cms_files.py`: real
events, varied, in an emulated AOD layout; simulated events in the ntuple's layout), which takes
minutes; `--folder` keeps them for the next time.

* uproot alone: every leaf that preprocess reads, whole branches, one after the other.
* to hits: the reader's batches (DetIds to cells, checks, tracks to cells).
* to store: everything: hits, clusters, selection `none`, shards, merged and compressed store.
* dense: one (170, 360, 3) array (tracks, ECAL, HCAL upsampled) per event in an lzf-compressed HDF5
  dataset, filled event by event from the ntuple, as conversions of this field do today.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import h5py
import numpy as np
import uproot

from benchmarks.cms_files import write_aod, write_ntuple
from data.config import PreprocessConfig
from data.detector.geometry import EB_SHAPE
from data.preprocessing.stage import run
from data.sources import open_source
from data.store import EventStore

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = Path(os.environ.get("CMS_TEST_DATA", ROOT.parent / "shared" / "data"))
TEMPLATE = REAL_DATA / "cms_layout" / "aodlike_doublephoton.root"
REPEATS = 3
# What preprocess reads of each layout, and what uproot alone is given to read.
LEAVES = {
    "Events": (
        "EcalRecHits*E[BE]_*.id_.id_", "EcalRecHits*E[BE]_*.energy_", "EcalRecHits*E[BE]_*.time_",
        "HBHERecHits*.id_.id_", "HBHERecHits*.energy_",
        "recoTracks_generalTracks_*.momentum_.*", "recoTracks_generalTracks_*.vertex_.*fZ",
        "recoTracks_generalTracks_*.charge_", "recoTracks_generalTracks_*.quality_",
        "recoPhotons_photons_*.pt_", "recoPhotons_photons_*.eta_", "recoPhotons_photons_*.phi_",
        "recoPhotons_photons_*.sigmaIetaIeta", "recoPhotons_photons_*.e3x3",
        "recoPhotons_photons_*.hcalDepth?OverEcal", "recoPhotons_photons_*.pixelSeed_",
        "recoPhotons_photons_*.vertex_.*fZ",
    ),
    "fevt/RHTree": (
        "EB_energy", "EB_time", "EEm_energy", "EEp_energy", "HBHE_energy", "ECAL_tracksPt",
        "runId", "lumiId", "eventId", "m0", "vertex_z", "pho_*",
    ),
    "fevt/Truth": ("*",),
}  # fmt: skip


def main() -> None:
    """Make the files, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--events",
        type=int,
        default=10_000,
        help="events per file; CMS's AOD files have about 10,000",
    )
    parser.add_argument("--copies", type=int, default=8, help="files for the worker comparison")
    parser.add_argument("--folder", type=Path, help="where the files are made and kept")
    parser.add_argument("--template", type=Path, default=TEMPLATE, help="file in AOD layout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        files = make_files(folder, options.template, options.events)
        print(f"{options.events} events per file; CPU in us/event, best of {REPEATS}\n")
        print("| file | bytes/event | uproot alone | to hits | ratio | to store | ratio |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        for name, path in files.items():
            print(cpu_row(name, path, folder))
        for name in ("AOD, LZMA 4", "ntuple, ZLIB 1"):
            print("\n" + workers_line(name, files[name], options.copies, folder))
        for name in ("AOD, LZMA 4", "ntuple, ZLIB 1"):
            print("\n" + memory_line(name, files[name], folder))
        print("\n" + dense_line(files["ntuple, ZLIB 1"], folder))


def make_files(folder: Path, template: Path, n_events: int) -> dict[str, Path]:
    """The files to read, made where they are absent."""
    makers: dict[str, Callable[[Path], object]] = {
        "AOD, LZMA 4": lambda p: write_aod(p, template, n_events, uproot.LZMA(4)),
        "AOD, ZLIB 6": lambda p: write_aod(p, template, n_events, uproot.ZLIB(6)),
        "ntuple, ZLIB 1": lambda p: write_ntuple(p, n_events, uproot.ZLIB(1)),
        "ntuple, ZSTD": lambda p: write_ntuple(p, n_events, uproot.ZSTD(1)),
    }
    files = {}
    for name, make in makers.items():
        files[name] = folder / f"{name.replace(', ', '_').replace(' ', '')}_{n_events}.root"
        if not files[name].is_file():
            make(files[name])
    return files


def cpu_row(name: str, path: Path, folder: Path) -> str:
    """A row of the table of CPU seconds."""
    with open_source(path) as source:
        n_events = source.n_events

    def alone() -> None:
        options = {"handler": uproot.MemmapSource, "array_cache": None, "object_cache": None}
        with uproot.open(path, **options) as file:
            for tree, wanted in LEAVES.items():
                if tree in file:
                    read_leaves(file[tree], wanted)

    def to_hits() -> None:
        with open_source(path) as source:
            for _ in source.batches(0, n_events, 2000):
                pass

    output = folder / "timed.h5"

    def to_store() -> None:
        preprocess([path], output, 1)

    base, hits, store = (best_cpu(f) / n_events * 1e6 for f in (alone, to_hits, to_store))
    size = path.stat().st_size / n_events
    return (
        f"| {name} | {size:.0f} | {base:.0f} | {hits:.0f} | {hits / base:.2f} | "
        f"{store:.0f} | {store / base:.2f} |"
    )


def read_leaves(tree: Any, wanted: Sequence[str]) -> None:
    """Read whole branches, one after the other, as NumPy arrays."""
    for name, branch in tree.items(recursive=True, full_paths=False):
        if name == "EventAuxiliary":
            branch.array(uproot.AsJagged(uproot.AsDtype("u1")), library="np")
        elif any(fnmatchcase(name, pattern) for pattern in wanted):
            branch.array(library="np")


def best_cpu(call: Callable[[], None]) -> float:
    """Least CPU seconds of a call."""
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


def preprocess(inputs: list[Path], output: Path, workers: int) -> float:
    """Run the stage anew; wall seconds."""
    for left in output.parent.glob(f"{output.name}*"):
        left.unlink()
    start = time.perf_counter()
    run(PreprocessConfig(input=inputs, output=output, workers=workers))
    return time.perf_counter() - start


def copies_of(path: Path, count: int, folder: Path) -> list[Path]:
    """Copies that count as different files: ROOT does not read the byte after a file's end."""
    copies = [folder / f"copy{k}.root" for k in range(count)]
    for k, copy in enumerate(copies):
        shutil.copyfile(path, copy)
        with open(copy, "ab") as handle:
            handle.write(bytes([k]))
    return copies


def workers_line(name: str, path: Path, count: int, folder: Path) -> str:
    """Wall time of one and of two workers on several files."""
    copies = copies_of(path, count, folder)
    one, two = (preprocess(copies, folder / "timed.h5", workers) for workers in (1, 2))
    with EventStore(folder / "timed.h5") as store:
        n_events = len(store)
    for copy in copies:
        copy.unlink()
    return (
        f"{name}, {count} files, {n_events} events: {n_events / one:.0f} events/s with one worker, "
        f"{n_events / two:.0f} with two: {one / two:.2f} times"
    )


PEAK = """
import re, sys
from pathlib import Path
from run_pipeline import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""


def memory_line(name: str, path: Path, folder: Path) -> str:
    """Peak memory of the program on one file, and on four of them; bytes of a stored event."""
    output = folder / "timed.h5"
    peaks = []
    for count in (1, 4):
        copies = copies_of(path, count, folder)
        for left in folder.glob("timed.h5*"):
            left.unlink()
        words = ["preprocess", "--input", *map(str, copies), "--output", str(output)]
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *words], cwd=ROOT, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout.split()[-1]) / 1024)
        for copy in copies:
            copy.unlink()
    with EventStore(output) as store:
        per_event = output.stat().st_size / len(store) / 1000
    return (
        f"{name}: peak memory {peaks[0]:.0f} MB for one file, {peaks[1]:.0f} MB for four; "
        f"{per_event:.2f} kB per stored event"
    )


def dense_line(path: Path, folder: Path) -> str:
    """Dense arrays, event by event, of the same ntuple."""
    output = folder / "dense.h5"
    output.unlink(missing_ok=True)
    n_events = 500
    start = time.process_time()
    write_dense(path, output, n_events)
    dense = (time.process_time() - start) / n_events
    size = output.stat().st_size / n_events
    start = time.process_time()
    preprocess([path], folder / "timed.h5", 1)
    used = time.process_time() - start
    with EventStore(folder / "timed.h5") as store:
        ours = used / len(store)
        ours_size = (folder / "timed.h5").stat().st_size / len(store)
    return (
        f"dense lzf arrays (170, 360, 3) of the same ntuple, one event at a time: "
        f"{1 / dense:.0f} events/s, {size / 1000:.1f} kB per event; this project, with endcaps, "
        f"clusters and truth: {1 / ours:.0f} events/s ({dense / ours:.1f} times as many), "
        f"{ours_size / 1000:.1f} kB ({size / ours_size:.1f} times fewer)"
    )


def write_dense(path: Path, output: Path, n_events: int) -> None:
    """The first events as dense arrays (tracks, ECAL, HCAL upsampled), one event at a time."""
    shape = (*EB_SHAPE, 3)
    branches = ("ECAL_tracksPt", "EB_energy", "HBHE_energy")
    with uproot.open(path) as file, h5py.File(output, "w") as out:
        tree = file["fevt/RHTree"]
        images = out.create_dataset(
            "X_EB", (n_events, *shape), "f4", chunks=(1, *shape), compression="lzf"
        )
        entry = 0
        for events in tree.iterate(branches, step_size=50, entry_stop=n_events, library="np"):
            for tracks, ecal, hcal in zip(*(events[name] for name in branches), strict=True):
                towers = np.asarray(hcal).reshape(56, 72)[11:45]
                images[entry] = np.stack(
                    [
                        np.asarray(tracks).reshape(280, 360)[55:225],
                        np.asarray(ecal).reshape(EB_SHAPE),
                        np.kron(towers, np.ones((5, 5), dtype=np.float32)) / 25,
                    ],
                    axis=-1,
                )
                entry += 1


if __name__ == "__main__":
    main()
