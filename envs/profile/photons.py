"""Photons with their true profiles: in memory, and as an HDF5 file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path
from data.simulation.shower_profile import Showers, profiles_of
from envs.photons.table import PhotonTable, concatenate

HalfArray = NDArray[np.float16]
FloatArray = NDArray[np.float32]

FORMAT = "shower profiles"
_CHUNK_ROWS = 512


@dataclass(frozen=True)
class ProfilePhotons:
    """n photons as they were measured, and the profiles that they should have been seen with.

    Attributes
    ----------
    photons
        Reconstructed photons.
    profile
        (n, 25, 55) true profiles [eta, phi], each with the sum 1, in half precision to be small;
        read by rewards, labels and metrics only.
    contained
        (n,) part of the photon's energy that is within the profile's window.
    radius
        (n,) distance from the beam, in cm, at which the photon converted; infinite if it did not.
    """

    photons: PhotonTable
    profile: HalfArray
    contained: FloatArray
    radius: FloatArray

    def __len__(self) -> int:
        return len(self.photons)

    def take(self, rows: NDArray) -> ProfilePhotons:
        """The photons of the given rows, or of a mask."""
        return ProfilePhotons(
            self.photons.take(rows), self.profile[rows], self.contained[rows], self.radius[rows]
        )

    @property
    def truth(self) -> dict[str, NDArray]:
        """What only a simulation knows, by name."""
        return {"profile": self.profile, "contained": self.contained, "radius": self.radius}


@dataclass(frozen=True)
class PhotonShowers:
    """n photons and the M showers of all of them: what profiles are made of.

    Attributes
    ----------
    photons
        Reconstructed photons.
    showers
        Their showers; the truth.
    owner
        (M,) photon of each shower.
    radius
        (n,) as in `ProfilePhotons`.
    """

    photons: PhotonTable
    showers: Showers
    owner: NDArray[np.int64]
    radius: FloatArray

    def take(self, first: int) -> PhotonShowers:
        """The first of the photons."""
        kept = self.owner < first
        return PhotonShowers(
            self.photons.take(np.arange(first)),
            self.showers.take(kept),
            self.owner[kept],
            self.radius[:first],
        )

    def with_profiles(self) -> ProfilePhotons:
        """Photons with profiles; those without any energy in their window are left out."""
        seed = self.photons.seed
        profile, contained = profiles_of(
            self.showers, self.owner, *(np.stack([seed // 360, seed % 360]) + 0.5)
        )
        sample = ProfilePhotons(self.photons, profile.astype(np.float16), contained, self.radius)
        return sample.take(np.flatnonzero(contained > 0))


def join(parts: Sequence[ProfilePhotons]) -> ProfilePhotons:
    """Concatenate."""
    truth = [part.truth for part in parts]
    return ProfilePhotons(
        concatenate([part.photons for part in parts]),
        **{name: np.concatenate([t[name] for t in truth]) for name in truth[0]},
    )


def join_showers(parts: Sequence[PhotonShowers]) -> PhotonShowers:
    """Concatenate."""
    first = np.cumsum([0, *(len(part.photons) for part in parts[:-1])])
    columns = [vars(part.showers) for part in parts]
    return PhotonShowers(
        photons=concatenate([part.photons for part in parts]),
        showers=Showers(
            **{name: np.concatenate([c[name] for c in columns]) for name in columns[0]}
        ),
        owner=np.concatenate([p.owner + start for p, start in zip(parts, first, strict=True)]),
        radius=np.concatenate([part.radius for part in parts]),
    )


def write_profiles(path: str | Path, sample: ProfilePhotons, attributes: Mapping[str, Any]) -> None:
    """Write photons into the group `photons` and what is true of them into `truth`."""
    groups = {"photons/": sample.photons.columns(), "truth/": sample.truth}
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"format": FORMAT, "origin": "simulation"})
        file.attrs["settings"] = json.dumps(dict(attributes), sort_keys=True)
        for group, columns in groups.items():
            for name, values in columns.items():
                file.create_dataset(
                    group + name,
                    data=values,
                    chunks=(min(_CHUNK_ROWS, max(len(values), 1)), *values.shape[1:]),
                    compression="gzip",
                    compression_opts=1,
                    shuffle=True,
                    fletcher32=True,
                )


def read_profiles(path: str | Path) -> ProfilePhotons:
    """Read what `write_profiles` wrote.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another kind.
    """
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise InputError(path, "no file of shower profiles", _REMEDY)
            photons, truth = (
                {name: values[()] for name, values in file[group].items()}
                for group in ("photons/", "truth/")
            )
    except (OSError, KeyError) as error:
        raise InputError(path, f"cannot be read as shower profiles ({error})", _REMEDY) from error
    return ProfilePhotons(PhotonTable(**photons), **truth)


def read_settings(path: Path) -> dict[str, Any] | None:
    """The settings that a file was made with; None if it is absent or damaged."""
    try:
        with h5py.File(path) as file:
            return json.loads(file.attrs["settings"])
    except (OSError, KeyError):
        return None


_REMEDY = "make one with `python run_pipeline.py profile`"
