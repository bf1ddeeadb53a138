"""The environments under the oldest Gymnasium that the project supports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

OLDEST = Path(sys.prefix) / "gymnasium-oldest"


def _bound() -> str:
    found = re.search(r'"gymnasium>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert found
    return found[1]


def test_the_makefile_installs_the_oldest_version_that_is_promised() -> None:
    found = re.search(r"^OLDEST := gymnasium==([\d.]+)$", (ROOT / "Makefile").read_text(), re.M)
    assert found
    assert found[1].startswith(_bound())


@pytest.mark.skipif(not OLDEST.is_dir(), reason=f"no older Gymnasium in {OLDEST} (`make venv`)")
def test_all_faces_work_with_the_oldest_gymnasium() -> None:
    program = (
        "import gymnasium, pytest, sys\n"
        f"assert gymnasium.__version__.startswith('{_bound()}'), gymnasium.__version__\n"
        "sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/test_envs_faces.py']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(OLDEST), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
