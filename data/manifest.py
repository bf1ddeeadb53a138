"""The record of a preprocessing run: per file its status, reason, checksum and shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.files import sha256, write_json


class Manifest:
    """`<output>.manifest.json`, written anew (atomically) after each change.

    It lives through a kill: the next run finds in it which shards are whole.
    """

    def __init__(self, output: Path, fingerprint: str) -> None:
        self.path = output.with_name(output.name + ".manifest.json")
        self.output = output
        earlier = _load(self.path)
        self._earlier = earlier if earlier.get("fingerprint") == fingerprint else {}
        self.content: dict[str, Any] = {"fingerprint": fingerprint, "status": "running"}
        self.content |= {"files": [], "shards": dict(self._earlier.get("shards", {}))}

    def is_complete(self) -> bool:
        """Whether an earlier run with the same inputs and settings finished and is unharmed."""
        done = self._earlier.get("status") == "done" and self.output.is_file()
        return done and sha256(self.output) == self._earlier["output"]["sha256"]

    @property
    def earlier(self) -> dict[str, Any]:
        """The record of the earlier run with the same inputs and settings, if any."""
        return self._earlier

    def drop_damaged(self, folder: Path) -> None:
        """Delete shards of an earlier run that are not what they were; they are made again."""
        for name, checksum in list(self.content["shards"].items()):
            path = folder / name
            if path.is_file() and sha256(path) == checksum:
                continue
            path.unlink(missing_ok=True)
            del self.content["shards"][name]

    def add_shard(self, path: Path) -> None:
        """Record a complete shard."""
        if path.name not in self.content["shards"]:
            self.content["shards"][path.name] = sha256(path)
            self.save()

    def finish(
        self, status: str, files: list[dict[str, Any]], n_events: int, warnings: dict[str, int]
    ) -> None:
        """Record the outcome; the shards are merged by now and need no record."""
        self.content |= {"status": status, "files": files, "warnings": warnings, "shards": {}}
        is_written = self.output.is_file() and status != "failed"
        checksum = sha256(self.output) if is_written else None
        self.content["output"] = {
            "path": str(self.output), "events": n_events, "sha256": checksum,
        }  # fmt: skip
        self.save()

    def save(self) -> None:
        """Write the record."""
        write_json(self.path, self.content)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
