"""The profile stage: simulate photons with their profiles, train, judge, draw."""

from __future__ import annotations

from pathlib import Path

from common.runs import RunFolder
from rl.profile.config import ProfileConfig
from rl.profile.figures import add_figures
from rl.profile.judge import judge, methods_of
from rl.profile.real import draw_real
from rl.profile.samples import load_study, prepare
from rl.profile.tables import add_tables
from rl.profile.training import train_all


def run(config: ProfileConfig) -> Path:
    """Train the agent that refines profiles, its peers and controls; returns the run folder.

    Simulated photons, networks, agents and judged photons are files of their own: a run that was
    killed goes on where it stopped.

    Raises
    ------
    InputError
        If a file of collisions cannot be read, or a part of the photons is damaged.
    """
    real = [path for path in config.real if path.is_file()]
    folder = RunFolder(config.output, "profile", config, real)
    if folder.is_complete():
        folder.log.info("profile: complete already: %s", config.output)
        return folder.folder
    prepare(config)
    study = load_study(config.model_dump_json())
    folder.log.info(
        "profile: %d photons to train, %d to judge", len(study.train.photons),
        len(study.test.photons),
    )  # fmt: skip
    train_all(config, folder.log)
    judged = judge(config, study, folder.log)
    methods = methods_of(config, study)
    add_tables(folder, judged, study, config)
    add_figures(folder, judged, study, config, methods)
    for path in set(config.real) - set(real):
        folder.log.warning("profile: %s is not at hand: its photons are not drawn", path)
    for number, path in enumerate(real):
        draw_real(folder, path, number, study.train.dynamics.inputs, methods, config)
    folder.complete()
    return folder.folder
