"""Inputs of networks: sparse images and tables of events, dense only per batch, on the device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from e2e.inputs.augmentation import mirror_table
from e2e.inputs.sparse import Mirrors, SparseImages, concatenate, to_device


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
        self,
        rows: NDArray[np.integer],
        needs: Iterable[str],
        device: torch.device | str = "cpu",
        mirrors: Mirrors | None = None,
    ) -> dict[str, Tensor]:
        """Tensors of the given rows, mirrored or not: the images and tables named in `needs`."""
        device = torch.device(device)
        tensors: dict[str, Tensor] = {}
        for name in needs:
            if name in self.images:
                tensors[name] = self.images[name].dense(rows, device, mirrors)
                continue
            values = to_device(torch.from_numpy(np.nan_to_num(self.tables[name][rows])), device)
            if mirrors is not None:
                chosen = [to_device(torch.from_numpy(each), device) for each in mirrors]
                values = mirror_table(name, values, *chosen)
            tensors[name] = values
        return tensors

    def take(self, rows: NDArray[np.integer], needs: Iterable[str]) -> EventInputs:
        """The given rows of the images and tables named in `needs`."""
        needs = set(needs)
        return EventInputs(
            {n: images.take(rows) for n, images in self.images.items() if n in needs},
            {n: values[rows] for n, values in self.tables.items() if n in needs},
            self.usable[rows],
        )

    def digest(self, rows: NDArray[np.integer], needs: Sequence[str]) -> bytes:
        """Hash of what `rows` hold, in this order, wherever in a store they lie."""
        found = hashlib.sha256()
        for name in sorted(needs):
            found.update(name.encode())
            if name in self.images:
                found.update(self.images[name].digest(rows))
            else:
                found.update(np.ascontiguousarray(self.tables[name][rows]).tobytes())
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
        self,
        rows: NDArray[np.integer],
        device: torch.device | str = "cpu",
        mirrors: Mirrors | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Tables of the given rows, and their images, mirrored or not."""
        device = torch.device(device)
        tables = {
            name: to_device(torch.from_numpy(values[rows]), device)
            for name, values in self.tables.items()
        }
        images = {name: found.dense(rows, device, mirrors) for name, found in self.images.items()}
        return tables, images

    def digest(self, rows: NDArray[np.integer]) -> bytes:
        """Hash of what `rows` hold, in this order."""
        found = hashlib.sha256()
        for name in sorted(self.tables):
            found.update(name.encode())
            found.update(np.ascontiguousarray(self.tables[name][rows]).tobytes())
        for name in sorted(self.images):
            found.update(name.encode() + self.images[name].digest(rows))
        return found.digest()
