"""Samples: a photon table with its fitted observation model and settings in one small file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common.config import build
from common.errors import InputError
from common.files import atomic_path
from envs.photons.table import PhotonTable
from envs.refinement.config import EnvironmentConfig
from envs.refinement.observation import ObservationModel

SHIPPED = Path(__file__).parent / "samples" / "gun.npz"
_HALF = ("crop", "embedding", "feature_map", "regression")  # stored with 11 bits, to be small


def write_sample(
    path: str | Path, table: PhotonTable, model: ObservationModel, config: EnvironmentConfig
) -> None:
    """Write photons, observation model and settings as a compressed NumPy archive.

    The feature map is stored projected, so the archive stays small; the model's projection is
    replaced by the identity.
    """
    columns = table.columns()
    arrays = model.to_arrays()
    if model.projection is not None and table.feature_map is not None:
        columns["feature_map"] = model.projection(table.feature_map)
        size = columns["feature_map"].shape[1]
        arrays["projection_mean"] = np.zeros(size, dtype=np.float32)
        arrays["projection_components"] = np.eye(size, dtype=np.float32)
    elif model.projection is None:
        columns.pop("feature_map", None)
    columns = {k: v.astype(np.float16) if k in _HALF else v for k, v in columns.items()}
    content: dict[str, Any] = {"settings": np.array(config.model_dump_json())}
    content |= {f"photons/{name}": column for name, column in columns.items()}
    content |= {f"model/{name}": array for name, array in arrays.items()}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **content)


def read_sample(
    path: str | Path | None = None,
) -> tuple[PhotonTable, ObservationModel, EnvironmentConfig]:
    """Read a sample; the one shipped with the project for None.

    Raises
    ------
    InputError
        If the file is missing or is no such archive.
    """
    path = SHIPPED if path is None else Path(path)
    if not path.is_file():
        raise InputError(
            path, "no such sample", "make one with `python -m envs.refinement.make_sample`"
        )
    try:
        with np.load(path) as archive:
            content = {name: archive[name] for name in archive.files}
        settings = str(content["settings"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(path, f"not a sample of photons ({error})") from error
    columns = {
        name.removeprefix("photons/"): array.astype(np.float32)
        if array.dtype == np.float16
        else array
        for name, array in content.items()
        if name.startswith("photons/")
    }
    arrays = {n.removeprefix("model/"): a for n, a in content.items() if n.startswith("model/")}
    config = build(EnvironmentConfig, EnvironmentConfig.model_validate_json(settings).model_dump())
    return PhotonTable(**columns), ObservationModel.from_arrays(arrays), config
