"""Ways in which a file breaks, each a function of its bytes and a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Damage = Callable[[bytes, int], bytes]
BLOCK = 4096


def flipped_bit(content: bytes, seed: int) -> bytes:
    """One bit is another: memory, a disk, a link."""
    rng = np.random.default_rng(seed)
    damaged = bytearray(content)
    damaged[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def zeroed_block(content: bytes, seed: int) -> bytes:
    """4 kB of zeros: a page that was never written, a hole in a copy."""
    rng = np.random.default_rng(seed)
    start = int(rng.integers(max(1, len(content) // BLOCK))) * BLOCK
    size = len(content[start : start + BLOCK])
    return content[:start] + bytes(size) + content[start + size :]


def truncated(content: bytes, seed: int) -> bytes:
    """The end is missing: an interrupted download."""
    rng = np.random.default_rng(seed)
    return content[: int(rng.integers(1, len(content)))]


DAMAGES: dict[str, Damage] = {
    "one bit flipped": flipped_bit, "4 kB zeroed": zeroed_block, "truncated": truncated,
}  # fmt: skip
