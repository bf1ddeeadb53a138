"""Reading a file in a process of its own, with limits, and telling the outcome.

A reader of damaged bytes may return right numbers (the damage hit nothing that is read), refuse
the file with an InputError, or return wrong numbers. It must never do anything else: no other
exception, no hang, no memory without bound.
"""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import resource
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unittest import mock

import awkward as ak
import numpy as np

from common.errors import PipelineError
from data.access import InputFile, fetch
from data.sources import ReadOptions, open_source, plausible
from data.store import EventStore
from data.store.checks import verify

Kind = Literal["right", "refused", "wrong", "broken"]
SECONDS = 60.0
MEMORY = 6 << 30  # address space, libraries included


class Outcome(NamedTuple):
    """What came of a file; `detail` is the message or the exception."""

    kind: Kind
    detail: str


class Task(NamedTuple):
    """A file to read.

    Attributes
    ----------
    path
        The file.
    expected
        Digest of what the undamaged file holds (`read_digest`).
    is_store
        Whether it is an event store, and not an input file.
    checked
        Whether values are checked to be plausible.
    adler32
        Checksum that a list of files gives; None where there is no list.
    """

    path: Path
    expected: str = ""
    is_store: bool = False
    checked: bool = True
    adler32: str | None = None


def read_digest(task: Task) -> str:
    """Read everything there is to read; return a digest of all numbers."""
    digest = hashlib.sha256()
    if task.is_store:
        with EventStore(task.path) as store:
            verify(store)
            _update(digest, store.attrs)
            for group in ("event", "photons", "clusters", "vertex", "truth", "truth/photons"):
                if group.startswith("truth") and not store.has_truth:
                    continue
                for name in _columns(group):
                    _update(digest, store.column(f"{group}/{name}"))
            for channel in store.channels:
                _update(digest, vars(store.hits(channel)))
        return digest.hexdigest()
    fetch(InputFile(str(task.path), adler32=task.adler32), task.path.parent)
    with open_source(task.path, ReadOptions(strict=task.checked)) as source:
        _update(digest, [source.n_events, source.missing, source.origin])
        for batch in source.batches(0, source.n_events, 100):
            _update(digest, vars(batch))
    return digest.hexdigest()


def outcome(task: Task) -> Outcome:
    """Read a file and compare; any exception but the project's own is a fault of the reader."""
    try:
        with nullcontext() if task.checked else _without_checks():
            found = read_digest(task)
    except PipelineError as error:
        text = str(error)
        named = str(task.path) in text
        return Outcome("refused", text) if named else Outcome("broken", f"unnamed file: {text}")
    except Exception as error:
        return Outcome("broken", f"{type(error).__name__}: {error}")
    return Outcome("right" if found == task.expected else "wrong", "")


class Reader:
    """A process that reads files one by one; replaced when it hangs or dies.

    Parameters
    ----------
    seconds, memory
        Limits of one file.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds, self._memory = seconds, memory
        self._process: Any = None
        self._start()

    def outcome(self, task: Task) -> Outcome:
        """Outcome of one file."""
        self._pipe.send(task)
        try:
            if self._pipe.poll(self._seconds):
                return self._pipe.recv()
            problem = f"no answer within {self._seconds:.0f} s"
        except EOFError:
            problem = "the process died"
        self.close()
        self._start()
        return Outcome("broken", problem)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._memory), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _serve(pipe: Connection, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(outcome(task))


@contextmanager
def _without_checks() -> Iterator[None]:
    """Any value passes: what the format's own checksums and structures catch alone."""
    anything = plausible.Limit(-math.inf, math.inf)
    names = [n for n, value in vars(plausible).items() if isinstance(value, plausible.Limit)]
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(mock.patch.object(plausible, name, anything))
        stack.enter_context(mock.patch.object(plausible, "LEAST_ENERGY", 0.0))
        stack.enter_context(
            mock.patch.object(plausible, "endcap", lambda _, event, *__: np.ones(len(event), bool))
        )
        yield


def _columns(group: str) -> Iterable[str]:
    from data.store import GROUPS

    return GROUPS[group]


def _update(digest: Any, value: Any) -> None:
    if isinstance(value, dict):
        for name in sorted(value):
            digest.update(f"|{name}=".encode())
            _update(digest, value[name])
    elif isinstance(value, ak.Array):
        for name in sorted(ak.fields(value)):
            _update(digest, value[name])
        if not ak.fields(value):
            _update(digest, ak.to_numpy(ak.flatten(value, axis=None)))
            _update(digest, ak.to_list(ak.num(value)) if value.ndim > 1 else len(value))
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    elif hasattr(value, "__dict__") and hasattr(value, "offsets"):
        _update(digest, vars(value))
    else:
        digest.update(repr(value).encode())
