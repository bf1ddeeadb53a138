"""A store of simulated dijets, made the way a user makes one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.config import PreprocessConfig
from data.preprocessing.stage import run as preprocess
from data.simulation.config import SHIPPED_LISTS, SimulateConfig
from data.simulation.particles import read, write
from data.simulation.stage import run as simulate

N_EVENTS = 160


def make_store(folder: Path) -> Path:
    """Simulate some shipped dijets with little pile-up, which takes seconds; needs fastjet."""
    for process, n in (("dijet", N_EVENTS), ("minimum_bias", 60)):
        some = read(SHIPPED_LISTS / f"{process}_0.npz.xz").take(np.arange(n))
        write(folder / f"{process}_0.npz.xz", some)
    events = {"higgs": 0, "diphoton": 0, "gamma_jet": 0, "dijet": None}
    simulate(SimulateConfig(output=folder, lists=folder, events=events, pileup=5))
    files = [str(path) for path in folder.glob("dijet_*.root")]
    preprocess(PreprocessConfig(input=files, output=folder / "jets.h5", selection="none"))
    return folder / "jets.h5"
