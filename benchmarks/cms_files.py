"""Long files in CMS layouts for benchmarks: real events, turned and smeared so that each differs.

Real AOD files have 10,000 events; the ones at hand have 25. Their events are repeated, each time
turned by a random number of crystals about the beam and with energies, times and momenta smeared
by 1 %, so that a compressor finds as little to save as in a real file. The layout is emulated:
this is NOT CMSSW output.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from data.simulation.chunks import CHUNK, Chunk, simulate_chunk
from data.simulation.config import SHIPPED_LISTS
from data.simulation.hard_events import LABELS
from data.simulation.writer import RHTreeWriter

EVENTS_PER_BASKET = 64  # about what 15 MB clusters of 250 kB events give in CMS's AOD
N_LISTS = 6000  # of the shipped ones; used again, turned about the beam, for longer files
_IDS = ".id_.id_"
_SMEARED = (".energy_", ".time_", ".pt_", ".covariance_", ".chi2_", ".e3x3")
_UINT64S = ak.types.from_datashape("var * uint64", highlevel=False)
_BALLAST = 40  # branches that nobody reads
_COUNTERS = (".present", ".obj", "hitPattern_")


def write_aod(
    path: Path,
    template: Path,
    n_events: int,
    codec: Any,
    per_basket: int = EVENTS_PER_BASKET,
    seed: int = 0,
    unread: int = 0,
) -> Path:
    """Write `n_events` in the AOD layout of `template`, every leaf that uproot can write.

    `unread` is a number of bytes per event that no reader wants, in branches between the others:
    AOD has about 250 kB an event of them.
    """
    rng = np.random.default_rng(seed)
    with uproot.open(template) as file:
        tree = file["Events"]
        columns = {
            branch.name: branch.array()
            for branch in tree.itervalues(recursive=True)
            if branch.num_baskets and not branch.name.endswith(_COUNTERS)
            and "hitPattern_" not in branch.name and branch.name != "EventAuxiliary"
        }  # fmt: skip
        raw = tree["EventAuxiliary"].array(uproot.AsJagged(uproot.AsDtype("u1")))
    kept = {name: column for name, column in columns.items() if column.ndim == 2}
    ballast = {f"recoUnread_unread{i}__RECO.obj.bits_": unread // 8 // _BALLAST
               for i in range(_BALLAST if unread else 0)}  # fmt: skip
    with uproot.recreate(path, compression=codec) as file:
        types = {name: column.type.content for name, column in kept.items()}
        types = _between(types, dict.fromkeys(ballast, _UINT64S))
        tree_out = file.mktree("Events", {**types, "EventAuxiliary": raw.type.content})
        for start in range(0, n_events, per_basket):
            wanted = rng.integers(0, len(raw), min(per_basket, n_events - start))
            block = {name: _varied(name, column[wanted], rng) for name, column in kept.items()}
            block |= {
                name: ak.from_regular(rng.integers(0, 1 << 64, (len(wanted), n), np.uint64))
                for name, n in ballast.items()
            }
            block["EventAuxiliary"] = _numbered(raw[wanted], start)
            tree_out.extend(block)
    return path


def _between(types: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Both, the others spread evenly between the first, as a file's branches are."""
    places = {name: (i + 0.5) / len(types) for i, name in enumerate(types)}
    places |= {name: (i + 0.5) / len(others) for i, name in enumerate(others)}
    return {name: (types | others)[name] for name in sorted(places, key=places.__getitem__)}


def _varied(name: str, column: ak.Array, rng: np.random.Generator) -> ak.Array:
    values = ak.to_numpy(ak.flatten(column))
    counts = ak.num(column)
    if name.endswith(_IDS) and "EBRecHits" not in name.split("_")[0] and "EcalRecHitsEB" in name:
        turned = _turned(values, np.repeat(rng.integers(0, 360, len(column)), counts))
        return ak.sort(ak.unflatten(turned, counts))
    if any(part in name for part in _SMEARED) or "fCoordinates" in name:
        values = (values * rng.normal(1.0, 0.01, len(values))).astype(values.dtype)
    return ak.unflatten(values, counts)


def _turned(detid: NDArray, steps: NDArray) -> NDArray[np.uint32]:
    """Barrel DetIds turned about the beam by a number of crystals."""
    iphi = (detid & 0x1FF).astype(np.int64)
    return ((detid & ~np.uint32(0x1FF)) | ((iphi - 1 + steps) % 360 + 1)).astype(np.uint32)


def _numbered(raw: ak.Array, first: int) -> ak.Array:
    """EventAuxiliary with the event numbers first+1, first+2, …: its EventID's last four bytes."""
    counts = ak.to_numpy(ak.num(raw))
    data = ak.to_numpy(ak.flatten(raw)).copy()
    starts = np.cumsum(counts) - counts
    hash_length = data[starts + 6 + 6].astype(np.int64)
    event = starts + 6 + 6 + 1 + hash_length + 6 + 8
    numbers = (first + 1 + np.arange(len(counts))).astype(">u4").view(np.uint8).reshape(-1, 4)
    data[event[:, None] + np.arange(4)] = numbers
    return ak.unflatten(data, counts)


def write_ntuple(path: Path, n_events: int, codec: Any) -> Path:
    """Write `n_events` simulated H→γγ events in the layout of the paper's ntuple."""
    with RHTreeWriter(path, LABELS["higgs"], codec) as writer:
        for k, start in enumerate(range(0, n_events, CHUNK)):
            count = min(CHUNK, n_events - start)
            chunk = Chunk("higgs", k, start, count, N_LISTS, str(SHIPPED_LISTS), 20.0, 1, True)
            result = simulate_chunk(chunk)
            writer.write(result.events, 1, result.numbers)
    return path
