"""Dask as an executor: a running scheduler, a cluster of local processes, or batch jobs."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import PipelineError
from common.progress import log
from data.config import PreprocessConfig
from data.engines.window import WindowedExecutor
from data.engines.worker import EngineError, Expectation, Failure, call, expectation

if TYPE_CHECKING:
    from distributed import Client

    from data.engines.jobs import JobKeeper

GO_ON = "run the same command again to go on where it stopped"
CONNECT_SECONDS = 15.0
_LOOK_SECONDS = 3.0
_SECONDS_BETWEEN_LINES = 15.0
# Calls on the cluster at a time: enough that no worker waits for the next one.
_PER_THREAD = 4
_AT_LEAST = 64


class DaskExecutor(WindowedExecutor):
    """Runs calls on a client's workers, which are checked before their first call."""

    def __init__(self, client: Client, expected: Expectation, workers: int) -> None:
        # pure=False: a call repeated after its shard was deleted must run again.
        inner = client.get_executor(pure=False)
        super().__init__(inner, max(_AT_LEAST, _PER_THREAD * workers), _outcome)
        self._expected = expected

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Queue a call."""
        return super().submit(call, self._expected, fn, *args, **kwargs)


@contextmanager
def open_dask(config: PreprocessConfig) -> Iterator[WindowedExecutor]:
    """A Dask cluster's `concurrent.futures` face, watched while it runs.

    Raises
    ------
    PipelineError
        If Dask is not installed, or the cluster cannot be reached or started.
    """
    _require("distributed", *(["dask_jobqueue"] if config.engine in ("slurm", "htcondor") else []))
    with ExitStack() as stack:
        expected = stack.enter_context(expectation(config.output))
        keeper = None
        if config.engine != "dask":
            client, keeper = _batch_client(config, stack)
        elif config.scheduler:
            client = _connected(config.scheduler, stack)
        else:
            client = _local_client(config.workers, stack)
            # The same machine and files; a commit during a run is no other program.
            expected = replace(expected, revision="unknown")
        executor = DaskExecutor(client, expected, config.workers)
        stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        stack.enter_context(_watched(client, executor, keeper))
        yield executor


def _require(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise PipelineError(
            f"this engine needs {' and '.join(missing)}: pip install 'cms-e2e-rl[dask]'"
        )


def _local_client(workers: int, stack: ExitStack) -> Client:
    import dask
    from distributed import Client, LocalCluster

    # A worker that dies is started again by its nanny. Dask's cluster, which looks this long after
    # a death, would close it for good if it is just being started again.
    stack.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": "1000d"}))
    cluster = stack.enter_context(
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            preload=["data.engines.processes"],
        )
    )
    return stack.enter_context(Client(cluster, set_as_default=False))


def _connected(scheduler: str, stack: ExitStack) -> Client:
    """A client of a running scheduler, given its address or its scheduler file."""
    from distributed import Client

    is_file = scheduler.endswith(".json") and Path(scheduler).is_file()
    where = {"scheduler_file": scheduler} if is_file else {"address": scheduler}
    try:
        client = Client(**where, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"no Dask scheduler answers at {scheduler} ({error}): start one with `dask scheduler`, "
            "workers with `dask worker ADDRESS --nthreads 1`, and give its tcp:// address"
        ) from error
    return stack.enter_context(client)


def _batch_client(config: PreprocessConfig, stack: ExitStack) -> tuple[Client, JobKeeper]:
    from distributed import Client

    from data.engines.jobs import open_jobs

    keeper = stack.enter_context(open_jobs(config))
    client = stack.enter_context(Client(keeper.cluster, set_as_default=False))
    return client, keeper


def _outcome(future: Future[Any]) -> Any:
    """The result of a call on a worker; raises its error, Dask's own ones in the user's words."""
    try:
        result = future.result()
    except BaseException as error:  # CancelledError too: the scheduler dropped the call
        explained = _explain(error)
        if explained is error:
            raise
        raise explained from error
    if isinstance(result, Failure):
        raise result.error
    return result


def _explain(error: BaseException) -> BaseException:
    from distributed import KilledWorker
    from distributed.core import CommClosedError

    if isinstance(error, KilledWorker):
        return EngineError(
            f"a worker was lost: {error.allowed_failures + 1} Dask workers died over the same "
            f"events (out of memory?); {GO_ON}, with more memory per worker or a smaller chunk"
        )
    if isinstance(error, CancelledError | CommClosedError):
        return EngineError(f"the Dask scheduler was lost, or it dropped the work; {GO_ON}")
    is_unpickled = "deserialization" in str(error) and isinstance(error, RuntimeError)
    if isinstance(error, ImportError) or is_unpickled:
        cause = error.__cause__ or error
        return EngineError(
            f"the Dask scheduler or a worker cannot import this program ({cause}): install it "
            "there (`pip install -e .`) in the same environment as here"
        )
    return error


@contextmanager
def _watched(client: Client, executor: DaskExecutor, keeper: JobKeeper | None) -> Iterator[None]:
    """Watch over the workers in a thread while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(client, executor, keeper, stop), name="dask-watch", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _watch(
    client: Client, executor: DaskExecutor, keeper: JobKeeper | None, stop: threading.Event
) -> None:
    """Tell of missing workers, replace batch jobs that ended, end the wait for a lost scheduler."""
    last_line = time.monotonic()
    while not stop.wait(_LOOK_SECONDS):
        try:
            threads = sum(client.nthreads().values())
            if keeper is not None:
                keeper.look(executor.completed)
        except EngineError as error:
            executor.fail(error)
            return
        except Exception as error:
            # Dask's own reconnection comes first; only a closed client is beyond hope.
            if client.status in ("closed", "closing", "newly-created") and not stop.is_set():
                executor.fail(EngineError(f"the Dask scheduler was lost; {GO_ON}"))
                return
            log.debug("asking the Dask scheduler: %s", error)
            continue
        executor.limit = max(_AT_LEAST, _PER_THREAD * threads)
        is_due = time.monotonic() - last_line > _SECONDS_BETWEEN_LINES
        if threads == 0 and executor.outstanding and is_due:
            last_line = time.monotonic()
            where = keeper.waiting() if keeper else f"no worker is connected to {_address(client)}"
            log.info("waiting for Dask workers: %s", where)


def _address(client: Client) -> str:
    return client.scheduler.addr if client.scheduler is not None else "the scheduler"
