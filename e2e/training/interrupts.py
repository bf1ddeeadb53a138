"""Signals of a batch system: a training writes its checkpoint and ends, to be started again."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from common.progress import log

EXIT_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong, start the same command again
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Stopped(SystemExit):
    """A training that was asked to stop and has written its checkpoint; ends with EXIT_AGAIN."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(EXIT_AGAIN)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return type(self), (self.name,)


class Interrupts:
    """While it is entered, SIGTERM and SIGUSR1 are noted instead of ending the process.

    Python delivers signals to the main thread alone; elsewhere nothing is changed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        log.info("%s: a checkpoint after this batch, then the end", signal.Signals(number).name)
