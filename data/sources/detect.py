"""Telling input formats apart by what is in the file; its name counts for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.errors import InputError, PipelineError
from data.sources import dense_parquet as parquet
from data.sources.aod import AodSource
from data.sources.base import ReadOptions, Source
from data.sources.dense_hdf5 import DenseHdf5Source
from data.sources.ig import IgSource
from data.sources.nanoaod import IDENTIFIERS, NanoAodSource
from data.sources.rhtree import TREE, RHTreeSource
from data.sources.root_file import DAMAGED, open_root, open_tree, reason

_ACCEPTED = (
    "accepted: CMS AOD, AODSIM, RECO, MiniAOD 2015/2016, NanoAOD, fevt/RHTree, event display "
    "(.ig), dense arrays in HDF5 or Parquet"
)


def open_local(path: Path, magic: bytes, options: ReadOptions) -> Source:
    """Open a file on disk with the reader of its format, told by its first 8 bytes `magic`."""
    if not magic:
        raise InputError(path, "the file is empty", "fetch it again")
    if magic.startswith(b"PK\x03\x04"):
        return IgSource(path, options)
    if magic.startswith(b"root"):
        return open_root_source(str(path), open_root(path), options)
    if magic == b"\x89HDF\r\n\x1a\n":
        return DenseHdf5Source(path, options)
    if magic.startswith(parquet.MAGIC):
        return parquet.DenseParquetSource(path, options)
    raise InputError(path, f"unknown format (the file begins with {magic!r})", _ACCEPTED)


def open_root_source(path: str, file: Any, options: ReadOptions) -> Source:
    """The reader of an open ROOT file, told by its trees; `path` is how errors name the file."""
    try:
        if TREE in file:
            return RHTreeSource(path, file, options)
        if "Events" in file:
            return _open_events(path, open_tree(path, file, "Events"), options)
        if not file.keys():
            raise InputError(
                path, "an empty or damaged ROOT file: it holds nothing",
                DAMAGED,
            )  # fmt: skip
        names = ", ".join(sorted({key.split(";")[0] for key in file.keys()}))  # noqa: SIM118
    except PipelineError:
        file.close()
        raise
    except Exception as error:  # damage in the file's directories, found when they are followed
        file.close()
        raise InputError(path, f"damaged ROOT file: {reason(error)}", DAMAGED) from error
    file.close()
    raise InputError(
        path, f"a ROOT file without tree Events or {TREE}; it holds: {names[:200]}",
        _ACCEPTED,
    )  # fmt: skip


def _open_events(path: str, tree: Any, options: ReadOptions) -> Source:
    if not hasattr(tree, "num_entries") or not hasattr(tree, "branches"):
        raise InputError(path, f"Events is a {type(tree).__name__}, not a TTree", _ACCEPTED)
    names = {branch.name for branch in tree.branches}
    if "EventAuxiliary" in names:
        return AodSource(path, tree, options)
    if set(IDENTIFIERS.values()) <= names:
        return NanoAodSource(path, tree, options)
    raise InputError(path, "a tree Events that is neither EDM nor NanoAOD", _ACCEPTED)
