"""An executor in front of another one that hands on only so many calls at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any


class WindowedExecutor(Executor):
    """Keeps hundreds of thousands of calls here and few of them with the cluster.

    Parameters
    ----------
    inner
        The executor that runs the calls.
    limit
        How many calls it holds at a time; may be changed while it runs.
    outcome
        Takes a finished call of the inner executor; returns its result, or raises what the user
        is shown.
    """

    def __init__(self, inner: Executor, limit: int, outcome: Callable[[Future[Any]], Any]) -> None:
        self.limit = limit
        self.completed = 0
        self._inner = inner
        self._outcome = outcome
        self._lock = threading.RLock()
        self._waiting: deque[tuple[Future[Any], Callable[[], Future[Any]]]] = deque()
        self._running: set[Future[Any]] = set()
        self._broken: BaseException | None = None
        self._is_shut = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call; it fails at once if the cluster was given up."""
        future: Future[Any] = Future()
        with self._lock:
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._broken is not None:
                future.set_exception(self._broken)
                return future
            self._waiting.append((future, partial(self._inner.submit, fn, *args, **kwargs)))
        self._fill()
        return future

    @property
    def outstanding(self) -> int:
        """Calls that wait or run."""
        return len(self._waiting) + len(self._running)

    def fail(self, error: BaseException) -> None:
        """Give up: everything outstanding, and all that follows, ends with this error."""
        with self._lock:
            self._broken = error
            futures = [future for future, _ in self._waiting] + list(self._running)
            self._waiting.clear()
            self._running.clear()
        for future in futures:
            with suppress(InvalidStateError):  # it ended, or was cancelled, this very moment
                future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop taking calls; `cancel_futures` drops those that wait."""
        with self._lock:
            self._is_shut = True
            dropped = [future for future, _ in self._waiting] if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
        for future in dropped:
            future.cancel()
        self._inner.shutdown(wait=wait)

    def _fill(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or len(self._running) >= self.limit:
                    return
                outer, submit = self._waiting.popleft()
                if not outer.set_running_or_notify_cancel():
                    continue
                self._running.add(outer)
            try:
                inner = submit()
            except Exception as error:
                self._end(outer, error=error)
            else:
                inner.add_done_callback(partial(self._done, outer))

    def _done(self, outer: Future[Any], inner: Future[Any]) -> None:
        try:
            result = self._outcome(inner)
        except BaseException as error:
            self._end(outer, error=error)
        else:
            self._end(outer, result)
        self._fill()

    def _end(
        self, outer: Future[Any], result: Any = None, error: BaseException | None = None
    ) -> None:
        with self._lock:
            self._running.discard(outer)
            self.completed += 1
        with suppress(InvalidStateError):  # given up meanwhile
            if error is None:
                outer.set_result(result)
            else:
                outer.set_exception(error)
