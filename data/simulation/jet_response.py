"""Measure the response of calorimeter jets: ``python -m data.simulation.jet_response``.

Prints the constants `RESPONSE` of `data.simulation.jets`, the closure of those in use, and how well
partons and generated jets are found.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.progress import progress
from data.simulation.config import SHIPPED_LISTS
from data.simulation.detector import simulate_events
from data.simulation.jets import RESPONSE, Jets, corrected
from data.simulation.particles import read_process
from data.simulation.pileup import VERTEX_SPREAD, MinimumBiasLibrary

FloatArray = NDArray[np.float64]
BATCH = 64
PT_BINS = (40.0, 55.0, 70.0, 85.0, 100.0, 120.0, 150.0, 200.0)  # GeV, of generated jets


def simulate_jets(lists: Path, n_events: int, pileup: float, seed: int) -> Jets:
    """Jets of dijet events."""
    rng = np.random.default_rng(seed)
    library = MinimumBiasLibrary.simulate(read_process(lists, "minimum_bias"), rng)
    dijets = read_process(lists, "dijet")
    parts = []
    starts = range(0, min(n_events, len(dijets)), BATCH)
    for first in progress(iter(starts), len(starts), "dijets", f"x {BATCH} events"):
        some = dijets.take(np.arange(first, min(first + BATCH, len(dijets))))
        vertex_z = rng.normal(0, VERTEX_SPREAD, len(some))
        parts.append(simulate_events(some, library, pileup, rng, vertex_z).jets)
    columns = Jets.__dataclass_fields__
    return Jets(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in columns})


def uncorrected(pt: FloatArray, eta: FloatArray) -> FloatArray:
    """Inverse of `corrected`, to 0.01 GeV."""
    raw = np.geomspace(5, 600, 6000)
    limits = [limit for limit, _, _ in RESPONSE[:-1]]
    bins = np.searchsorted(limits, np.abs(eta))
    result = np.zeros(len(pt))
    for k, middle in enumerate([0.0, *(limit + 0.01 for limit in limits)]):
        curve = corrected(raw, np.full(len(raw), middle))
        result[bins == k] = np.interp(pt[bins == k], curve, raw)
    return result


def medians(response: FloatArray, pt: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median of the response and its relative half width of 68 % in bins of generated pt."""
    middle, width = np.full(len(PT_BINS) - 1, np.nan), np.full(len(PT_BINS) - 1, np.nan)
    for k, (low, high) in enumerate(itertools.pairwise(PT_BINS)):
        inside = response[(pt > low) & (pt <= high)]
        if len(inside) > 20:
            lower, middle[k], upper = np.percentile(inside, [16, 50, 84])
            width[k] = (upper - lower) / 2 / middle[k]
    return middle, width


def main(arguments: list[str] | None = None) -> None:
    """Simulate, fit and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lists", type=Path, default=SHIPPED_LISTS, help="particle lists")
    parser.add_argument("--events", type=int, default=10_000, help="dijet events at most")
    parser.add_argument("--pileup", type=float, default=20.0, help="mean pile-up")
    parser.add_argument("--seed", type=int, default=1, help="seed")
    options = parser.parse_args(arguments)
    jets = simulate_jets(options.lists, options.events, options.pileup, options.seed)
    found = np.isfinite(jets.generated_pt)
    truth = jets.generated_pt[found]
    raw = uncorrected(jets.pt[found], jets.eta[found])
    centres = np.sqrt(np.array(PT_BINS[:-1]) * PT_BINS[1:])
    low = 0.0
    for limit, _, _ in RESPONSE:
        inside = (np.abs(jets.eta[found]) >= low) & (np.abs(jets.eta[found]) < limit)
        middle, _ = medians((raw / truth)[inside], truth[inside])
        closure, width = medians((jets.pt[found] / truth)[inside], truth[inside])
        known = np.isfinite(middle)
        b, a = np.polyfit(np.log(centres / 80)[known], middle[known], 1)
        print(f"|eta| {low}-{limit}: RESPONSE ({limit}, {a:.3f}, {b:.3f})")
        print("  generated pt    " + " ".join(f"{c:6.0f}" for c in centres))
        print("  pt / generated  " + " ".join(f"{c:6.3f}" for c in closure))
        print("  width           " + " ".join(f"{w:6.3f}" for w in width))
        low = limit
    hard = (jets.pt > 70) & (np.abs(jets.eta) < 1.8)
    print(f"{hard.sum()} jets above 70 GeV, |eta| < 1.8: matched to a generated jet "
          f"{np.isfinite(jets.generated_pt[hard]).mean():.3f}, to a parton "
          f"{(jets.pdg_id[hard] > 0).mean():.3f}; quarks {(jets.is_quark[hard] == 1).mean():.3f}, "
          f"gluons {(jets.is_quark[hard] == 0).mean():.3f}, "
          f"c, b {np.isin(jets.pdg_id[hard], (4, 5)).mean():.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
