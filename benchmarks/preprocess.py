"""Preprocessing against uproot alone and against dense arrays: `python benchmarks/preprocess.py`.

All figures are ratios of measurements made in one run, CPU seconds of one process with
`OMP_NUM_THREADS=1` where they are CPU. Files are made first (`benchmarks/cms_files.py`: real
events, varied, in an emulated AOD layout; simulated events in the ntuple's layout), which takes
minutes; `--folder` keeps them for the next time.

* uproot alone: every leaf that preprocess reads, whole branches, one after the other.
* to hits: the reader's batches (DetIds to cells, checks, tracks to cells).
* to store: everything: hits, clusters, selection `none`, shards, merged and compressed store.
* dense: one (170, 360, 3) array (tracks, ECAL, HCAL upsampled) per event in an lzf-compressed HDF5
  dataset, filled event by event from uproot, as conversions of this field do today.
"""

from __future__ import annotations

import argparse
import os
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
from data.convert import run
from data.detector.geometry import EB_SHAPE
from data.detector.images import make_image
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
    parser.add_argument("--events", type=int, default=4000, help="events per file")
    parser.add_argument("--copies", type=int, default=6, help="files for the worker comparison")
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
        print("\n" + memory_line(files["AOD, LZMA 4"], folder))
        print("\n" + dense_line(files["AOD, LZMA 4"], folder))


def make_files(folder: Path, template: Path, n_events: int) -> dict[str, Path]:
    """The files to read, made where they are absent."""
    makers: dict[str, Callable[[Path], object]] = {
        "AOD, LZMA 4": lambda p: write_aod(p, template, n_events, uproot.LZMA(4)),
        "AOD, ZLIB 6": lambda p: write_aod(p, template, n_events, uproot.ZLIB(6)),
        "ntuple, ZLIB 1": lambda p: write_ntuple(p, n_events, uproot.ZLIB(1)),
        "ntuple, ZSTD": lambda p: write_ntuple(p, n_events, None),
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
        if name.endswith("EventAuxiliary"):
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


def workers_line(name: str, path: Path, copies: int, folder: Path) -> str:
    """Wall time of one and of two workers on several files."""
    inputs = []
    for k in range(copies):
        copy = folder / f"copy{k}.root"
        # A byte after the file's end makes it another file; ROOT does not read it.
        copy.write_bytes(path.read_bytes() + bytes([k]))
        inputs.append(copy)
    one, two = (preprocess(inputs, folder / "timed.h5", workers) for workers in (1, 2))
    with EventStore(folder / "timed.h5") as store:
        n_events = len(store)
    for copy in inputs:
        copy.unlink()
    return (
        f"{name}, {n_events} events: {n_events / one:.0f} events/s with one worker, "
        f"{n_events / two:.0f} with two: {one / two:.2f} times"
    )


def memory_line(path: Path, folder: Path) -> str:
    """Peak memory of a process that converts the file, and one four times as long."""
    peaks = []
    for copies in (1, 4):
        inputs = []
        for k in range(copies):
            inputs.append(folder / f"copy{k}.root")
            inputs[-1].write_bytes(path.read_bytes() + bytes([k]))
        for left in folder.glob("timed.h5*"):
            left.unlink()
        code = (
            "import resource, sys; from run_pipeline import main; code = main(sys.argv[1:]);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024); sys.exit(code)"
        )
        words = ["preprocess", "--input", *map(str, inputs), "--output", str(folder / "timed.h5")]
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout.split()[-1]))
        for copy in inputs:
            copy.unlink()
    size = (folder / "timed.h5").stat().st_size
    with EventStore(folder / "timed.h5") as store:
        per_event = size / len(store)
    return (
        f"peak memory {peaks[0]} MB for one file, {peaks[1]} MB for four; "
        f"{per_event / 1000:.2f} kB per stored event"
    )


def dense_line(path: Path, folder: Path, n_events: int = 300) -> str:
    """Dense arrays, event by event, of the same file."""
    output = folder / "dense.h5"
    output.unlink(missing_ok=True)
    start = time.process_time()
    write_dense(path, output, n_events)
    dense = (time.process_time() - start) / n_events
    size = output.stat().st_size / n_events
    start = time.process_time()
    preprocess([path], folder / "timed.h5", 1)
    with EventStore(folder / "timed.h5") as store:
        ours = (time.process_time() - start) / len(store)
        ours_size = (folder / "timed.h5").stat().st_size / len(store)
    return (
        f"dense lzf arrays of the barrel alone: {1 / dense:.0f} events/s, {size / 1000:.1f} kB per "
        f"event; this project, all detectors: {1 / ours:.0f} events/s ({dense / ours:.1f} times), "
        f"{ours_size / 1000:.1f} kB ({size / ours_size:.1f} times less)"
    )


def write_dense(path: Path, output: Path, n_events: int) -> None:
    """The first events as dense arrays (tracks, ECAL, HCAL upsampled), one event at a time."""
    names = ("TracksPt_EB", "EB_energy", "HBHE_energy_EB")
    shape = (*EB_SHAPE, 3)
    with open_source(path) as source, h5py.File(output, "w") as file:
        images = file.create_dataset(
            "X_EB", (n_events, *shape), "f4", chunks=(1, *shape), compression="lzf"
        )
        for entry, batch in enumerate(source.batches(0, n_events, 1)):
            tracks, ecal, hcal = (make_image(name, batch.hits)[0] for name in names)
            hcal = np.kron(hcal, np.ones((5, 5), dtype=np.float32)) / 25
            images[entry] = np.stack([tracks, ecal, hcal], axis=-1)


if __name__ == "__main__":
    main()
