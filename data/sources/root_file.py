"""ROOT files through uproot, with every failure told as file, branch, entries and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from common.errors import InputError, PipelineError
from data.access.remote import RemoteFile
from data.access.root import RemoteSource, open_root_through

# What uproot knows by itself: classes by name, and those of each name by version.
_REGISTRIES = [
    (registry, dict(registry))
    for registry in (
        uproot.classes,
        *(c.known_versions for c in uproot.classes.values() if hasattr(c, "known_versions")),
    )
]
DAMAGED = "fetch the file again and compare its checksum, or leave it out"


def open_root(path: str | Path) -> Any:
    """Open a ROOT file.

    Raises
    ------
    InputError
        If it cannot be opened as a ROOT file.
    """
    try:
        _forget_classes()
        # Small reads of local files are many: the default source passes each through a thread.
        file = uproot.open(path, handler=uproot.MemmapSource, array_cache=None, object_cache=None)
    except Exception as error:  # uproot lets errors of many libraries through
        raise InputError(path, f"not a readable ROOT file: {reason(error)}", DAMAGED) from error
    return _whole(path, file)


def open_streamed(remote: RemoteFile) -> Any:
    """Open a remote ROOT file, of which only what is wanted is read.

    Raises
    ------
    InputError
        If it cannot be reached, or opened as a ROOT file.
    """
    try:
        _forget_classes()
        file = open_root_through(remote)
    except PipelineError:
        raise
    except Exception as error:
        raise InputError(
            remote.location, f"not a readable ROOT file: {reason(error)}", DAMAGED
        ) from error
    return _whole(remote.location, file)


def _forget_classes() -> None:
    """Undo what other files taught uproot.

    uproot makes classes from the descriptions in a file and keeps them for all files of the
    process: a flipped bit in one file would make the next, good one unreadable, or read wrongly.
    """
    for registry, original in _REGISTRIES:
        if registry != original:
            for name in registry.keys() - original.keys():
                del registry[name]
            registry.update(original)


def _whole(path: str | Path, file: Any) -> Any:
    """The open file, if it is as long as its header says: what is missing may be read late."""
    expected, found = int(file.file.fEND), int(file.file.source.num_bytes)
    if found < expected:
        file.close()
        raise InputError(path, f"cut short: {found} of {expected} bytes", DAMAGED)
    return file


def open_tree(path: str | Path, file: Any, name: str) -> Any:
    """Open a TTree of an open file."""
    try:
        return file[name]
    except PipelineError:  # a remote read that failed says so itself
        raise
    except Exception as error:
        raise InputError(path, f"tree {name} cannot be read: {reason(error)}", DAMAGED) from error


def n_entries(path: str | Path, tree: Any) -> int:
    """Number of entries of a tree and of each of its branches.

    Raises
    ------
    InputError
        If they differ.
    """
    expected = int(tree.num_entries)
    for branch in tree.branches:
        if branch.num_entries != expected:
            raise InputError(
                path,
                f"branch {branch.name} has {branch.num_entries} entries, its tree {expected}",
                DAMAGED,
            )
    return expected


def read(
    path: str | Path,
    branch: Any,
    start: int,
    stop: int,
    interpretation: Any = None,
    library: str = "ak",
) -> Any:
    """Read entries start:stop of one branch.

    Raises
    ------
    InputError
        If the bytes cannot be decompressed or interpreted, or hold fewer entries than they should.
    """
    try:
        prefetch([branch], start, stop)
        result = branch.array(interpretation, entry_start=start, entry_stop=stop, library=library)
    except InputError as error:  # a remote read that failed
        problem = f"branch {branch.name}, entries {start}:{stop}: {error.problem}"
        raise InputError(path, problem, error.remedy) from error
    except Exception as error:
        raise InputError(
            path,
            f"branch {branch.name}, entries {start}:{stop}: cannot be read: {reason(error)}",
            DAMAGED,
        ) from error
    if len(result) != stop - start:
        raise InputError(
            path,
            f"branch {branch.name}: expected entries {start}:{stop}, found {len(result)} of them",
            DAMAGED,
        )
    return result


def prefetch(branches: list[Any], start: int, stop: int) -> None:
    """Request the baskets of branches of a remote file together; of a local file do nothing.

    A reader that names all branches it is about to `read` needs one request for them. Without
    that, `read` asks for one branch at a time at first; the branches read for one range of entries
    are requested together for the next.
    """
    if not branches or not isinstance(source := branches[0].file.source, RemoteSource):
        return
    source.want(branches, start, stop)


def basket_edges(path: str | Path, branch: Any) -> list[int]:
    """Entry numbers where the baskets of a branch begin and end.

    Raises
    ------
    InputError
        If the branch's list of baskets is damaged.
    """
    try:
        edges = [int(edge) for edge in branch.entry_offsets]
    except Exception as error:
        problem = f"branch {branch.name}: impossible baskets: {reason(error)}"
        raise InputError(path, problem, DAMAGED) from error
    if edges[0] != 0 or edges[-1] != branch.num_entries or edges != sorted(edges):
        problem = f"branch {branch.name}: baskets that do not follow each other"
        raise InputError(path, problem, DAMAGED)
    return edges


def flat(array: ak.Array) -> tuple[NDArray, NDArray[np.int64]]:
    """Content and counts of a jagged array of numbers."""
    layout = array.layout
    if layout.is_list and not layout.is_regular and layout.content.is_numpy:
        # What uproot gives for a leaf of numbers; taken without a copy.
        rows = layout.to_ListOffsetArray64()
        offsets = np.asarray(rows.offsets)
        return np.asarray(rows.content.data)[offsets[0] : offsets[-1]], np.diff(offsets)
    counts = ak.to_numpy(ak.num(array, axis=1)).astype(np.int64)
    return ak.to_numpy(ak.flatten(array, axis=1)), counts


def reason(error: Exception) -> str:
    """First line of an exception's message with its type, short enough for a terminal."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
