"""Sparse images of many events, made dense a batch at a time on the device that needs them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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

    def dense(self, rows: NDArray[np.integer], device: torch.device | str = "cpu") -> Tensor:
        """(B, *shape) float32 images of the given events, scattered on `device`."""
        first, count = self.offsets[rows], np.diff(self.offsets)[rows]
        ends = np.cumsum(count)
        entry = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - ends + count, count)
        pixels = math.prod(self.shape)
        place = np.repeat(np.arange(len(rows)) * pixels, count) + self.pixel[entry]
        flat = torch.zeros(len(rows) * pixels, device=device)
        flat[torch.from_numpy(place).to(device)] = torch.from_numpy(self.value[entry]).to(device)
        return flat.view(len(rows), *self.shape)

    def channel_scales(
        self, rows: NDArray[np.integer], channels: int, events: int = 2000
    ) -> NDArray[np.float32]:
        """(channels,) root mean square of the filled pixels of each channel, 1 for an empty one.

        Of at most `events` of the rows; channels are the third axis from the end.
        """
        rows = rows[:events]
        count = np.diff(self.offsets)[rows]
        first = np.repeat(self.offsets[rows] - np.cumsum(count) + count, count)
        entry = first + np.arange(len(first))
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
