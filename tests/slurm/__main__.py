"""`python -m tests.slurm`: the project's batch jobs on a Slurm of one node, started for it.

Run as root where Debian's slurm-wlm is installed; prints what was checked and how long it took.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.slurm.checks import run_all
from tests.slurm.node import is_possible


def main() -> int:
    """Returns the exit status."""
    reason = is_possible()
    if reason:
        print(f"not run: {reason}")
        return 2
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        run_all(Path(folder), with_requeue="--requeue" in sys.argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
