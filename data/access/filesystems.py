"""fsspec filesystems of remote files, with answers checked where a library does not."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

import aiohttp
import fsspec
from fsspec.asyn import sync_wrapper
from fsspec.implementations.http import HTTPFileSystem

from common.errors import InputError
from data.access.location import scheme_of
from data.access.retries import Incomplete, Unusable

NO_RANGES = (
    "the server ignores the Range header, so parts of the file cannot be read",
    "use access=fetch, which copies the whole file first",
)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class HttpHead(NamedTuple):
    """What a server says of a file: length, name of its content, Adler-32; whether it cuts."""

    size: int | None
    tag: str | None
    adler32: str | None
    ranges: bool


class CheckedHTTP(HTTPFileSystem):
    """HTTP whose ranges are what was asked for.

    A server may answer a range request with the whole file (status 200) or another range; fsspec
    would hand these bytes on as if they were the range.
    """

    async def _cat_file(
        self, url: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        if start is None or end is None:
            return await super()._cat_file(url, start=start, end=end, **kwargs)
        if start == end:
            return b""
        session = await self.set_session()
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        async with session.get(self.encode_url(url), headers=headers) as response:
            self._raise_not_found_for_status(response, url)
            _check_range(response, start, end)
            content = await response.read()
        if len(content) != end - start:
            raise Incomplete(f"{len(content)} bytes where {end - start} were asked for")
        return content

    async def _head(self, url: str) -> HttpHead:
        """Length, tag and checksum, by asking for one byte: some servers refuse HEAD."""
        session = await self.set_session()
        headers = {
            "Range": "bytes=0-0", "Accept-Encoding": "identity", "Want-Digest": "adler32",
        }  # fmt: skip
        async with session.get(self.encode_url(url), headers=headers) as response:
            if response.status == 416:  # no first byte
                return HttpHead(0, None, None, ranges=True)
            self._raise_not_found_for_status(response, url)
            tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
            digest = re.search(r"adler32=([0-9a-fA-F]{1,8})", response.headers.get("Digest", ""))
            if match := _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "")):
                size = int(match[3]) if match[3].isdigit() else None
            else:
                size = response.content_length
            checksum = digest[1].lower().zfill(8) if digest else None
            return HttpHead(size, tag, checksum, response.status == 206)

    head = sync_wrapper(_head)


def _check_range(response: aiohttp.ClientResponse, start: int, end: int) -> None:
    if response.status != 206:
        raise Unusable(*NO_RANGES)
    found = response.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(found)
    if not match or (int(match[1]), int(match[2])) != (start, end - 1):
        raise Unusable(
            f"asked for bytes {start}-{end - 1}, the server answered with {found or 'others'}",
            "use access=fetch, or another server",
        )


def filesystem(location: str, timeout: float) -> tuple[Any, str]:
    """The fsspec filesystem of an address, and the path in it.

    Raises
    ------
    InputError
        If the library for root:// is not installed.
    """
    if scheme_of(location).startswith("http"):
        limits = aiohttp.ClientTimeout(total=None, sock_connect=timeout, sock_read=timeout)
        # trust_env: proxies of the environment, without which many clusters reach nothing.
        fs = CheckedHTTP(client_kwargs={"timeout": limits, "trust_env": True})
        return fs, location
    _prepare_xrootd(location)
    # fsspec knows the protocol under this name only.
    address = "root://" + location.partition("://")[2]
    return fsspec.core.url_to_fs(address, timeout=max(1, round(timeout)))


def _prepare_xrootd(location: str) -> None:
    try:
        import fsspec_xrootd  # noqa: F401
        from XRootD.client import EnvPutInt
    except ImportError as error:
        raise InputError(
            location,
            f"root:// needs the libraries fsspec-xrootd and xrootd ({error})",
            "pip install 'cms-e2e-rl[remote]'; or use the file's https:// address",
        ) from error
    # The client's own repetitions take ten minutes to say that a server is away, and for half an
    # hour after that it does not even try; our repetitions replace them.
    for name, value in (("ConnectionRetry", 1), ("StreamErrorWindow", 1)):
        if f"XRD_{name.upper()}" not in os.environ:
            EnvPutInt(name, value)
