"""Shared fixtures: real CMS files where they are at hand, small simulated samples otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = Path(os.environ.get("CMS_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real CMS files; tests that need it are skipped where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real CMS files are not at hand (set CMS_TEST_DATA; looked in {REAL_DATA})")
    return REAL_DATA
