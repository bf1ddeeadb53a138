"""Samples of pairs of photons or electrons of one simulated detector, in memory and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path
from data.sources.base import rounded_to_bits
from data.store.schema import append, dataset_options
from envs.photons.table import FloatArray, IntArray, PhotonTable, concatenate
from rl.evaluation.pairs import Floats, Pairs

SCHEMA = "pair-sample"
#: Kinds of pairs.
ZEE, BACKGROUND, HIGGS, GUN = 0, 1, 2, 3
KINDS = {"zee": ZEE, "background": BACKGROUND, "higgs": HIGGS, "gun": GUN}
CROP_BITS = 12  # of the mantissa: a crystal's energy to a part in 8000

_CHUNK_ROWS = 2048
_PHOTONS = "photons"


@dataclass(frozen=True)
class PairSample:
    """m pairs of photons or electrons of one detector; rows 2i and 2i + 1 of `photons` are a pair.

    Attributes
    ----------
    photons
        2m photons: slot 0 and 1, `row` is the pair, `group` the generated event, `label` the kind;
        `target`, NaN for background, is for metrics and the oracle with truth only.
    vertex_z
        (m,) cm, of the vertex that the photons are seen from.
    kind
        (m,) see `KINDS`: Z to two electrons, background under its peak, H to two photons, gun.
    true_mass
        (m,) generated mass, GeV, with the natural width; NaN for background; metrics only.
    """

    photons: PhotonTable
    vertex_z: Floats
    kind: IntArray
    true_mass: Floats

    def __len__(self) -> int:
        return len(self.vertex_z)

    def masses(self, correction: FloatArray) -> Floats:
        """(m,) masses in GeV after a correction (2m, 3) of log energy, u and v."""
        return self.pairs.masses(correction)

    @property
    def pairs(self) -> Pairs:
        """The pairs as the evaluation takes them."""
        first = 2 * np.arange(len(self))
        return Pairs(self.photons, first, first + 1, np.repeat(self.vertex_z, 2))

    def take(self, pairs: NDArray) -> PairSample:
        """The pairs of the given indices, or of a mask."""
        index = np.arange(len(self))[pairs]
        rows = (2 * index[:, None] + np.arange(2)).ravel()
        photons = self.photons.take(rows)
        return PairSample(
            _numbered(photons), self.vertex_z[index], self.kind[index], self.true_mass[index]
        )


def join(samples: Sequence[PairSample]) -> PairSample:
    """Pairs of several samples one after the other."""
    return PairSample(
        _numbered(concatenate([s.photons for s in samples])),
        np.concatenate([s.vertex_z for s in samples]),
        np.concatenate([s.kind for s in samples]),
        np.concatenate([s.true_mass for s in samples]),
    )


def _numbered(photons: PhotonTable) -> PhotonTable:
    """With rows that count the pairs from 0."""
    return PhotonTable(**{**photons.columns(), "row": np.arange(len(photons)) // 2})


def write_pairs(path: Path, sample: PairSample, attributes: Mapping[str, Any]) -> None:
    """Write pairs as compressed, checksummed HDF5; crystals' energies are rounded to 12 bits.

    Parameters
    ----------
    attributes
        What the sample is, kept as JSON; `read_attributes` gives them back.
    """
    columns: dict[str, NDArray] = {
        f"{_PHOTONS}/{name}": column for name, column in sample.photons.columns().items()
    }
    columns[f"{_PHOTONS}/crop"] = rounded_to_bits(sample.photons.crop, CROP_BITS)
    columns |= {name: getattr(sample, name) for name in ("vertex_z", "kind", "true_mass")}
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["schema"] = SCHEMA
        file.attrs["attributes"] = json.dumps(dict(attributes), sort_keys=True)
        for name, column in columns.items():
            options = dataset_options(_CHUNK_ROWS, column.shape[1:])
            append(file.create_dataset(name, dtype=column.dtype, **options), column)


def read_pairs(path: Path) -> PairSample:
    """Read what `write_pairs` wrote.

    Raises
    ------
    InputError
        If the file is missing, damaged, or not a sample of pairs.
    """
    with _opened(path) as file:
        try:
            columns = {name: data[:] for name, data in file[_PHOTONS].items()}
            rest = [file[name][:] for name in ("vertex_z", "kind", "true_mass")]
        except (OSError, KeyError) as error:
            raise InputError(path, f"damaged sample of pairs ({error})", "make it again") from error
    known = {field.name for field in fields(PhotonTable)}
    if unknown := set(columns) - known:
        raise InputError(path, f"unknown columns {sorted(unknown)}", "make it again")
    return PairSample(PhotonTable(**columns), *rest)


def read_attributes(path: Path) -> dict[str, Any]:
    """What `write_pairs` was told of the sample."""
    with _opened(path) as file:
        return json.loads(file.attrs["attributes"])


def _opened(path: Path) -> h5py.File:
    try:
        file = h5py.File(path)
    except OSError as error:
        raise InputError(path, f"not a readable HDF5 file ({error})", "make it again") from error
    if file.attrs.get("schema") != SCHEMA:
        file.close()
        raise InputError(path, "HDF5, but not a sample of pairs", "make one with `resonance`")
    return file
