"""Running calls in any executor, and taking the results as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, as_completed
from functools import partial
from typing import Any, TypeVar

from common.errors import OutputError, PipelineError
from data.engines import lost_worker

Key = TypeVar("Key")


def completed(
    calls: Mapping[Key, tuple[Any, ...]], executor: Executor | None
) -> Iterator[tuple[Key, Any]]:
    """Yield (key, result) of each (function, *arguments) as it ends.

    A PipelineError is a result, not a stop: the other calls go on. Without an executor the calls
    are made here, in order.

    Raises
    ------
    PipelineError
        If a worker process was lost, or the disk is full.
    """
    if executor is None:
        for key, (function, *arguments) in calls.items():
            yield key, _result(partial(function, *arguments))
        return
    futures = {executor.submit(*call): key for key, call in calls.items()}
    try:
        for future in as_completed(futures):
            # Popped, so that results do not pile up over a long run.
            yield futures.pop(future), _result(future.result)
    finally:
        for future in futures:
            future.cancel()


def _result(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        if problem := lost_worker(error):
            raise PipelineError(problem) from error
        if isinstance(error, PipelineError) and not isinstance(error, OutputError):
            return error
        raise
