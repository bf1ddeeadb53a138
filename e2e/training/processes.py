"""One training shared by several processes, started by torchrun: PyTorch's DDP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from common.errors import ConfigError

T = TypeVar("T")
ArrayT = TypeVar("ArrayT", bound=np.ndarray)


@dataclass(frozen=True)
class Processes:
    """The processes of a training; by default this one alone.

    Attributes
    ----------
    rank
        Number of this process.
    world
        How many there are.
    local
        How many there are on this machine.
    wrappers
        Of the modules whose gradients are averaged.
    """

    rank: int = 0
    world: int = 1
    local: int = 1
    wrappers: list[DistributedDataParallel] = field(default_factory=list)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def check(self, batch_size: int, events: int) -> None:
        """Refuse what cannot be shared evenly.

        Raises
        ------
        ConfigError
            If the batch size is no multiple of the number of processes, or too large.
        """
        if self.world > 1 and (batch_size % self.world or events < batch_size):
            raise ConfigError(
                f"training.batch_size={batch_size}: with {self.world} processes it must be a "
                f"multiple of {self.world}, and not more than the {events} training events"
            )

    def part(self, rows: ArrayT) -> ArrayT:
        """This process's part of a global batch; the parts are disjoint and of one size."""
        return rows[self.rank :: self.world]  # type: ignore[return-value]

    def wrapped(self, module: nn.Module, device: torch.device) -> nn.Module:
        """A module whose gradients are averaged over the processes.

        On GPUs batch normalisation uses the whole batch; on CPUs, where torch has no such layer,
        each process its own part, and the first one's running averages count.
        """
        if self.world == 1:
            return module
        if device.type == "cuda":
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        devices = [device] if device.type == "cuda" else None
        # Heads whose loss is switched off get no gradient.
        wrapped = DistributedDataParallel(module, devices, find_unused_parameters=True)
        self.wrappers.append(wrapped)
        return wrapped

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; all must ask at the same time."""
        if self.world == 1:
            return flag
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        found = torch.tensor(int(flag), device=device)
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return bool(found)

    def from_first(self, value: T) -> T:
        """What the first process holds, in all of them."""
        if self.world == 1:
            return value
        held: list[Any] = [value]
        distributed.broadcast_object_list(held)
        return held[0]


@contextmanager
def processes(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that torchrun started; yields them and this process's device."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(), device
        return
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    found = Processes()
    try:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
        found = Processes(distributed.get_rank(), world, local)
        yield found, device
    finally:
        # Were a reducer the last to let go of the group, it would wait for the group's threads
        # with Python locked, and these for Python.
        for wrapper in found.wrappers:
            del wrapper.reducer, wrapper.logger
        distributed.destroy_process_group()
