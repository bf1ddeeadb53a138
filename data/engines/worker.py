"""What runs on a worker of another machine: checks that it is fit, then the call itself."""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from common.errors import PipelineError
from common.runs import git_revision

_SECONDS_FOR_THE_FILE_SYSTEM = 10.0


class EngineError(Exception):
    """A worker, a scheduler or a batch job is at fault, not an input; the message is the user's.

    Not a PipelineError: that, coming from a worker, condemns the input file it names.
    """


@dataclass(frozen=True)
class Expectation:
    """What a worker must share with the program that sends it work.

    Attributes
    ----------
    revision
        Revision of the source tree; another one could make other shards.
    mark
        A file beside the output that only a shared file system shows.
    """

    revision: str
    mark: Path


@dataclass(frozen=True)
class Failure:
    """An error about an input, sent as a result: a raised one fills the workers' logs."""

    error: PipelineError


@contextmanager
def expectation(output: Path) -> Iterator[Expectation]:
    """Leave a mark beside the output while workers run."""
    folder = output.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".{output.name}.workers-{secrets.token_hex(8)}"
    mark.touch()
    try:
        yield Expectation(_commit(), mark)
    finally:
        mark.unlink(missing_ok=True)


def call(expected: Expectation, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a call on a worker that was found fit; a PipelineError is returned as a `Failure`.

    Raises
    ------
    EngineError
        If the worker runs another revision or does not see the output's folder.
    """
    problem = _unfit(expected)
    if problem:
        raise EngineError(problem)
    try:
        return function(*arguments)
    except PipelineError as error:
        return Failure(error)


@cache
def _unfit(expected: Expectation) -> str:
    """Why this worker cannot be used, or an empty text; looked up once per process."""
    host = platform.node()
    if "unknown" not in (expected.revision, _commit()) and expected.revision != _commit():
        return (
            f"the worker on {host} runs revision {_commit()} of this program, the command "
            f"{expected.revision}: start the workers anew from the same source tree"
        )
    # A network file system may show a new file some seconds late.
    deadline = time.monotonic() + _SECONDS_FOR_THE_FILE_SYSTEM
    while not expected.mark.exists():
        if time.monotonic() > deadline:
            return (
                f"the worker on {host} does not see {expected.mark.parent}: put the output into a "
                "folder on a file system that all workers share, under the same path"
            )
        time.sleep(0.5)
    return ""


def _commit() -> str:
    return git_revision().removesuffix("-dirty")
