"""Progress bars on a terminal, plain lines in a batch log; one logger for all."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, TypeVar

T = TypeVar("T")
log = logging.getLogger("pipeline")
_SECONDS_BETWEEN_LINES = 15.0


def progress(
    iterable: Iterable[T], total: int | None = None, desc: str = "", unit: str = "it"
) -> Iterator[T]:
    """Iterate with a bar on a terminal, or with a line every 15 seconds where there is none."""
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if sys.stderr.isatty() and (tqdm := _bar()) is not None:
        yield from tqdm(iterable, total=total, desc=desc, unit=unit, leave=False)
        return
    last = time.monotonic()
    for done, item in enumerate(iterable, start=1):
        yield item
        if time.monotonic() - last > _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            of_total = f" of {total}" if total is not None else ""
            log.info("%s: %d%s %s", desc or "progress", done, of_total, unit)


def _bar() -> Callable[..., Any] | None:
    """tqdm, or None on a machine without it."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm


def setup_logging(verbose: bool = False) -> None:
    """Send the pipeline's log to standard error; called once by the command line."""
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        log.addHandler(handler)
    log.propagate = False
