"""What tests of engines let workers do; imports little, as every new worker imports it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from common.errors import InputError


def square(x: int) -> int:
    return x * x


def refuse(name: str) -> None:
    raise InputError(name, "damaged", "fetch it again")


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(mark: Path) -> str:
    if not mark.exists():
        mark.touch()
        die()
    return "lived"
