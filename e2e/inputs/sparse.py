"""Sparse images of many events, made dense a batch at a time on the device that needs them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Mirrors(NamedTuple):
    """Which of B events are mirrored, both (B,) bool: in phi, and in z."""

    flip_phi: NDArray[np.bool_]
    mirror_z: NDArray[np.bool_]


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Copy to a device without waiting for it."""
    if values.device == device:
        return values
    if device.type == "cuda" and values.device.type == "cpu":
        # From memory that cannot be paged out the copy runs beside the computation.
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


@dataclass
class SparseImages:
    """Images of N events in compressed rows.

    Attributes
    ----------
    offsets
        (N+1,) int64; event i owns entries offsets[i]:offsets[i+1].
    pixel
        (M,) int32 flat index into an event's image.
    value
        (M,) float32.
    shape
        Shape of one event's image.
    """

    offsets: NDArray[np.int64]
    pixel: NDArray[np.int32]
    value: NDArray[np.float32]
    shape: tuple[int, ...]
    _held: dict[torch.device, tuple[Tensor, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def from_entries(
        cls,
        event: NDArray[np.integer],
        pixel: NDArray[np.integer],
        value: NDArray[np.floating],
        n_events: int,
        shape: tuple[int, ...],
    ) -> SparseImages:
        """Build from unordered entries; those of one pixel are summed."""
        pixels = math.prod(shape)
        key, inverse = np.unique(event * pixels + pixel, return_inverse=True)
        total = np.bincount(inverse, weights=value, minlength=len(key))
        counts = np.bincount(key // pixels, minlength=n_events)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(offsets, (key % pixels).astype(np.int32), total.astype(np.float32), shape)

    def dense(
        self,
        rows: NDArray[np.integer],
        device: torch.device | str = "cpu",
        mirrors: Mirrors | None = None,
    ) -> Tensor:
        """(B, *shape) float32 images of the given events, scattered on `device`.

        With `mirrors` the chosen images are reversed along the last axis or the one before:
        entries move, so that it costs what the entries do.
        """
        device = torch.device(device)
        # Known on the host, so that the device need not be waited for.
        total = int((self.offsets[rows + 1] - self.offsets[rows]).sum())
        offsets, pixel, value = self._held.get(device) or self._on_host()
        row = to_device(torch.from_numpy(np.asarray(rows, dtype=np.int64)), offsets.device)
        first = offsets[row]
        count = offsets[row + 1] - first
        image = torch.repeat_interleave(count, output_size=total)
        entry = torch.arange(total, device=image.device) + (first - count.cumsum(0) + count)[image]
        place = pixel[entry].long()
        if mirrors is not None:
            place += self._moved(place, mirrors, image)
        pixels = math.prod(self.shape)
        place += image * pixels
        flat = torch.zeros(len(rows) * pixels, device=device)
        flat.index_put_((to_device(place, device),), to_device(value[entry], device))
        return flat.view(len(rows), *self.shape)

    def _moved(self, pixel: Tensor, mirrors: Mirrors, image: Tensor) -> Tensor:
        """(M,) by how much a mirror moves each entry's flat index."""
        flip_phi, mirror_z = (to_device(torch.from_numpy(m), pixel.device) for m in mirrors)
        height, width = self.shape[-2:]
        along_phi = (width - 1 - 2 * (pixel % width)) * flip_phi[image]
        along_z = (height - 1 - 2 * (pixel // width % height)) * width * mirror_z[image]
        return along_phi + along_z

    def reside(self, device: torch.device) -> None:
        """Keep a copy on `device`, so that batches there are made without the host."""
        self._held[device] = tuple(array.to(device) for array in self._on_host())

    def _on_host(self) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(a) for a in (self.offsets, self.pixel, self.value))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_held": {}}  # what a device holds stays in this process

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return self.offsets.nbytes + self.pixel.nbytes + self.value.nbytes

    def digest(self, rows: NDArray[np.integer]) -> bytes:
        """Hash of the given events' images, in this order."""
        entry, count = self._entries(rows)
        found = hashlib.sha256(repr(self.shape).encode())
        for array in (count, self.pixel[entry], self.value[entry]):
            found.update(np.ascontiguousarray(array).tobytes())
        return found.digest()

    def _entries(self, rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Entries of the given events, in this order, and how many each has."""
        count = self.offsets[rows + 1] - self.offsets[rows]
        first = np.repeat(self.offsets[rows] - np.cumsum(count) + count, count)
        return first + np.arange(len(first)), count

    def take(self, rows: NDArray[np.integer]) -> Self:
        """The given events' images, in this order."""
        entry, count = self._entries(rows)
        offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        return replace(self, offsets=offsets, pixel=self.pixel[entry], value=self.value[entry])

    def channel_scales(
        self, rows: NDArray[np.integer], channels: int, events: int = 2000
    ) -> NDArray[np.float32]:
        """(channels,) root mean square of the filled pixels of each channel, 1 for an empty one.

        Of at most `events` of the rows; channels are the third axis from the end.
        """
        rows = rows[:events]
        entry, _ = self._entries(rows)
        channel = self.pixel[entry] // math.prod(self.shape[-2:]) % channels
        filled = np.bincount(channel, minlength=channels)
        squares = np.bincount(channel, self.value[entry].astype(np.float64) ** 2, channels)
        scale = np.sqrt(squares / np.maximum(filled, 1))
        return np.where(scale > 0, scale, 1.0).astype(np.float32)


def concatenate(parts: Sequence[SparseImages]) -> SparseImages:
    """Join images of consecutive events."""
    shifts = np.cumsum([0] + [part.offsets[-1] for part in parts[:-1]])
    starts = [part.offsets[:-1] + shift for part, shift in zip(parts, shifts, strict=True)]
    total = sum(int(part.offsets[-1]) for part in parts)
    return SparseImages(
        np.concatenate([*starts, [total]]).astype(np.int64),
        np.concatenate([part.pixel for part in parts]),
        np.concatenate([part.value for part in parts]),
        parts[0].shape,
    )
