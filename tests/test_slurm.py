"""Batch jobs on a real Slurm of one node; `python -m tests.slurm` prints the same checks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.slurm.checks import run_all
from tests.slurm.node import is_possible

REASON = is_possible()


@pytest.mark.skipif(bool(REASON), reason=f"Slurm cannot be started: {REASON}")
def test_batch_jobs_on_a_real_slurm() -> None:
    pytest.importorskip("dask_jobqueue")
    # Not pytest's folder: the path of Slurm's sockets must be short.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        run_all(Path(folder))
