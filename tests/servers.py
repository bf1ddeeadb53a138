"""Servers on loopback: a web server that can misbehave, and a real XRootD daemon."""

from __future__ import annotations

import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Behaviour:
    """What a web server does, and what it saw.

    Attributes
    ----------
    failures
        Statuses of the next answers; 0 cuts the body in the middle, -1 closes without an answer.
    ranges
        `yes`, `no` (the whole file whatever is asked) or `other` (a range that was not asked for).
    headers
        Headers of every good answer.
    only
        Failures hit only requests whose Range header contains this text.
    """

    failures: list[int] = field(default_factory=list)
    ranges: str = "yes"
    headers: dict[str, str] = field(default_factory=dict)
    only: str = ""
    failure_headers: dict[str, str] = field(default_factory=dict)
    says_length: bool = True
    requests: list[tuple[str, str]] = field(default_factory=list)
    bytes_sent: int = 0
    lock: Any = field(default_factory=threading.Lock)


class WebServer:
    """A web server of one folder; `url` is its address, `behaviour` is yours to change."""

    def __init__(self, folder: Path) -> None:
        self.behaviour = Behaviour()
        handler = type("Handler", (_Handler,), {"folder": folder, "behaviour": self.behaviour})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def web_server(folder: Path) -> Iterator[WebServer]:
    """Serve a folder over HTTP."""
    with closing(WebServer(folder)) as server:
        yield server


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms
    folder: Path
    behaviour: Behaviour

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        with self.behaviour.lock:
            self.behaviour.requests.append((self.path, asked))
            hit = self.behaviour.failures and self.behaviour.only in asked
            failure = self.behaviour.failures.pop(0) if hit else None
        if failure == -1:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if failure:
            self._answer(failure, b"no", self.behaviour.failure_headers)
            return
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self._answer(404, b"not here", {})
            return
        self._answer(*self._content(path.read_bytes(), asked), cut=failure == 0)

    def _content(self, content: bytes, asked: str) -> tuple[int, bytes, dict[str, str]]:
        headers = dict(self.behaviour.headers)
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        if not match or self.behaviour.ranges == "no":
            return 200, content, headers
        first, last = int(match[1]), min(int(match[2]), len(content) - 1)
        if first >= len(content):
            return 416, b"", headers
        if self.behaviour.ranges == "other" and last - first > 1:
            first, last = first + 1, last
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return 206, content[first : last + 1], headers

    def _answer(self, status: int, body: bytes, headers: dict[str, str], cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.behaviour.says_length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.close_connection = True
        self.end_headers()
        if cut:
            body = body[: len(body) // 2]
            self.close_connection = True
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            return
        with self.behaviour.lock:
            self.behaviour.bytes_sent += len(body)

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionResetError:  # a client that gave up
            return

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""


class XRootDServer:
    """A real xrootd daemon, which also serves HTTP as the CERN Open Data portal's does.

    Attributes
    ----------
    folder
        What it serves.
    root, http
        Its addresses, to which `/name` is added.
    """

    def __init__(self, checksums: bool = True) -> None:
        # Not pytest's folder, which the user that the daemon turns into may not enter.
        self._base = Path(tempfile.mkdtemp(prefix="xrootd_"))
        self.folder, self._admin = self._base / "data", self._base / "admin"
        for folder in (self._base, self.folder, self._admin):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        self._is_root = os.geteuid() == 0
        self._user = pwd.getpwnam("nobody")
        if self._is_root:
            os.chown(self._admin, self._user.pw_uid, self._user.pw_gid)
        self._port, http_port = _free_ports(2)
        self.root = f"root://127.0.0.1:{self._port}/"
        self.http = f"http://127.0.0.1:{http_port}"
        (self._base / "xrootd.cfg").write_text(
            f"xrd.port {self._port}\n"
            f"xrd.protocol http:{http_port} libXrdHttp.so\n"
            f"oss.localroot {self.folder}\n"
            "all.export / r/o\n"
            f"all.adminpath {self._admin}\nall.pidpath {self._admin}\n"
            "xrd.network nodnr\n" + ("xrootd.chksum max 2 adler32\n" if checksums else "")
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        command = ["xrootd", "-c", str(self._base / "xrootd.cfg"), "-l", str(self._admin / "log")]
        if self._is_root:  # it refuses to work as root
            command += ["-R", "nobody"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        for _ in range(200):
            if self._process.poll() is not None:
                break
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.05)
        logs = "".join(p.read_text(errors="replace") for p in self._admin.rglob("log"))
        pytest.fail(f"xrootd did not start:\n{logs[-3000:]}")

    def kill(self) -> None:
        """End the daemon at once, as a crash does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._base, ignore_errors=True)

    def add(self, path: Path, name: str | None = None) -> str:
        """Serve a copy of a file; returns its name on the server, with a leading slash."""
        target = self.folder / (name or path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o644)
        if self._is_root:
            # It keeps checksums beside its files; where it may not, XRootD 5.5.3 crashes now and
            # then on an HTTP request for one.
            os.chown(target, self._user.pw_uid, self._user.pw_gid)
        return f"/{target.relative_to(self.folder)}"


@contextmanager
def xrootd_server(checksums: bool = True) -> Iterator[XRootDServer]:
    """A real xrootd daemon; the test is skipped where it or the client library is absent."""
    if shutil.which("xrootd") is None:
        pytest.skip("no xrootd daemon here (apt install xrootd-server)")
    pytest.importorskip("fsspec_xrootd", reason="the extra `remote` is not installed")
    with closing(XRootDServer(checksums)) as server:
        yield server


def _free_ports(n: int) -> list[int]:
    """Ports below those that the system hands to others' connections between now and their use."""
    found: list[int] = []
    while len(found) < n:
        port = random.SystemRandom().randrange(10240, 32768)
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found
