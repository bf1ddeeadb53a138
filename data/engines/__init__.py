"""Where shards are made: processes here, a Dask cluster, or jobs of a batch system.

`open_engine` gives every one of them as a `concurrent.futures.Executor`, so that the code that
converts knows nothing of machines. Dask is imported only by the engines that use it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import FrameType

from data.config import PreprocessConfig
from data.engines.processes import open_processes
from data.engines.window import WindowedExecutor
from data.engines.worker import EngineError


def lost_worker(error: BaseException) -> str:
    """What to tell the user if a future's exception means that its worker failed, else "".

    A worker that fails says nothing about the input it read: the run stops, and can be resumed.
    """
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, BrokenProcessPool):
        return (
            "a worker was lost: its process was killed (out of memory?); run the same command "
            "again to go on where it stopped, with fewer workers or a smaller chunk"
        )
    return ""


@contextmanager
def open_engine(config: PreprocessConfig) -> Iterator[Executor | None]:
    """The executor that a configuration asks for; None means this very process.

    Exceptions of the called functions arrive as they are; those of a machinery that failed are
    told apart by `lost_worker`. Leaving the block early (Ctrl-C, an error) drops what has not
    started.

    Raises
    ------
    PipelineError
        If the cluster cannot be reached or started; ConfigError for wrong options.
    """
    if config.engine == "processes" and config.workers == 1:
        yield None
        return
    with _engine(config) as executor, _interruptible(executor):
        yield executor


@contextmanager
def _engine(config: PreprocessConfig) -> Iterator[WindowedExecutor]:
    if config.engine == "processes":
        with open_processes(config.workers) as pool:
            yield pool
        return
    from data.engines.dask_engine import open_dask

    with open_dask(config) as executor:
        yield executor


@contextmanager
def _interruptible(executor: WindowedExecutor) -> Iterator[None]:
    """Make sure that Ctrl-C ends the block.

    Python drops a KeyboardInterrupt that falls into a destructor's callback, and h5py has many of
    those. It is therefore raised by the calls that are waited for, too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        # In a thread: this one may hold a lock that is needed.
        threading.Thread(target=executor.fail, args=[KeyboardInterrupt()], daemon=True).start()
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous or signal.default_int_handler)
