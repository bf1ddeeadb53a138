"""`python -m benchmarks.engines [CALLS]`: what an engine costs per call, beside the call itself."""

from __future__ import annotations

import platform
import resource
import sys
import tempfile
import time
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

from data.config import PreprocessConfig
from data.engines import open_engine


def nothing(*_: Any) -> None:
    """A call that takes no time."""


def measure(engine: str, n_calls: int, folder: Path) -> str:
    """Time to open an engine of two workers, time per call, peak memory of this process."""
    keys: dict[str, Any] = {"engine": engine, "workers": 2}
    started = time.perf_counter()
    with open_engine(PreprocessConfig(input=["none"], output=folder / "a.h5", **keys)) as executor:
        assert executor is not None
        executor.submit(nothing).result()
        opened = time.perf_counter() - started
        started = time.perf_counter()
        futures = {executor.submit(nothing, "events.root", i, i + 2000) for i in range(n_calls)}
        for future in as_completed(futures):
            future.result()
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{engine:10s} opened in {opened:.1f} s; {n_calls} calls in {seconds:.1f} s "
        f"({1e3 * seconds / n_calls:.2f} ms each); peak memory {peak:.0f} MB"
    )


def main() -> None:
    """Print a line for each engine that runs on one machine."""
    n_calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"python {platform.python_version()}, {platform.machine()}")
    with tempfile.TemporaryDirectory() as folder:
        for engine in ("processes", "dask"):
            print(measure(engine, n_calls, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
