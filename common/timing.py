"""Where the time of a long loop goes: named parts, each timed without those within it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

_REST = "other"
_active: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


class Stopwatch:
    """While it is entered, notes what `spent` names, in this thread.

    Attributes
    ----------
    seconds
        By part; `other` is what no part covers.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._parts: list[str] = [_REST]
        self._since = 0.0
        self._token: Token[Stopwatch | None] | None = None

    def __enter__(self) -> Self:
        self._since, self._token = time.perf_counter(), _active.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._credit()
        assert self._token is not None
        _active.reset(self._token)

    def begin(self, part: str) -> None:
        """From here on the time is that of `part`."""
        self._credit()
        self._parts.append(part)

    def end(self) -> None:
        """From here on the time is that of the part before."""
        self._credit()
        self._parts.pop()

    def _credit(self) -> None:
        now, part = time.perf_counter(), self._parts[-1]
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now

    def summary(self, events: int) -> str:
        """Such as `5000 events in 9.1 s, 549 events/s: network 80 %, reading 9 %, other 1 %`."""
        total = sum(self.seconds.values())
        ordered = sorted(self.seconds.items(), key=lambda part: (part[0] == _REST, -part[1]))
        shares = ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in ordered)
        return f"{events} events in {total:.1f} s, {events / total:.0f} events/s: {shares}"


@contextmanager
def spent(part: str) -> Iterator[None]:
    """Name what the block's time is spent on, for a Stopwatch that is entered, if there is one."""
    watch = _active.get()
    if watch is None:
        yield
        return
    watch.begin(part)
    try:
        yield
    finally:
        watch.end()
