"""The `apply` stage: a trained chain on files, real ones above all."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import data.preprocessing.stage
from common.config import build
from common.errors import InputError
from common.files import atomic_path
from common.progress import progress
from common.runs import RunFolder
from data.config import PreprocessConfig
from data.store import EventStore
from envs.photons.low_level import FILE, LowLevelOutputs, low_level_outputs
from envs.refinement.dynamics import ACTION_NAMES
from rl.evaluation.metrics import STANDARD, Sample
from rl.evaluation.pairs import corrected
from rl.refinement.config import ApplyConfig
from rl.refinement.pictures import EventPicture, draw_event
from rl.refinement.products import write_refined
from rl.refinement.refiner import Refiner, agent_files
from rl.refinement.samples import read_photons

_SCORES = ("score_diphoton", "score_higgs", "score_gamma_jet")
_SHOWN_OF_PHOTON = ("energy", "eta", "phi", "u", "v")
_TABLE_ROWS = 30  # shown in the report; the file has them all


def run(config: ApplyConfig) -> Path:
    """Preprocess, classify, refine; write `table.csv`, `refined.h5` and event pictures.

    Returns
    -------
    Path
        The table.

    Raises
    ------
    InputError
        If the agent was trained on another classifier's outputs, or no event is selected.
    """
    folder = RunFolder(config.output, "apply", config, [*config.input, *_models(config)])
    table_path = folder.path("table.csv")
    if folder.is_complete():
        folder.log.info("apply: complete already: %s", table_path)
        return table_path
    refiner = Refiner.load(config.agent)
    store_path = _event_store(config, folder)
    outputs = low_level_outputs(store_path, config.classifier, folder.path(FILE))
    if refiner.needs_classifier:
        refiner.check_classifier(outputs.classifier_sha256, config.classifier)
    photons = read_photons(store_path, outputs)
    rollout = refiner.refine(photons.table)
    none = np.zeros_like(rollout.final)
    sample = Sample(photons.table, photons.vertex_z, {STANDARD: none, "agent": rollout.final})
    attributes = {
        "simulation": photons.simulation,
        "agent": refiner.algorithm,
        "classifier_sha256": outputs.classifier_sha256,
    }
    write_refined(folder.path("refined.h5"), store_path, sample, attributes)
    table = EventTable.of(store_path, sample, outputs)
    table.write(table_path)
    _report(folder, table, sample, photons.simulation)
    _pictures(config, folder, store_path, table, photons.simulation)
    folder.write_metrics({"events": len(table), "pairs_in_barrel": int(table.has_pair.sum())})
    folder.complete()
    return table_path


@dataclass(frozen=True)
class EventTable:
    """One row per event: identity, scores, masses, and both photons before and after.

    Attributes
    ----------
    columns
        Column name to (N,) values; NaN where there is no photon or pair.
    """

    columns: dict[str, NDArray[Any]]

    @classmethod
    def of(cls, store_path: Path, sample: Sample, outputs: LowLevelOutputs) -> EventTable:
        """Collect the columns."""
        with EventStore(store_path) as store:
            columns = {name: store.event(name) for name in ("run", "lumi", "event")}
            columns["m_gg_file"] = store.event("m_gg")
        n_events = len(columns["run"])
        columns |= {name: outputs.scores[:, k] for k, name in enumerate(_SCORES)}
        pairs = sample.pairs
        for name, method in (("m_gg_standard", STANDARD), ("m_gg_refined", "agent")):
            mass = np.full(n_events, np.nan)
            mass[pairs.row] = pairs.masses(sample.corrections[method])
            columns[name] = mass
        return cls(columns | _photon_columns(sample, n_events))

    def __len__(self) -> int:
        return len(self.columns["run"])

    @property
    def has_pair(self) -> NDArray[np.bool_]:
        """(N,) events with two standard photons in the barrel."""
        return np.isfinite(self.columns["m_gg_standard"])

    def write(self, path: Path) -> None:
        """Write as CSV: GeV, radians, crystals; empty where there is no value."""
        rows = zip(*(_texts(values) for values in self.columns.values()), strict=True)
        with atomic_path(path) as temporary, open(temporary, "w", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(rows)


def _photon_columns(sample: Sample, n_events: int) -> dict[str, NDArray[Any]]:
    table = sample.table
    vertex_z = sample.vertex_z[table.row]
    values: dict[str, NDArray[Any]] = {}
    for kind, method in (("standard", STANDARD), ("refined", "agent")):
        photons = corrected(table, sample.corrections[method], vertex_z)
        values |= {f"{name}_{kind}": getattr(photons, name) for name in _SHOWN_OF_PHOTON}
    for k, name in enumerate(ACTION_NAMES):
        values[f"change_{name}"] = sample.corrections["agent"][:, k]
    columns: dict[str, NDArray[Any]] = {}
    for slot in (0, 1):
        here = table.slot == slot
        for name, value in values.items():
            column = np.full(n_events, np.nan)
            column[table.row[here]] = value[here]
            columns[f"{name}_{slot + 1}"] = column
    return columns


def _texts(values: NDArray[Any]) -> list[str]:
    if np.issubdtype(values.dtype, np.integer):
        return [str(value) for value in values.tolist()]
    return ["" if value != value else f"{value:.6g}" for value in values.tolist()]


def _models(config: ApplyConfig) -> list[Path]:
    classifier = config.classifier
    found = [classifier / "classifier.pt" if classifier.is_dir() else classifier]
    found += agent_files(config.agent)
    for path in (*config.input, *found):
        if not path.is_file():
            raise InputError(path, "no such file")
    return found


def _event_store(config: ApplyConfig, folder: RunFolder) -> Path:
    """The input as an event store; an input that is one already is taken as it is."""
    if len(config.input) == 1 and h5py.is_hdf5(config.input[0]):
        return config.input[0]
    path = folder.path("events.h5")
    settings = {"input": config.input, "output": path, "selection": config.selection}
    data.preprocessing.stage.run(build(PreprocessConfig, settings))
    with EventStore(path) as store:
        if len(store) == 0:
            raise InputError(
                config.input[0],
                f"none of the events passes the selection {config.selection}",
                "try selection=pair",
            )
    return path


def _report(folder: RunFolder, table: EventTable, sample: Sample, simulation: bool) -> None:
    columns = table.columns
    shown = np.flatnonzero(table.has_pair)[:_TABLE_ROWS]
    rows = [
        (
            ":".join(str(columns[name][i]) for name in ("run", "lumi", "event")),
            *(f"{columns[name][i]:.3f}" for name in _SCORES),
            *(f"{columns[f'm_gg_{kind}'][i]:.2f}" for kind in ("file", "standard", "refined")),
            *(f"{100 * columns[f'change_log_energy_{k}'][i]:+.2f}" for k in (1, 2)),
        )
        for i in shown
    ]
    folder.add_table(
        "Simulated events" if simulation else "Collision events",
        ("run:lumi:event", "γγ", "H→γγ", "γ+jet", "m (file)", "m (standard)", "m (refined)",
         "Δ log E₁ %", "Δ log E₂ %"),
        rows,
        "Scores, masses in GeV and energy corrections. Models trained on simulation: read "
        "docs/trust.md before believing a number.",
    )  # fmt: skip


def _pictures(
    config: ApplyConfig, folder: RunFolder, store_path: Path, table: EventTable, simulation: bool
) -> None:
    chosen = np.flatnonzero(table.has_pair)[: config.pictures]
    with EventStore(store_path) as store:
        for row in progress(chosen.tolist(), desc="pictures", unit="events"):
            hits = {c: store.hits(c, row, row + 1) for c in store.channels}
            values = {name: column[row] for name, column in table.columns.items()}
            picture = EventPicture(hits, values, simulation)
            name = f"event_{values['run']}_{values['lumi']}_{values['event']}"
            folder.save_figure(
                draw_event(picture), name, "Photons before (×) and after (+) refinement."
            )
