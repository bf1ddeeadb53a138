"""Reading images of jets from HDF5 and Parquet: `python benchmarks/dense_arrays.py`.

Writes made-up jets in the layouts that converters gave them, reads each file in a process of its
own, and prints jets per second of CPU time and the most memory held.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.sources import open_source

SIZE = 125 * 125 * 3
FILLED = 700  # values of an image that are not zero: 1.5 %
AT_A_TIME = 500


def images(n_jets: int) -> Iterator[NDArray[np.float32]]:
    """Blocks of images."""
    rng = np.random.default_rng(0)
    for start in range(0, n_jets, AT_A_TIME):
        block = np.zeros((min(AT_A_TIME, n_jets - start), SIZE), np.float32)
        for row in block:
            row[rng.integers(0, SIZE, FILLED)] = rng.uniform(0.1, 30, FILLED)
        yield block.reshape(-1, 125, 125, 3)


def write_hdf5(chunks: tuple[int, ...]) -> Callable[[Path, int], None]:
    """A writer of HDF5 with chunks of that shape."""

    def write(path: Path, n_jets: int) -> None:
        fitting = (min(chunks[0], n_jets), *chunks[1:])
        # All chunks of a row of blocks are open at once.
        with h5py.File(path, "w", rdcc_nbytes=1 << 30) as file:
            dataset = file.create_dataset(
                "X_jets", (n_jets, 125, 125, 3), "f4", chunks=fitting, compression="gzip",
                compression_opts=1,
            )  # fmt: skip
            start = 0
            for block in images(n_jets):
                dataset[start : start + len(block)] = block
                start += len(block)
            file["y"] = np.arange(n_jets) % 2

    return write


def write_parquet(row_group: int) -> Callable[[Path, int], None]:
    """A writer of Parquet with so many jets in a row group."""

    def write(path: Path, n_jets: int) -> None:
        writer: Any = None
        for block in images(n_jets):
            lists = pa.array(np.moveaxis(block, 3, 1).reshape(-1).astype(np.float64))
            for size in (125, 125, 3):
                offsets = np.arange(0, len(lists) + 1, size, dtype=np.int32)
                lists = pa.ListArray.from_arrays(pa.array(offsets), lists)
            table = pa.table({"X_jet": lists, "y": np.zeros(len(block))})
            writer = writer or pq.ParquetWriter(path, table.schema, compression="snappy")
            writer.write_table(table, row_group_size=row_group)
        writer.close()

    return write


def read(path: Path, answer: Any) -> None:
    """Read a file; answers with jets per second of CPU and the peak of memory in MB."""
    with open_source(path) as source:
        started = time.process_time()
        n_jets = sum(len(batch) for batch in source.batches(0, source.n_events, AT_A_TIME))
        seconds = time.process_time() - started
    # getrusage would tell the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    answer.put((n_jets / seconds, int(status.split("VmHWM:")[1].split()[0]) / 1e3))


LAYOUTS: dict[str, Callable[[Path, int], None]] = {
    "HDF5, a jet a chunk": write_hdf5((1, 125, 125, 3)),
    "HDF5, chunks of 3265 x 8 x 8 x 1": write_hdf5((3265, 8, 8, 1)),
    "Parquet, a jet a row group": write_parquet(1),
    "Parquet, 500 jets a row group": write_parquet(500),
}


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jets", type=int, default=2000)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print("| layout | MB | jets/s of CPU | memory, MB |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in LAYOUTS.items():
            path = Path(folder) / "jets"
            write(path, options.jets)
            answer = context.Queue()
            process = context.Process(target=read, args=(path, answer))
            process.start()
            rate, memory = answer.get()
            process.join()
            print(f"| {name} | {path.stat().st_size / 1e6:.1f} | {rate:.0f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
