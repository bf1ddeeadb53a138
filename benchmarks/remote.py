"""Bytes and requests of reading AOD remotely: `python benchmarks/remote.py`.

Serves an emulated AOD file (real hits, tracks and photons repeated under the 2012 names, with
branches of random bits that nobody wants between them) from an XRootD daemon on this machine, over
root:// and over its HTTP door, and prints what streaming it needs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import uproot

from benchmarks.cms_files import write_aod
from data.access import AccessOptions, InputFile, fetch
from data.sources import open_source
from tests.servers import xrootd_server

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TEMPLATE = SHARED / "cms_layout" / "aodlike_doublephoton.root"
ROUND_TRIP = 0.030  # seconds an answer takes; assumed
REPEATS = 5  # the fastest counts
AT_ONCE = {"root": 1, "http": 8}  # requests under way at a time


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--template", type=Path, default=TEMPLATE, help="file in AOD layout")
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--unread", type=int, default=240_000, help="unwanted bytes per event")
    parser.add_argument("--chunk", type=int, default=500, help="events held in memory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, xrootd_server() as server:
        path = write_aod(
            Path(folder) / "aod.root", options.template, options.events, uproot.ZLIB(1),
            unread=options.unread,
        )  # fmt: skip
        name, size = server.add(path), path.stat().st_size
        print(f"file: {options.events} events, {size / 1e6:.1f} MB, "
              f"{size / options.events / 1e3:.1f} kB per event (emulated)\n")  # fmt: skip
        print("| access | opening: requests, kB | bytes read per event | of the file's "
              "| requests per 1000 events | waiting, at 30 ms | events/s here |")  # fmt: skip
        print("|---|---|---|---|---|---|---|")
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            n_events = _read(str(path), options.chunk)
            seconds.append(time.perf_counter() - started)
        rate = n_events / min(seconds)
        print(f"| local file | | | | | | {rate:.0f} |")
        for door in ("root", "http"):
            address = getattr(server, door) + name
            print(_row(address, door, size, options.chunk))
            with patch("data.access.root.RemoteSource.want"):
                print(_row(address, door, size, options.chunk, ", leaf by leaf"))
        started = time.perf_counter()
        fetch(InputFile(server.root + name), Path(folder) / "cache")
        seconds = time.perf_counter() - started
        print(f"\nfetch over root://, with its checksum: {size / seconds / 1e6:.0f} MB/s")


def _row(address: str, door: str, size: int, chunk: int, how: str = "") -> str:
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        with open_source(address, access=AccessOptions()) as source:
            remote = source.remote
            assert remote is not None
            opened = [remote.n_requests, remote.bytes_read]
            n = source.n_events
            for _ in source.batches(0, n, chunk):
                pass
        seconds.append(time.perf_counter() - started)
    n_read, n_requests = remote.bytes_read - opened[1], remote.n_requests - opened[0]
    per_thousand = 1000 * n_requests / n
    waiting = per_thousand * ROUND_TRIP / AT_ONCE[door]
    return (
        f"| {door}://{how} | {opened[0]}, {opened[1] / 1e3:.0f} | {n_read / n / 1e3:.2f} kB "
        f"| {100 * n_read / size:.1f} % | {per_thousand:.1f} | {waiting:.1f} s "
        f"| {n / min(seconds):.0f} |"
    )


def _read(location: str, chunk: int) -> int:
    with open_source(location) as source:
        return sum(len(batch) for batch in source.batches(0, source.n_events, chunk))


if __name__ == "__main__":
    main()
