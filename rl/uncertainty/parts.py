"""Where a stage keeps finished parts until it is complete."""

from __future__ import annotations

import shutil
from pathlib import Path

from common.runs import RunFolder


def parts_of(folder: RunFolder) -> Path:
    """Folder of the finished parts of a run; those of another configuration are removed."""
    parts = folder.path("parts") / folder.fingerprint()[:16]
    if not parts.is_dir():
        shutil.rmtree(folder.path("parts"), ignore_errors=True)
        parts.mkdir(parents=True)
    return parts
