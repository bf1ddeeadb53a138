"""Where input files live and how they are reached: paths, https://, root://, lists, records."""

from data.access.fetching import fetch, identity
from data.access.inputs import resolve
from data.access.location import DEFAULT_ACCESS, AccessOptions, InputFile, is_remote
from data.access.remote import RemoteFile
from data.access.root import open_remote_root

__all__ = [
    "DEFAULT_ACCESS",
    "AccessOptions",
    "InputFile",
    "RemoteFile",
    "fetch",
    "identity",
    "is_remote",
    "open_remote_root",
    "resolve",
]
