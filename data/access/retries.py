"""Trying again what may work a moment later, and telling what will not."""

from __future__ import annotations

import asyncio
import errno
import random
import re
import socket
import time
from collections.abc import Callable
from typing import TypeVar

import aiohttp

from common.errors import InputError
from common.progress import log
from data.access.location import AccessOptions

T = TypeVar("T")
LONGEST_WAIT = 30.0
_PASSING_STATUS = {408, 425, 429}
# XRootD server errors that no repetition changes: bad argument, invalid request, file lock state,
# not authorised, not found, is a directory, authentication failed (XProtocol.hh, XErrorCode).
_XROOTD_PERMANENT = {3000, 3006, 3010, 3011, 3016, 3030}
_XROOTD_CODE = re.compile(r"\[(3\d\d\d)\]")


class Unusable(OSError):
    """An answer that will be no better next time; `remedy` says what the user can do."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.remedy = remedy


class Incomplete(OSError):
    """Fewer or other bytes than asked for: the connection was cut."""


# RuntimeError: fsspec's XRootD face meets the end of a short answer as a StopIteration.
FAILURES = (OSError, aiohttp.ClientError, asyncio.TimeoutError, RuntimeError)


def is_permanent(error: BaseException) -> bool:
    """Whether trying again is useless: not found, not allowed, no such host, bad certificate."""
    if isinstance(error, Unusable | FileNotFoundError | PermissionError | IsADirectoryError):
        return True
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status < 500 and error.status not in _PASSING_STATUS
    if isinstance(error, aiohttp.InvalidURL | aiohttp.ClientConnectorCertificateError):
        return True
    if isinstance(error, aiohttp.ClientConnectorError):
        return isinstance(error.os_error, socket.gaierror) and (
            error.os_error.errno == socket.EAI_NONAME
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return True
    if match := _XROOTD_CODE.search(str(error)):
        return int(match[1]) in _XROOTD_PERMANENT
    return "Invalid address" in str(error)


def retried(action: Callable[[], T], location: str, doing: str, options: AccessOptions) -> T:
    """The result of `action`, tried again on failures that may pass.

    Parameters
    ----------
    location, doing
        What the error names: the address, and what was attempted.

    Raises
    ------
    InputError
        If it fails for good, or still after `options.retries` repetitions.
    """
    for attempt in range(options.retries + 1):
        try:
            return action()
        except FAILURES as error:
            permanent = is_permanent(error)
            if permanent or attempt == options.retries:
                raise _final(error, location, doing, attempt + 1, permanent) from error
            seconds = wait(attempt, error, options)
            tell = log.warning if attempt > 1 else log.debug  # a hiccup is not worth a line
            tell(
                "%s: %s failed (%s), trying again in %.1f s", location, doing, said(error), seconds
            )
            time.sleep(seconds)
    raise AssertionError("unreachable")


def wait(attempt: int, error: BaseException, options: AccessOptions) -> float:
    """Seconds before repetition `attempt` (from 0): doubling, jittered, as the server asks."""
    seconds = min(options.first_wait * 2.0**attempt, LONGEST_WAIT)
    # Many workers that lost one server should not all come back at the same moment.
    seconds *= random.uniform(0.5, 1.0)
    headers = getattr(error, "headers", None) or {}
    asked = headers.get("Retry-After", "")
    return max(seconds, min(float(asked), LONGEST_WAIT)) if asked.isdigit() else seconds


def said(error: BaseException) -> str:
    """What an error says, in one line."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP status {error.status} {error.message}".strip()
    if isinstance(error, FileNotFoundError):
        return "no such file"
    lines = str(error).strip().splitlines()
    # XRootD's face names the Python method that it could not submit.
    first = re.sub(r"^Failed to submit <.*> request: ", "", lines[0]) if lines else ""
    return first[:200] or type(error).__name__


def _final(
    error: BaseException, location: str, doing: str, tried: int, permanent: bool
) -> InputError:
    times = "once" if tried == 1 else f"{tried} times"
    problem = f"{doing} failed: {said(error)} (tried {times})"
    if isinstance(error, Unusable):
        return InputError(location, problem, error.remedy)
    if permanent:
        return InputError(location, problem, _remedy(error))
    return InputError(
        location, problem, "the server or the network is not well: run the same command again "
        "later to go on where it stopped, or raise `retries`",
    )  # fmt: skip


def _remedy(error: BaseException) -> str:
    status = getattr(error, "status", None)
    text = str(error)
    if status in (401, 403) or isinstance(error, PermissionError) or "[3010]" in text:
        return "the server does not give this file to you: check the address and your access"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "check the host's name, or the network of this machine"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return "make room on the disk, or choose another folder with `cache`"
    return "check the address"
