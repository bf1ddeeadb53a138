"""Inputs of networks: sparse images and tables of events, dense only per batch, on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from e2e.inputs.sparse import SparseImages, concatenate


@dataclass
class EventInputs:
    """Inputs of N events (or jets, or photons: whatever a row is).

    Attributes
    ----------
    images
        Sparse images by name, of N events each; `crops` (2, 3, S, S) and `context` (2, 3, B, B)
        for the diphoton network. The last axis runs along phi, the one before along eta.
    tables
        (N, columns) float32 by name; NaN where unknown, 0 for a network.
    usable
        (N,) whether a row may be used at all: for diphoton events, whether there is a pair.
    """

    images: dict[str, SparseImages] = field(default_factory=dict)
    tables: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    usable: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def __len__(self) -> int:
        return len(self.usable)

    def batch(
        self, rows: NDArray[np.integer], needs: Iterable[str], device: torch.device | str = "cpu"
    ) -> dict[str, Tensor]:
        """Tensors of the given rows: the images and tables named in `needs`."""
        tensors: dict[str, Tensor] = {}
        for name in needs:
            if name in self.images:
                tensors[name] = self.images[name].dense(rows, device)
            else:
                tensors[name] = torch.from_numpy(np.nan_to_num(self.tables[name][rows])).to(device)
        return tensors

    def digest(self, rows: NDArray[np.integer], needs: Sequence[str]) -> bytes:
        """Hash of what a training on `rows` depends on."""
        found = hashlib.sha256()
        for name in sorted(needs):
            if name in self.images:
                images = self.images[name]
                arrays: tuple[NDArray, ...] = (images.offsets, images.pixel, images.value)
            else:
                arrays = (self.tables[name][rows],)
            for array in arrays:
                found.update(np.ascontiguousarray(array).tobytes())
        return found.digest()


def join_inputs(parts: Sequence[EventInputs]) -> EventInputs:
    """Inputs of consecutive events as one."""
    first = parts[0]
    return EventInputs(
        {name: concatenate([part.images[name] for part in parts]) for name in first.images},
        {name: np.concatenate([part.tables[name] for part in parts]) for name in first.tables},
        np.concatenate([part.usable for part in parts]),
    )


@dataclass
class Targets:
    """What a training learns from: truth, which no network ever sees as input.

    Attributes
    ----------
    tables
        (N, …) arrays by name, such as `label` (N,) int64 and `weight` (N,) float32.
    images
        Sparse images by name, mirrored together with the inputs.
    """

    tables: Mapping[str, NDArray]
    images: Mapping[str, SparseImages] = field(default_factory=dict)

    def batch(
        self, rows: NDArray[np.integer], device: torch.device | str = "cpu"
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tables and images of the given rows."""
        tables = {n: torch.from_numpy(values[rows]).to(device) for n, values in self.tables.items()}
        return tables, {n: images.dense(rows, device) for n, images in self.images.items()}

    def digest(self, rows: NDArray[np.integer]) -> bytes:
        """Hash of what a training on `rows` learns from."""
        found = hashlib.sha256()
        for name in sorted(self.tables):
            found.update(np.ascontiguousarray(self.tables[name][rows]).tobytes())
        for name in sorted(self.images):
            found.update(np.ascontiguousarray(self.images[name].value).tobytes())
        return found.digest()
