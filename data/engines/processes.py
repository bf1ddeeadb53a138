"""Processes of this machine, and what every local worker process does about signals."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from data.engines.window import WindowedExecutor

_PER_PROCESS = 4


@contextmanager
def open_processes(workers: int) -> Iterator[WindowedExecutor]:
    """A pool of processes; left by an exception, they are ended where they are."""
    # Spawned, not forked: a parent with running threads cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    pool = _Pool(workers, mp_context=context, initializer=_prepare)
    executor = WindowedExecutor(pool, _PER_PROCESS * workers, Future.result)
    try:
        yield executor
    except BaseException:
        # Nothing is lost: an unfinished shard has no name yet.
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


class _Pool(ProcessPoolExecutor):
    """A pool whose processes never see Ctrl-C, not even while they start (a submission does it)."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            return super().submit(fn, *args, **kwargs)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def ignore_ctrl_c() -> None:
    """Leave Ctrl-C, which a terminal sends to all, to the program that started this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def dask_setup(_worker: object) -> None:
    """What Dask calls in each new local worker that is told to load this module."""
    ignore_ctrl_c()


def _prepare() -> None:
    ignore_ctrl_c()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's process would wait for work for ever if its parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
