"""The record of a preprocessing run: its status, and per file status, reason and identity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.files import sha256, write_json


class Manifest:
    """`<output>.manifest.json`, written (atomically) when the run starts and when it ends."""

    def __init__(self, output: Path, fingerprint: str) -> None:
        self.path = manifest_path(output)
        self.output = output
        self.fingerprint = fingerprint
        earlier = _load(self.path)
        self.earlier: dict[str, Any] = earlier if earlier.get("fingerprint") == fingerprint else {}

    def is_complete(self) -> bool:
        """Whether an earlier run with the same inputs and settings finished and is unharmed."""
        done = self.earlier.get("status") == "done" and self.output.is_file()
        return done and sha256(self.output) == self.earlier["output"]["sha256"]

    def start(self, settings: dict[str, Any]) -> None:
        """Record that the run has begun: after a kill the record says `running`."""
        self._save("running", {"config": settings, "files": []})

    def finish(
        self, status: str, files: list[dict[str, Any]], n_events: int, warnings: dict[str, int]
    ) -> None:
        """Record the outcome."""
        is_written = self.output.is_file() and status != "failed"
        checksum = sha256(self.output) if is_written else None
        output = {"path": str(self.output), "events": n_events, "sha256": checksum}
        self._save(status, {"files": files, "warnings": warnings, "output": output})

    def _save(self, status: str, content: dict[str, Any]) -> None:
        write_json(self.path, {"fingerprint": self.fingerprint, "status": status, **content})


def manifest_path(output: Path) -> Path:
    """Where the manifest of an output lies."""
    return output.with_name(output.name + ".manifest.json")


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
