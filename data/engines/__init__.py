"""Where shards are made: processes here, a Dask cluster, or jobs of a batch system.

`open_engine` gives every one of them as a `concurrent.futures.Executor`, so that the code that
converts knows nothing of machines. Dask is imported only by the engines that use it.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from data.config import PreprocessConfig
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
    if config.engine == "processes":
        with _processes(config.workers) as pool:
            yield pool
        return
    from data.engines.dask_engine import open_dask

    with open_dask(config) as executor:
        yield executor


@contextmanager
def _processes(workers: int) -> Iterator[Executor | None]:
    if workers == 1:
        yield None
        return
    # Spawned, not forked: a parent with running threads cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_die_of_ctrl_c)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _die_of_ctrl_c() -> None:
    """Workers end at once and without a traceback; their unfinished shards have no name yet."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
