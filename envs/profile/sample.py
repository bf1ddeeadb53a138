"""Small samples: photons, their showers, fitted inputs and settings in one file.

Made by `python -m envs.profile.sample`; the showers are kept instead of the profiles, which are
made of them when a sample is read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.config import build
from common.errors import InputError, PipelineError
from common.files import atomic_path
from common.progress import log, setup_logging
from data.simulation.shower_profile import Showers
from envs.photons.table import PhotonTable
from envs.profile.config import ProfileEnvironmentConfig
from envs.profile.observation import ProfileInputs
from envs.profile.photons import PhotonShowers, ProfilePhotons
from envs.profile.simulate import simulate_showers

SHIPPED = Path(__file__).parent / "samples" / "gun.npz"
PILEUP = 20.0
_MEASURED_EVENTS = 2000  # of which the inputs' means are made


def write_sample(
    path: str | Path,
    photons: PhotonShowers,
    inputs: ProfileInputs,
    config: ProfileEnvironmentConfig,
) -> None:
    """Write photons with their showers, fitted inputs and settings as a NumPy archive."""
    columns = photons.photons.columns()
    columns["crop"] = columns["crop"].astype(np.float16)
    truth = {**vars(photons.showers), "owner": photons.owner, "radius": photons.radius}
    groups = {"photons/": columns, "truth/": truth, "inputs/": inputs.to_arrays()}
    content: dict[str, Any] = {"settings": np.array(config.model_dump_json())}
    for group, arrays in groups.items():
        content |= {group + name: _small(array) for name, array in arrays.items()}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **content)


def read_sample(
    path: str | Path | None = None,
) -> tuple[ProfilePhotons, ProfileInputs, ProfileEnvironmentConfig]:
    """Read a sample; the one shipped with the project for None.

    Raises
    ------
    InputError
        If the file is missing or is no such archive.
    """
    path = SHIPPED if path is None else Path(path)
    try:
        with np.load(path) as archive:
            content = {name: archive[name] for name in archive.files}
        columns, truth, fitted = (_group(content, g) for g in ("photons/", "truth/", "inputs/"))
        config = build(
            ProfileEnvironmentConfig,
            ProfileEnvironmentConfig.model_validate_json(str(content["settings"])).model_dump(),
        )
        owner, radius = truth.pop("owner"), truth.pop("radius")
        photons = PhotonShowers(PhotonTable(**columns), Showers(**truth), owner, radius)
        inputs = ProfileInputs.from_arrays(fitted)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise InputError(
            path, f"not a sample of photons with profiles ({error})",
            "make one with `python -m envs.profile.sample`",
        ) from error  # fmt: skip
    return photons.with_profiles(), inputs, config


def make_sample(path: Path, photons: int, seed: int) -> None:
    """Simulate photons of the gun, measure the inputs on all of them and write the first few."""
    measured = simulate_showers(0, max(_MEASURED_EVENTS, photons), PILEUP, seed)
    inputs = ProfileInputs.fit(measured.photons)
    write_sample(path, measured.take(photons), inputs, ProfileEnvironmentConfig())
    log.info("%d photons written to %s", photons, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m envs.profile.sample", description=__doc__)
    parser.add_argument("--output", type=Path, default=SHIPPED, help="sample to write")
    parser.add_argument("--photons", type=int, default=1000, help="photons in the sample")
    parser.add_argument("--seed", type=int, default=1, help="seed of the simulation")
    arguments = parser.parse_args(argv)
    setup_logging()
    try:
        make_sample(arguments.output, arguments.photons, arguments.seed)
    except PipelineError as error:
        log.error("error: %s", error)
        return 1
    return 0


def _small(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _group(content: dict[str, NDArray[Any]], group: str) -> dict[str, NDArray[Any]]:
    """Arrays of a group, half precision made single."""
    return {
        name.removeprefix(group): a.astype(np.float32) if a.dtype == np.float16 else a
        for name, a in content.items()
        if name.startswith(group)
    }


if __name__ == "__main__":
    sys.exit(main())
