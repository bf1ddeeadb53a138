"""Where tensors live and in which precision they are multiplied."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch

from common.errors import ConfigError
from e2e.inputs.events import EventInputs, Targets


def choose_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"training.device={name}: use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"training.device={name}: this torch sees no GPU; use auto or cpu")
    return device


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to run under bfloat16 autocast; `auto` asks the processor."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # Without native bfloat16 products the CPU emulates them, slower than float32.
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """The autocast context of a precision on a device; does nothing in float32."""
    if not use_bfloat16(precision, device):
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def reside(
    inputs: EventInputs, targets: Targets, needs: Sequence[str], device: torch.device
) -> None:
    """Keep the sparse images a training needs on a GPU, if they fit in half of what is free."""
    if device.type != "cuda":
        return
    images = [inputs.images[name] for name in needs if name in inputs.images]
    images += targets.images.values()
    free, _ = torch.cuda.mem_get_info(device)
    if sum(each.nbytes for each in images) < free / 2:
        for each in images:
            each.reside(device)


def set_threads(threads: int, workers: int = 1) -> None:
    """Use `threads` CPU threads in this process; 0 shares the cores among `workers`."""
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(threads or max((cores or 1) // workers, 1))
