"""Opening an input file: where its bytes are; `detect` then tells the format."""

from __future__ import annotations

from pathlib import Path

from common.errors import InputError
from data.sources.base import DEFAULT, ReadOptions, Source
from data.sources.detect import open_local


def open_source(path: str | Path, options: ReadOptions = DEFAULT) -> Source:
    """Open an input file with the reader of its format.

    Raises
    ------
    InputError
        If the file is missing, empty, damaged, of an unknown format, or of a format without
        rechits; the message says what was found and what to use.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file")
    with open(path, "rb") as handle:
        magic = handle.read(8)
    return open_local(path, magic, options)
