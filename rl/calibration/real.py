"""What regression and calibration do to the mass of real Z → ee candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import data.preprocessing.stage
from common.config import build
from common.files import atomic_path
from common.metrics import bootstrap
from common.runs import RunFolder
from data.config import PreprocessConfig
from data.store import EventStore
from envs.photons.table import FloatArray, PhotonTable
from rl.evaluation.pairs import Floats, Pairs
from rl.refinement.samples import read_photons

#: Corrections (n, 3) of log energy, u and v by method.
Corrections = Mapping[str, Callable[[PhotonTable], FloatArray]]

Z_MASS = 91.19  # GeV
WINDOW = (80.0, 100.0)  # GeV, of the file's own mass
_REPLICAS = 1000


def look(corrections: Corrections, files: list[Path], folder: RunFolder) -> dict[str, Any]:
    """Masses of the candidates of all files, before and after.

    A candidate is a pair of standard clusters in the barrel whose mass in the file, made of CMS's
    own photons, is inside the window.

    Returns
    -------
    dict
        Number of candidates; per method mean and median of the masses and mean of m / m_file - 1
        (per cent), with errors; the masses themselves under `masses`.
    """
    found = [_masses(path, corrections, folder) for path in files]
    if not found or not sum(len(masses["file"]) for masses in found):
        return {"candidates": 0, "files": [path.name for path in files]}
    masses = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    with atomic_path(folder.path("real.csv")) as temporary:
        columns = np.stack(list(masses.values()), axis=1)
        np.savetxt(temporary, columns, "%.2f", ",", header=",".join(masses), comments="")
    return {
        "candidates": len(masses["file"]),
        "files": [path.name for path in files],
        "methods": {name: _summary(mass, masses["file"]) for name, mass in masses.items()},
        "masses": {name: mass.tolist() for name, mass in masses.items()},
    }


def _masses(path: Path, corrections: Corrections, folder: RunFolder) -> dict[str, Floats]:
    """Masses of one file's candidates by method; `file` is CMS's own."""
    store_path = folder.path(f"parts/real/{path.stem}.h5")
    settings = {"input": [path], "output": store_path, "selection": "pair"}
    data.preprocessing.stage.run(build(PreprocessConfig, settings))
    with EventStore(store_path) as store:
        own = store.event("m_gg").astype(np.float64)
        has_photons = bool(np.isfinite(store.clusters("energy")).any())
    if not has_photons:
        return {name: np.zeros(0) for name in ("file", "standard", *corrections)}
    photons = read_photons(store_path, None)
    pairs = Pairs.of(photons.table, photons.vertex_z)
    own = own[pairs.row]
    near = (own > WINDOW[0]) & (own < WINDOW[1])
    none = np.zeros((len(photons.table), 3), dtype=np.float32)
    masses = {"file": own[near], "standard": pairs.masses(none)[near]}
    return masses | {
        name: pairs.masses(correct(photons.table))[near] for name, correct in corrections.items()
    }


def _summary(mass: Floats, own: Floats) -> dict[str, dict[str, float]]:
    """Mean and median with errors: of a mean by the spread, of the median by bootstrap."""
    median_error = float(bootstrap(lambda x: float(np.median(x)), mass, n=_REPLICAS))
    return {
        "mean": _mean(mass),
        "median": {"value": float(np.median(mass)), "error": median_error},
        "ratio": _mean(100 * (mass / own - 1)),
    }


def _mean(values: Floats) -> dict[str, float]:
    error = float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return {"value": float(values.mean()), "error": error}
