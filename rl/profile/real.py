"""Profiles of photons of collisions: what the methods say where nobody knows the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

import data.preprocessing.stage
from common.config import build
from common.runs import RunFolder
from data.config import PreprocessConfig
from data.store import EventStore
from envs.photons.gather import gather_photons
from envs.profile.dynamics import ProfileDynamics
from envs.profile.observation import ProfileInputs
from rl.profile import judge
from rl.profile.config import ProfileConfig
from rl.profile.figures import SHOWN, profiles_figure
from rl.profile.metrics import describe

_PHOTONS = 3
_SHOWN_OF_PHOTON = ("energy", "r9", "width", "spread")


def draw_real(
    folder: RunFolder,
    path: Path,
    number: int,
    inputs: ProfileInputs,
    methods: Mapping[str, list[judge.Method]],
    config: ProfileConfig,
) -> None:
    """Draw the first photons of selected events of a file, and list what their profiles say."""
    store_path = folder.path(f"collisions_{number}.h5")
    settings = {"input": [path], "output": store_path, "selection": "diphoton2012"}
    data.preprocessing.stage.run(build(PreprocessConfig, settings))
    with EventStore(store_path) as store:
        table = gather_photons(store)
        identity = [store.event(name) for name in ("run", "lumi", "event")]
    table = table.take(np.arange(min(_PHOTONS, len(table))))
    if not len(table):
        folder.log.warning("profile: no event of %s passes the selection diphoton2012", path)
        return
    dynamics = ProfileDynamics(table, inputs, config.environment)
    drawn = {"crystals": dynamics.observed(np.arange(len(table)))}
    drawn |= {name: methods[name][0](dynamics) for name in SHOWN[1:]}
    names = [":".join(str(column[row]) for column in identity) for row in table.row]
    columns = {
        f"{table.energy[k]:.0f} GeV, {names[k].split(':')[-1]}/{table.slot[k] + 1}": {
            name: values[k] for name, values in drawn.items()
        }
        for k in range(len(table))
    }
    caption = (
        "Photons of collisions: what methods that learned from simulation say. Nobody knows their "
        "true profiles."
    )
    folder.save_figure(profiles_figure(columns, simulation=False), f"collisions_{number}", caption)
    said = describe(drawn[judge.AGENTS])
    values = {"energy": table.energy, "r9": table.r9, **said}
    folder.add_table(
        f"Collisions {number}",
        ("photon", "E, GeV", "R9", "width in phi, crystals", "spread of the legs, crystals"),
        [
            (f"{names[k]}, {table.slot[k] + 1}", *(float(values[n][k]) for n in _SHOWN_OF_PHOTON))
            for k in range(len(table))
        ],
        f"The agent's profiles. {caption}",
    )  # fmt: skip
