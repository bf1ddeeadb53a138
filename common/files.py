"""Files that are never half-written, and their checksums."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import OutputError

_CHUNK = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success sync it to disk and rename it to `path`.

    After a crash `path` either does not exist, or still holds what it held before.

    Raises
    ------
    OutputError
        If the disk is full or read-only.
    """
    path = Path(path)
    temporary = scratch_name(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            sync(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Tell a full or read-only disk as an OutputError, whatever a library made of it."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            # HDF5 fails to close what it failed to write, and hides the first error behind it.
            if (number := _error_number(cause)) in _NO_ROOM:
                raise OutputError(path, os.strerror(number)) from error
            cause = cause.__cause__ or cause.__context__
        raise


def _error_number(error: BaseException) -> int:
    """The system's number of an error, also where HDF5 has it in its text only; 0 for none."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = re.search(r"\berrno = (\d+)", str(error))
    return int(match[1]) if match else 0


def scratch_name(path: Path) -> Path:
    """A hidden name beside `path` that no other process uses, on this machine or another."""
    # The suffix is kept: several libraries choose the format by it.
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}.part{path.suffix}")


def sync(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with open(path, "rb+") as handle:
        os.fsync(handle.fileno())


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON atomically, indented, non-finite numbers as null."""
    with atomic_path(path) as temporary:
        text = json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def parse_json(text: str | bytes) -> Any:
    """JSON of unknown origin.

    Raises
    ------
    ValueError
        If it is none, or nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _finite(value: Any) -> Any:
    if hasattr(value, "_asdict"):  # named tuples keep their names
        value = value._asdict()
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays
        return _finite(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def adler32(path: str | Path) -> str:
    """Adler-32 of a file's bytes as eight hexadecimal digits (the CERN Open Data portal's sum)."""
    value = 1
    with open(path, "rb") as handle:
        while chunk := handle.read(_CHUNK):
            value = zlib.adler32(chunk, value)
    return f"{value:08x}"
