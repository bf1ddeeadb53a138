"""Compare simulated with real events: a table and a figure for the documentation.

``python -m data.simulation.validation --data FOLDER``: the events of 2012 in the folder's files
are divided into a tuning and a testing half; both are compared with events simulated with as
many vertices, and with the numbers of an earlier revision (``--before``, written by ``--numbers``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path, write_json
from common.metrics import sigma_eff
from common.progress import log, setup_logging
from data.batch import Hits
from data.reconstruction import Clusters
from data.simulation import activity, vertices
from data.simulation.chunks import CHUNK, Chunk, library_of, read_lists, simulate_chunk
from data.simulation.collisions import HALVES, TESTING, read_half
from data.simulation.config import SHIPPED_LISTS
from data.simulation.detector import SimulatedEvents, select_events
from data.simulation.merit import RIGHT_VERTEX, peak, vertex_efficiency
from data.simulation.pileup import UNDERLYING_EVENTS, VERTEX_SPREAD
from data.simulation.writer import pair_columns

FloatArray = NDArray[np.float64]

EVENTS = 3 * CHUNK  # simulated for each comparison and class
HIGGS_EVENTS = 21 * CHUNK
SEED = 2013
BOOTSTRAP = 400
PILEUP_GRID = np.arange(2.0, 41.0, 2.0)


@dataclass(frozen=True)
class Group:
    """Real files that are compared together, and the classes simulated for them, mixed equally."""

    title: str
    files: tuple[str, ...]
    processes: tuple[str, ...]


GROUPS = (
    Group(
        "Photon and electron triggers",
        ("DoublePhoton_Run2012B_0.ig", "DoubleElectron_Run2012C_0.ig", "masterclass2019_22.ig"),
        ("diphoton", "gamma_jet"),
    ),
    Group("Jet triggers", ("BJetPlusX_Run2012C_0.ig",), ("dijet",)),
)


@dataclass
class Sample:
    """Numbers of one sample: per event and per photon."""

    name: str
    n_vertices: float
    hits: dict[str, Hits]
    events: dict[str, FloatArray]
    photons: dict[str, FloatArray]

    @classmethod
    def build(
        cls, name: str, hits: dict[str, Hits], clusters: Clusters, n_vertices: NDArray
    ) -> Sample:
        """Measure a sample."""
        return cls(
            name=name,
            n_vertices=float(np.mean(n_vertices)),
            hits=hits,
            events=activity.event_numbers(hits, clusters),
            photons=activity.photon_numbers(clusters),
        )


def real_sample(files: list[Path], half: str) -> Sample:
    """One half of the events of 2012 in some collision files."""
    found = read_half(files, half)
    clusters = activity.standard_photons(found.hits, found.vertex_z)
    return Sample.build(half, found.hits, clusters, found.n_vertices)


def simulate(process: str, pileup: float, n_events: int = EVENTS) -> SimulatedEvents:
    """Events of a process, all of them, whatever is found in them."""
    parts = []
    for number in range(n_events // CHUNK):
        chunk = Chunk(
            process=process,
            number=number,
            first=number * CHUNK,
            size=CHUNK,
            n_lists=n_events,
            lists=str(SHIPPED_LISTS),
            pileup=pileup,
            seed=SEED,
            keep_all=True,
        )
        parts.append(simulate_chunk(chunk).events)
    return select_events([(events, np.ones(len(events), bool)) for events in parts])


def simulated_sample(process: str, pileup: float, n_events: int = EVENTS) -> Sample:
    """Measure simulated events of a process."""
    events = simulate(process, pileup, n_events)
    return Sample.build(process, events.hits, events.photons, events.n_vertices)


def matching_pileup(n_vertices: float, process: str = "diphoton", n_events: int = 500) -> float:
    """Mean number of further interactions that gives as many reconstructed vertices on average."""
    rng = np.random.default_rng(SEED)
    library = library_of(str(SHIPPED_LISTS), SEED)
    hard = vertices.track_sums(
        read_lists(str(SHIPPED_LISTS), process).take(np.arange(n_events)), rng
    )
    found = []
    for pileup in PILEUP_GRID:
        overlay = library.draw(rng.poisson(pileup, n_events), rng)
        z = rng.normal(0, VERTEX_SPREAD, n_events)
        made = vertices.reconstruct(
            hard, z, library.sums, library.vertex_z, overlay, UNDERLYING_EVENTS, rng
        )
        found.append(len(made.event) / n_events)
    return float(np.interp(n_vertices, np.maximum.accumulate(found), PILEUP_GRID))


_PHOTON_ROWS: dict[str, tuple[str, Callable[[FloatArray], float]]] = {
    "R9, median": ("R9", lambda r9: float(np.median(r9))),
    "R9, 75 % quantile": ("R9", lambda r9: float(np.percentile(r9, 75))),
    "R9 < 0.8, share": ("R9", lambda r9: float(np.mean(r9 < 0.8))),
    "1000 sigmaIetaIeta, median": ("sigmaIetaIeta", lambda s: float(1000 * np.median(s))),
    "H/E > 0, share": ("H/E", lambda h: float(np.mean(h > 0))),
    "H/E > 0.05, share": ("H/E", lambda h: float(np.mean(h > 0.05))),
}


def numbers(samples: list[Sample]) -> dict[str, float]:
    """Value of every row: the mean over samples."""
    rows = {
        name: float(np.mean([sample.events[name].mean() for sample in samples]))
        for name in samples[0].events
    }
    for name, (column, measure) in _PHOTON_ROWS.items():
        rows[name] = float(np.mean([measure(sample.photons[column]) for sample in samples]))
    return rows


def errors(real: Sample) -> dict[str, float]:
    """Standard error of every row of a real sample; of photons' rows by the bootstrap."""
    rng = np.random.default_rng(SEED)
    rows = {}
    for name, values in real.events.items():
        # nothing seen in n events is compatible with one
        rows[name] = max(float(values.std(ddof=1)) / np.sqrt(len(values)), 1 / len(values))
    for name, (column, measure) in _PHOTON_ROWS.items():
        values = real.photons[column]
        drawn = [measure(values[rng.integers(0, len(values), len(values))])
                 for _ in range(BOOTSTRAP)]  # fmt: skip
        least = 1 / len(values) if name.endswith("share") else 1e-3
        rows[name] = max(float(np.std(drawn)), least)
    return rows


def comparison(
    real: Sample, simulated: dict[str, float], before: dict[str, float] | None
) -> list[str]:
    """Markdown lines that compare a half of the real events with the simulation, now and before."""
    error, values = errors(real), numbers([real])
    lines = ["| | collisions | before | pull | now | pull |", "| --- |" + " ---: |" * 5]
    chi2 = {"before": 0.0, "now": 0.0}
    n_rows = 0
    for name, value in values.items():
        pulls = {}
        for which, rows in (("before", before or {}), ("now", simulated)):
            pulls[which] = (rows[name] - value) / error[name] if name in rows else np.nan
        if activity.is_pileup_row(name):
            n_rows += 1
            chi2 = {which: total + pulls[which] ** 2 for which, total in chi2.items()}
            name = f"**{name}**"
        row = name.strip("*")
        old = (before or {}).get(row, np.nan)
        lines.append(
            f"| {name} | {value:.3g} ± {error[row]:.2g} | {old:.3g} | {pulls['before']:+.1f} "
            f"| {simulated[row]:.3g} | {pulls['now']:+.1f} |"
        )
    lines += [
        f"| sum of squared pulls, {n_rows} rows in bold | | | {chi2['before']:.0f} | "
        f"| {chi2['now']:.0f} |"
    ]
    text = "\n".join(lines).replace("| nan |", "| – |").replace("| +nan |", "| – |")
    return [*text.split("\n"), ""]


def mass_and_vertex() -> list[str]:
    """Peak and width of the Higgs sample, and how often the right vertex is chosen."""
    lines, found = [], {}
    for process in ("higgs", "diphoton", "gamma_jet"):
        events = simulate(process, 20.0, HIGGS_EVENTS if process == "higgs" else EVENTS)
        found[process] = vertex_efficiency(events)
        if process == "higgs":
            mass = pair_columns(events)["m0"].astype(np.float64)
            inside = (mass > 100) & (mass < 150)
            right = inside & (np.abs(events.vertex_z - events.true_z) < RIGHT_VERTEX)
            lines.append(
                f"H → γγ, mean pile-up 20, leading pair of standard photons: peak "
                f"{peak(mass[inside]):.2f} GeV, σ_eff {sigma_eff(mass[inside]):.2f} GeV within "
                f"100-150 GeV ({inside.sum()} events), {sigma_eff(mass[right]):.2f} GeV with the "
                "right vertex."
            )
    shares = ", ".join(f"{process} {100 * share:.0f} %" for process, share in found.items())
    return [
        *lines,
        "",
        f"Chosen vertex within 1 cm of the true one, mean pile-up 20: {shares}.",
        "",
    ]


def main(arguments: list[str] | None = None) -> Path:
    """Write ``simulation_table.md`` and ``figures/simulation_spectra.png`` and return the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the collision files")
    parser.add_argument("--before", type=Path, help="numbers of an earlier revision")
    parser.add_argument("--numbers", type=Path, help="file to write this revision's numbers to")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder to write in")
    options = parser.parse_args(arguments)
    setup_logging()
    before = json.loads(options.before.read_text(encoding="utf-8")) if options.before else {}
    lines = ["# Simulated against real events", "", *_INTRODUCTION, "", *mass_and_vertex()]
    kept: dict[str, dict[str, Any]] = {}
    for group in GROUPS:
        for half in HALVES:
            real = real_sample([options.data / name for name in group.files], half)
            pileup = matching_pileup(real.n_vertices, group.processes[0])
            log.info("%s, %s: %.1f further interactions", group.title, half, pileup)
            simulated = [simulated_sample(process, pileup) for process in group.processes]
            rows = numbers(simulated)
            kept.setdefault(group.title, {})[half] = rows
            lines += [
                f"### {group.title}, {half} half",
                "",
                f"{len(real.hits['EB'])} events with {real.n_vertices:.1f} vertices and "
                f"{len(real.photons['R9'])} clusters, against {' and '.join(group.processes)} with "
                f"{pileup:.1f} further interactions.",
                "",
                *comparison(real, rows, before.get(group.title, {}).get(half)),
            ]
            if half == TESTING and group is GROUPS[0]:
                _draw(real, simulated, options.output / "figures")
    if options.numbers:
        write_json(options.numbers, kept)
    with atomic_path(options.output / "simulation_table.md") as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    return options.output / "simulation_table.md"


def _draw(real: Sample, simulated: list[Sample], folder: Path) -> None:
    from data.simulation.plots import spectra

    folder.mkdir(parents=True, exist_ok=True)
    figure = spectra(real, simulated)
    figure.savefig(folder / "simulation_spectra.png", dpi=110, bbox_inches="tight")


_INTRODUCTION = (
    "Written by `python -m data.simulation.validation`. Public collision events of 2012, those at",
    "even positions of each file used for tuning, those at odd ones for testing only. Means per",
    "event with the standard error of the collisions; simulated errors are smaller. A pull is the",
    "difference over that error. HB stands for |ieta| <= 15, 'below eta 2' for |eta| < 2; clusters",
    "are the standard reconstruction's in the barrel, pt > 20 GeV, no identification. The classes",
    "simulated are mixed equally. The collision files hold whatever fired their triggers, not this",
    "mixture: agreement is to be expected of the rows in bold, which pile-up decides, not of those",
    "of the hard process. Pulls are correlated: all move with the number of interactions.",
)


if __name__ == "__main__":
    main()
