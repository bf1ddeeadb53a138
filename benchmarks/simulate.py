"""Simulated events per second and core: `OMP_NUM_THREADS=1 python benchmarks/simulate.py`.

Prints, in CPU seconds of this process, the rate of the detector with pile-up and the standard
reconstruction, and the rate with writing the ROOT file included; library and lists are read
before the clock starts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.simulation.chunks import CHUNK, Chunk, simulate_chunk
from data.simulation.config import SHIPPED_LISTS
from data.simulation.hard_events import LABELS
from data.simulation.writer import RHTreeWriter


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pileup", type=float, default=20.0, help="mean pile-up")
    parser.add_argument("--chunks", type=int, default=4, help=f"chunks of {CHUNK} events")
    options = parser.parse_args()
    for process, label in LABELS.items():
        chunks = [
            Chunk(process, k, k * CHUNK, CHUNK, 4000, str(SHIPPED_LISTS), options.pileup, 1, True)
            for k in range(options.chunks)
        ]
        simulate_chunk(chunks[0])  # reads the lists and simulates the library
        start = time.process_time()
        results = [simulate_chunk(chunk) for chunk in chunks]
        simulated = time.process_time() - start
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            with RHTreeWriter(Path(folder) / "events.root", label) as writer:
                for result in results:
                    writer.write(result.events, 1, result.numbers)
            written = time.process_time() - start
        n = CHUNK * options.chunks
        print(
            f"{process:10s} {n} events, pile-up {options.pileup:g}: {n / simulated:.0f} events/s "
            f"simulated and reconstructed, {n / (simulated + written):.0f} events/s with writing"
        )


if __name__ == "__main__":
    main()
