"""Opening an input file: where its bytes are; `detect` then tells the format."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from common.errors import InputError, PipelineError
from data.access.fetching import check_size, fetch
from data.access.location import DEFAULT_ACCESS, AccessOptions, InputFile, is_remote
from data.access.remote import RemoteFile
from data.sources.base import DEFAULT, ReadOptions, Source
from data.sources.detect import open_local, open_root_source
from data.sources.root_file import open_root, open_streamed

_MAGIC = 8  # bytes that tell a format


def open_source(
    location: str | Path | InputFile,
    options: ReadOptions = DEFAULT,
    access: AccessOptions = DEFAULT_ACCESS,
) -> Source:
    """Open an input file with the reader of its format.

    Remote ROOT files are read in parts unless `access.access` is `fetch`; other remote files are
    copied to `access.cache`, or to a temporary folder that goes when the source is closed.

    Parameters
    ----------
    location
        A path, an https:// or root:// address, or a file of a list with its size and checksum.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, of an unknown format, or of a format without
        rechits; the message says what was found and what to use.
    """
    file = location if isinstance(location, InputFile) else InputFile(str(location))
    if is_remote(file.location):
        return _open_remote(file, options, access)
    path = Path(file.location)
    if not path.is_file():
        raise InputError(path, "no such file")
    return open_local(path, _magic(path), options)


def _open_remote(file: InputFile, options: ReadOptions, access: AccessOptions) -> Source:
    if access.access == "stream":
        remote = RemoteFile(file.location, access)
        check_size(file, remote.size)
        if remote.read_ahead(0, min(_MAGIC, remote.size)).startswith(b"root"):
            source = open_root_source(file.location, open_streamed(remote), options)
            source.remote = remote
            return source
    with ExitStack() as holds:
        folder = access.cache
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="fetched_")
            folder = Path(holds.enter_context(temporary))
        source = _open_copy(file, fetch(file, folder, access), options)
        source.holds.push(holds.pop_all())
    return source


def _open_copy(file: InputFile, copy: Path, options: ReadOptions) -> Source:
    """Open a copy; errors name the address it is of."""
    magic = _magic(copy)
    if magic.startswith(b"root"):
        return open_root_source(file.location, open_root(copy), options)
    try:
        source = open_local(copy, magic, options)
    except PipelineError as error:
        if isinstance(error, InputError):
            raise InputError(file.location, error.problem, error.remedy) from error
        raise
    source.path = file.location
    return source


def _magic(path: Path) -> bytes:
    with open(path, "rb") as handle:
        return handle.read(_MAGIC)
