"""Compare simulated with real events: a table and a figure for the documentation.

``python -m data.simulation.validation --tuned DoublePhoton.ig --judged DoubleElectron.ig
BJetPlusX.ig``: diphoton and photon + jet events are simulated with as much pile-up as each real
file's mean number of vertices says; the detector was tuned on the first file only.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.files import atomic_path
from common.metrics import sigma_eff
from common.progress import log, setup_logging
from data.batch import Hits
from data.reconstruction import Clusters
from data.simulation import activity
from data.simulation.chunks import CHUNK, Chunk, simulate_chunk
from data.simulation.config import SHIPPED_LISTS
from data.simulation.detector import SimulatedEvents, select_events
from data.simulation.writer import pair_columns
from data.sources import open_source

FloatArray = NDArray[np.float64]

EVENTS = 3 * CHUNK  # simulated for each comparison
SEED = 2013
VERTEX_EFFICIENCY = 0.74  # vertices found for each further interaction
PEAK_SHARE = 0.4  # of the events, in the interval whose mean is called the peak


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


def real_sample(path: Path) -> Sample:
    """All events of a collision file."""
    with open_source(path) as source:
        batch = next(source.batches(0, source.n_events, source.n_events))
    vertex_z = np.zeros(len(batch)) if batch.vertex_z is None else np.asarray(batch.vertex_z)
    clusters = activity.standard_photons(batch.hits, vertex_z)
    n_vertices = np.zeros(0) if batch.n_vertices is None else batch.n_vertices
    return Sample.build(path.stem, batch.hits, clusters, n_vertices)


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


def simulated_sample(process: str, pileup: float) -> Sample:
    """Measure simulated events of a process."""
    events = simulate(process, pileup)
    return Sample.build(process, events.hits, events.photons, events.n_vertices)


def peak(mass: FloatArray) -> float:
    """Mean of the narrowest interval that holds 40 % of the masses."""
    ordered = np.sort(mass)
    n = int(PEAK_SHARE * len(ordered))
    low = int(np.argmin(ordered[n:] - ordered[:-n]))
    return float(ordered[low : low + n].mean())


def comparison(real: Sample, simulated: list[Sample], role: str) -> list[str]:
    """Markdown lines that compare one real file with simulated samples."""
    lines = [
        f"### {real.name} ({role}; {real.n_vertices:.1f} vertices)",
        "",
        "| | collisions | " + " | ".join(f"sim {s.name}" for s in simulated) + " |",
        "| --- | ---: |" + " ---: |" * len(simulated),
    ]
    for name, values in real.events.items():
        error = values.std(ddof=1) / np.sqrt(len(values))
        cells = [f"{values.mean():.1f} ± {error:.1f}"]
        cells += [f"{s.events[name].mean():.1f}" for s in simulated]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name, measure in _PHOTON_ROWS.items():
        rows = [measure(s.photons) for s in (real, *simulated)]
        lines.append(f"| {name} | " + " | ".join(f"{r:.3g}" for r in rows) + " |")
    photons = [len(s.photons["R9"]) for s in (real, *simulated)]
    lines.append("| clusters in these rows | " + " | ".join(map(str, photons)) + " |")
    return [*lines, ""]


_PHOTON_ROWS = {
    "R9, median": lambda p: np.median(p["R9"]),
    "R9 < 0.8, share": lambda p: np.mean(p["R9"] < 0.8),
    "1000 sigmaIetaIeta, median": lambda p: 1000 * np.median(p["sigmaIetaIeta"]),
    "1000 sigmaIetaIeta, 84 % quantile": lambda p: 1000 * np.percentile(p["sigmaIetaIeta"], 84),
    "H/E > 0, share": lambda p: np.mean(p["H/E"] > 0),
    "H/E > 0.05, share": lambda p: np.mean(p["H/E"] > 0.05),
}


def higgs_mass() -> str:
    """The peak and width of the Higgs sample with the standard reconstruction."""
    events = simulate("higgs", 20.0, 21 * CHUNK)
    mass = pair_columns(events)["m0"].astype(np.float64)
    near = mass[(mass > 100) & (mass < 150)]
    return (
        f"H → γγ, mean pile-up 20, leading pair of standard photons: peak "
        f"{peak(near):.2f} GeV, σ_eff {sigma_eff(near):.2f} GeV within 100-150 GeV "
        f"({len(near)} events)."
    )


def main(arguments: list[str] | None = None) -> Path:
    """Write ``simulation_table.md`` and ``figures/simulation_spectra.png`` and return the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tuned", type=Path, required=True, help="file the detector was tuned on")
    parser.add_argument("--judged", type=Path, nargs="*", default=[], help="other files")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder to write in")
    options = parser.parse_args(arguments)
    setup_logging()
    lines = ["# Simulated against real events", "", *_INTRODUCTION, "", higgs_mass(), ""]
    samples = []
    for path in (options.tuned, *options.judged):
        real = real_sample(path)
        pileup = real.n_vertices / VERTEX_EFFICIENCY
        log.info("%s: simulating with %.1f further interactions", path.name, pileup)
        simulated = [simulated_sample(p, pileup) for p in ("diphoton", "gamma_jet")]
        role = "tuned on" if path == options.tuned else "not used for tuning"
        lines += comparison(real, simulated, role)
        samples.append((real, simulated))
    from data.simulation.plots import spectra

    figure = spectra(*samples[0])
    figures = options.output / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    figure.savefig(figures / "simulation_spectra.png", dpi=110, bbox_inches="tight")
    with atomic_path(options.output / "simulation_table.md") as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")
    return options.output / "simulation_table.md"


_INTRODUCTION = (
    "Written by `python -m data.simulation.validation`. Means per event with the standard error",
    "of the collision files, 25 events each; simulated errors are smaller. HB stands for",
    "|ieta| <= 15; clusters are the standard reconstruction's in the barrel, pt > 20 GeV, no",
    "identification. The collision files hold whatever fired their triggers, mostly jets that",
    "look like photons, and not a mixture of these two processes: agreement is to be expected of",
    "the rows that pile-up decides, not of the rows that the hard process decides.",
)


if __name__ == "__main__":
    main()
