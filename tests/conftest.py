"""Shared fixtures: real CMS files where they are at hand, small simulated samples otherwise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rl.refinement.config import RefineConfig

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = Path(os.environ.get("CMS_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real CMS files; tests that need it are skipped where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"real CMS files are not at hand (set CMS_TEST_DATA; looked in {REAL_DATA})")
    return REAL_DATA


@pytest.fixture(scope="session")
def dijet_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of some 150 simulated dijet events."""
    pytest.importorskip("fastjet", reason="the optional fastjet is not installed")
    from tests.dijets import make_store

    return make_store(tmp_path_factory.mktemp("dijets"))


@pytest.fixture(scope="session")
def refinement_run(tmp_path_factory: pytest.TempPathFactory) -> RefineConfig:
    """A complete `rl` run on a few hundred synthetic photon pairs."""
    from tests.small_run import make_run

    return make_run(tmp_path_factory.mktemp("refinement"))
