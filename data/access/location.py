"""Where an input file lives: a path of this machine, or an https:// or root:// address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.errors import ConfigError

REMOTE = ("http", "https", "root", "xroot")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True)
class InputFile:
    """An input file and what a list or a catalogue says of it.

    Attributes
    ----------
    location
        Path, `https://` or `root://` address.
    label
        Class of its events: 0 γγ, 1 H→γγ, 2 γ+jet.
    adler32
        Checksum of its bytes, eight hexadecimal digits.
    size
        Length in bytes.
    n_events
        Number of events.
    record
        Record of the CERN Open Data portal it belongs to.
    online
        Whether it lies on disk there; others lie on tape and must be requested first.
    """

    location: str
    label: int | None = None
    adler32: str | None = None
    size: int | None = None
    n_events: int | None = None
    record: int | None = None
    online: bool = True


@dataclass(frozen=True)
class AccessOptions:
    """How remote files are reached.

    Attributes
    ----------
    access
        `stream` reads the wanted parts of remote ROOT files; `fetch` copies every remote file.
        Formats other than ROOT are always copied.
    cache
        Folder that keeps copies; without one they are deleted after use.
    retries
        How often a failed read is tried again.
    timeout
        Seconds without an answer after which a read has failed.
    first_wait
        Seconds before the first repetition; it doubles each time, up to 30 s.
    """

    access: str = "stream"
    cache: Path | None = None
    retries: int = 5
    timeout: float = 60.0
    first_wait: float = 0.5


DEFAULT_ACCESS = AccessOptions()


def scheme_of(location: str) -> str:
    """The scheme of an address in lower case; empty for a path."""
    match = _SCHEME.match(location)
    return match[1].lower() if match else ""


def is_remote(location: str) -> bool:
    """Whether a location is an address on another machine."""
    return scheme_of(location) in REMOTE


def checked(location: str) -> str:
    """A location in the form that everything else expects: `file://` becomes a path.

    Raises
    ------
    ConfigError
        If it is empty, or its scheme is unknown.
    """
    scheme = scheme_of(location)
    if not location.strip():
        raise ConfigError("an input location is empty")
    if scheme == "file":
        parts = urlsplit(location)
        if parts.netloc not in ("", "localhost"):
            raise ConfigError(
                f"{location}: a file:// address of another machine; write file:///folder/file"
            )
        return unquote(parts.path)
    if scheme and scheme not in REMOTE:
        raise ConfigError(
            f"{location}: unknown scheme {scheme}://; use a path, https://, http:// or root://"
        )
    if scheme and not urlsplit(location).hostname:
        raise ConfigError(f"{location}: an address without a host")
    return location


def adler32_of(text: object) -> str | None:
    """The eight hexadecimal digits of `adler32:…`; None where there is no Adler-32.

    Raises
    ------
    ValueError
        If it says Adler-32 and is none.
    """
    if not isinstance(text, str) or not text:
        return None
    kind, _, value = text.rpartition(":")
    if kind.lower() not in ("", "adler32"):
        return None
    value = value.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{1,8}", value):
        raise ValueError(f"not an Adler-32: {text!r}")
    return value.zfill(8)  # the portal drops leading zeros
