"""Copying remote files whole and checked, and naming the content of any file."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.errors import InputError
from common.files import adler32, sha256
from common.progress import log
from data.access.location import DEFAULT_ACCESS, AccessOptions, InputFile, is_remote
from data.access.remote import RemoteFile
from data.access.retries import Incomplete, retried

_BLOCK = 8 << 20
_DAMAGED = "fetch it again; if that does not help, the copy on the server is damaged: try another"


def fetch(file: InputFile, folder: Path, options: AccessOptions = DEFAULT_ACCESS) -> Path:
    """Copy a remote file into a folder, and check it; a local file stays where it is.

    The copy has its name only when it is whole and its length and checksum are right. A partial
    copy of an interrupted run is continued. Processes that want the same file wait for the first.

    Returns
    -------
    Path of the copy; of an earlier one if there is one of the same content.

    Raises
    ------
    InputError
        If it cannot be read, there is no room, or length or checksum are wrong; the message says
        what was expected and found, and the wrong copy is deleted.
    """
    if not is_remote(file.location):
        check_local(file)
        return Path(file.location)
    remote = RemoteFile(file.location, options)
    expected = expected_adler32(file, remote)
    check_size(file, remote.head.size)
    target = folder / _name(file, remote, expected)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(target.with_name(target.name + ".lock")):
        if target.is_file():
            return target
        partial = target.with_name(target.name + ".part")
        log.info("fetching %s (%s)", file.location, in_units(remote.head.size))
        _check_room(file, remote.head.size, folder, partial)
        found = _copy(remote, partial)
        if expected is not None and found != expected:
            partial.unlink()
            raise InputError(
                file.location, f"its Adler-32 should be {expected}, the copy has {found}", _DAMAGED
            )
        os.replace(partial, target)
    return target


def identity(file: InputFile, options: AccessOptions = DEFAULT_ACCESS) -> str:
    """A name of a file's content, that changes when the content does.

    `sha256:<hex>` of local files. Of remote files `adler32:<hex>:<bytes>`, of the list they came
    from and of the server, else `etag:<ETag or time of last change>:<bytes>`.

    Raises
    ------
    InputError
        If list and server, or list and local file, disagree; or if the file cannot be reached.
    """
    if not is_remote(file.location):
        check_local(file)
        try:
            return f"sha256:{sha256(file.location)}"
        except OSError as error:
            raise InputError(file.location, f"cannot be read: {error}") from error
    remote = RemoteFile(file.location, options)
    check_size(file, remote.head.size)
    if (checksum := expected_adler32(file, remote)) is not None:
        return f"adler32:{checksum}:{remote.size}"
    if remote.head.tag is None:
        log.warning("%s: the server names neither checksum, ETag nor time of change; a change of "
                    "the same length will not be noticed", file.location)  # fmt: skip
    return f"etag:{remote.head.tag or 'none'}:{remote.head.size}"


def expected_adler32(file: InputFile, remote: RemoteFile) -> str | None:
    """The Adler-32 that list and server agree on; None if neither has one."""
    said = remote.adler32
    if file.adler32 is not None and said is not None and said != file.adler32:
        raise InputError(
            file.location,
            f"its list says Adler-32 {file.adler32}, the server says {said}",
            "the list is of another version of the file, or the server's copy is damaged: get the "
            "list again, or leave the file out",
        )
    return file.adler32 or said


def check_local(file: InputFile) -> None:
    """Compare a local file with the size and checksum that its list states."""
    path = Path(file.location)
    if not path.is_file():
        raise InputError(file.location, "no such file")
    check_size(file, path.stat().st_size)
    if file.adler32 is not None and (found := adler32(path)) != file.adler32:
        raise InputError(
            file.location, f"its list says Adler-32 {file.adler32}, the file has {found}", _DAMAGED
        )


def check_size(file: InputFile, found: int | None) -> None:
    """Compare a length with the one that a file's list states."""
    if None not in (file.size, found) and file.size != found:
        raise InputError(
            file.location, f"its list says {file.size} bytes, it has {found}",
            "the copy is incomplete, or the list is of another version: get both again",
        )  # fmt: skip


def in_units(n_bytes: int | None) -> str:
    """A number of bytes as people read it."""
    if n_bytes is None:
        return "unknown length"
    size, unit = float(n_bytes), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} B" if unit == "B" else f"{size:.2f} {unit}"


def _copy(remote: RemoteFile, partial: Path) -> str:
    """Copy to `partial`, going on where an earlier copy ended; the copy's Adler-32."""
    if not remote.head.ranges or remote.head.size is None:
        return retried(
            lambda: _copy_whole(remote, partial), remote.location, "copying", remote.options
        )
    with open(partial, "ab+") as handle:
        handle.seek(0)
        checksum = 1
        while block := handle.read(_BLOCK):
            checksum = zlib.adler32(block, checksum)
        done = handle.tell()
        if done > remote.size:
            handle.truncate(0)
            checksum, done = 1, 0
        for start in range(done, remote.size, _BLOCK):
            block = remote.read(start, min(start + _BLOCK, remote.size))
            _write(handle, block, remote)
            checksum = zlib.adler32(block, checksum)
        handle.flush()
        os.fsync(handle.fileno())
    return f"{checksum:08x}"


def _write(handle: BufferedRandom, block: bytes, remote: RemoteFile) -> None:
    try:
        handle.write(block)
    except OSError as error:
        raise InputError(
            remote.location, f"its copy {handle.name} cannot be written: {error}",
            "make room on the disk, or choose another folder with `cache`",
        ) from error  # fmt: skip


def _copy_whole(remote: RemoteFile, partial: Path) -> str:
    """Copy in one request, from a server that cannot cut; the copy's Adler-32."""
    remote.download(partial)
    size = partial.stat().st_size
    if remote.head.size not in (None, size):
        raise Incomplete(f"{size} of {remote.head.size} bytes arrived")
    return adler32(partial)


def _name(file: InputFile, remote: RemoteFile, expected: str | None) -> str:
    """Name of the copy: a changed file gets another one."""
    content = expected or remote.head.tag
    digest = hashlib.sha256(f"{file.location} {remote.head.size} {content}".encode()).hexdigest()
    name = Path(unquote(urlsplit(file.location).path)).name or "file"
    return f"{digest[:12]}_{name[-120:]}"


def _check_room(file: InputFile, size: int | None, folder: Path, partial: Path) -> None:
    there = partial.stat().st_size if partial.is_file() else 0
    free = shutil.disk_usage(folder).free
    if size is not None and size - there > free:
        raise InputError(
            file.location, f"its {in_units(size)} do not fit into {folder}, where "
            f"{in_units(free)} are free", "choose another folder with `cache`, or stream",
        )  # fmt: skip


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
