"""From what a user names (paths, patterns, addresses, lists, a record) to the list of files."""

from __future__ import annotations

import glob
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from common.errors import ConfigError, InputError
from common.files import parse_json
from data.access.filesystems import filesystem
from data.access.location import (
    DEFAULT_ACCESS,
    AccessOptions,
    InputFile,
    adler32_of,
    checked,
    is_remote,
    scheme_of,
)
from data.access.remote import RemoteFile
from data.access.retries import retried

_HELP = "get the list again from the portal (the record's page, file indexes)"
_LISTS = (".txt", ".json")
_RECORD = re.compile(r"record:(\d+)(?:\[([^\]]*)\])?")
_SLICE = re.compile(r"\s*(-?\d+)?\s*(:\s*(-?\d+)?\s*(:\s*(-?\d+)?\s*)?)?")


def resolve(
    inputs: list[str],
    record: int | None = None,
    files: str | None = None,
    options: AccessOptions = DEFAULT_ACCESS,
) -> list[InputFile]:
    """The input files, in the order in which they are named; patterns in alphabetical order.

    Parameters
    ----------
    inputs
        Paths, patterns, `https://`, `http://`, `root://` and `file://` addresses, and lists of
        files (`.txt`: one location a line; `.json`: the portal's file index), local or remote;
        `record:7783` or `record:7783[0:4]` for a record and a slice of its files.
    record, files
        A record of the CERN Open Data portal, and a slice of its files as Python writes it.

    Raises
    ------
    ConfigError
        If a pattern matches nothing, a list is empty, an address cannot be, or a slice is none.
    InputError
        If a list cannot be read. (A plain path that does not exist is told when it is opened.)
    """
    found: list[InputFile] = []
    for text in inputs:
        found += _files_of_record(text, options) or _expanded(checked(text), options)
    if record is not None:
        found += _files_of_record(f"record:{record}[{files or ':'}]", options)
    elif files is not None:
        raise ConfigError("files chooses among the files of a record: name the record too")
    if not found:
        raise ConfigError("no input: name files with input, or a record")
    return found


def _files_of_record(text: str, options: AccessOptions) -> list[InputFile]:
    """Files that `record:7783` or `record:7783[0:4]` names; none if the text is no such name."""
    from data.catalog import files_of  # knows lists of files, as this module does

    if not text.startswith("record:"):
        return []
    match = _RECORD.fullmatch(text)
    if not match:
        raise ConfigError(f"{text}: write record:7783, or record:7783[0:4] for some of its files")
    files = None if match[2] in (None, ":") else match[2]
    return files_of(int(match[1]), files, options)


def take(items: list[Any], text: str | None, what: str) -> list[Any]:
    """The part of a list that a slice such as `0:4`, `-3:` or `7` names.

    Raises
    ------
    ConfigError
        If it is not a slice, or leaves nothing.
    """
    if text is None:
        return items
    match = _SLICE.fullmatch(text)
    if not match or not text.strip():
        raise ConfigError(f"files={text}: not a slice; write 0:4, 10:20:2, -3: or one number")
    if match[2] is None:  # one number
        index = int(match[1])
        if not -len(items) <= index < len(items):
            raise ConfigError(f"files={text}: {what} has {len(items)} files, counted from 0")
        return [items[index]]
    numbers = [int(n) if n is not None else None for n in (match[1], match[3], match[5])]
    if numbers[2] == 0:
        raise ConfigError(f"files={text}: the step of a slice cannot be 0")
    chosen = items[slice(*numbers)]
    if not chosen:
        raise ConfigError(f"files={text}: chooses none of the {len(items)} files of {what}")
    return chosen


def entries(content: Any, source: str) -> list[InputFile]:
    """Files of a parsed JSON list: the portal's file index, or records with `uri`.

    Raises
    ------
    InputError
        If it is not such a list.
    """
    if isinstance(content, dict):
        content = content.get("files")
    if not isinstance(content, list):
        raise InputError(source, 'not a list of files: expected [{"uri": ..., "size": ...}]', _HELP)
    return [_entry(item, source, number) for number, item in enumerate(content)]


def _entry(item: Any, source: str, number: int) -> InputFile:
    if isinstance(item, str):
        item = {"uri": item}
    if not isinstance(item, dict) or not isinstance(item.get("uri"), str):
        raise InputError(source, f"entry {number} has no uri", _HELP)
    try:
        size = item.get("size")
        label = item.get("label")
        return InputFile(
            checked(item["uri"]),
            label=None if label is None else int(label),
            adler32=adler32_of(item.get("adler32") or item.get("checksum")),
            size=None if size is None else int(size),
            n_events=None if item.get("n_events") is None else int(item["n_events"]),
            record=None if item.get("record") is None else int(item["record"]),
            online=item.get("availability", "online") == "online",
        )
    except (TypeError, ValueError, OverflowError, ConfigError) as error:
        raise InputError(source, f"entry {number} ({item['uri']}): {error}", _HELP) from error


def _expanded(location: str, options: AccessOptions) -> list[InputFile]:
    if location.partition("?")[0].lower().endswith(_LISTS):
        return _listed(location, options)
    if not is_remote(location):
        # A file whose name has brackets is itself, not a pattern.
        if not glob.has_magic(location) or Path(location).exists():
            return [InputFile(location)]
        matching = sorted(p for p in glob.glob(location, recursive=True) if Path(p).is_file())
    elif "*" not in location:
        return [InputFile(location)]
    elif scheme_of(location).startswith("http"):
        raise ConfigError(
            f"{location}: web servers have no patterns; name the files, or put their addresses "
            "into a .txt file and name that"
        )
    else:
        matching = _remote_glob(location, options)
    if not matching:
        raise ConfigError(f"{location}: no file matches this pattern")
    return [InputFile(path) for path in matching]


def _remote_glob(location: str, options: AccessOptions) -> list[str]:
    """Files of one XRootD folder whose names match a pattern."""
    folder, _, pattern = location.rpartition("/")
    if "*" in folder:
        raise ConfigError(f"{location}: a pattern of a root:// address goes into the last part")
    fs, path = filesystem(folder + "/", options.timeout)
    names = retried(lambda: fs.ls(path, detail=True), location, "listing its folder", options)
    files = (item["name"].rpartition("/")[2] for item in names if item["type"] == "file")
    return [f"{folder}/{name}" for name in sorted(files) if fnmatchcase(name, pattern)]


def _listed(location: str, options: AccessOptions) -> list[InputFile]:
    if is_remote(location):
        content = RemoteFile(location, options).read_all()
    else:
        try:
            content = Path(location).read_bytes()
        except OSError as error:
            raise InputError(
                location, f"the list of files cannot be read: {error.strerror}"
            ) from error
    try:
        text = content.decode("utf-8")
        is_json = location.partition("?")[0].lower().endswith(".json")
        found = entries(parse_json(text), location) if is_json else _lines(text, location)
    except ValueError as error:
        raise InputError(location, f"not a list of files: {error}", _HELP) from error
    if not found:
        raise ConfigError(f"{location}: the list names no file")
    return found if is_remote(location) else [_beside(Path(location), file) for file in found]


def _lines(text: str, source: str) -> list[InputFile]:
    """Locations, one a line; empty lines and those with # are left out."""
    lines = (line.strip() for line in text.splitlines())
    names = [line for line in lines if line and not line.startswith("#")]
    return [_entry(name, source, number) for number, name in enumerate(names)]


def _beside(listing: Path, file: InputFile) -> InputFile:
    """A relative path in a list is meant from the list's folder."""
    if is_remote(file.location):
        return file
    return replace(file, location=str(listing.parent / file.location))
