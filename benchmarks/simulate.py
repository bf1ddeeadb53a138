"""Simulated events per second and core: `OMP_NUM_THREADS=1 python benchmarks/simulate.py`.

Prints, in CPU seconds of this process, the rate of the detector with pile-up and the standard
reconstruction, and the rate with writing the ROOT file included; library and lists are read
before the clock starts.  `--against FOLDER` measures another revision's tree in turns with this
one, and prints the ratio of the rates.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.simulation.chunks import CHUNK, Chunk, simulate_chunk
from data.simulation.config import SHIPPED_LISTS
from data.simulation.hard_events import LABELS
from data.simulation.writer import RHTreeWriter

ROOT = Path(__file__).resolve().parent.parent
_LINE = re.compile(r"(\w+) +\d+ events, .*: (\d+) events/s simulated .*, (\d+) events/s with")


def measure(process: str, pileup: float, n_chunks: int) -> tuple[float, float]:
    """Events per CPU second, without and with writing."""
    chunks = [
        Chunk(process, k, k * CHUNK, CHUNK, 4000, str(SHIPPED_LISTS), pileup, 1, True)
        for k in range(n_chunks)
    ]
    simulate_chunk(chunks[0])  # reads the lists and simulates the library
    start = time.process_time()
    results = [simulate_chunk(chunk) for chunk in chunks]
    simulated = time.process_time() - start
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        with RHTreeWriter(Path(folder) / "events.root", LABELS[process]) as writer:
            for result in results:
                writer.write(result.events, 1, result.numbers)
        written = time.process_time() - start
    n = CHUNK * n_chunks
    return n / simulated, n / (simulated + written)


def compare(other: Path, pileup: float, chunks: int, rounds: int) -> None:
    """Print this tree's rates over another's, each the mean of ``rounds`` taken in turns."""
    rates: dict[tuple[str, Path], list[tuple[int, int]]] = defaultdict(list)
    for _ in range(rounds):
        for tree in (ROOT, other.resolve()):
            command = [sys.executable, "benchmarks/simulate.py", "--pileup", str(pileup)]
            done = subprocess.run(
                [*command, "--chunks", str(chunks)], cwd=tree, check=True, text=True,
                stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(tree)},
            )  # fmt: skip
            for process, simulated, written in _LINE.findall(done.stdout):
                rates[process, tree].append((int(simulated), int(written)))
    for process in LABELS:
        here, there = rates[process, ROOT], rates[process, other.resolve()]
        if here and there:
            ratios = [sum(r[k] for r in here) / sum(r[k] for r in there) for k in (0, 1)]
            print(
                f"{process:10s} rate over that of {other}: {ratios[0]:.2f} simulated and "
                f"reconstructed, {ratios[1]:.2f} with writing"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pileup", type=float, default=20.0, help="mean pile-up")
    parser.add_argument("--chunks", type=int, default=4, help=f"chunks of {CHUNK} events")
    parser.add_argument("--against", type=Path, help="tree of another revision to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="of the comparison")
    options = parser.parse_args()
    if options.against:
        compare(options.against, options.pileup, options.chunks, options.rounds)
        return
    for process in LABELS:
        simulated, written = measure(process, options.pileup, options.chunks)
        print(
            f"{process:10s} {CHUNK * options.chunks} events, pile-up {options.pileup:g}: "
            f"{simulated:.0f} events/s simulated and reconstructed, {written:.0f} events/s with "
            "writing"
        )


if __name__ == "__main__":
    main()
