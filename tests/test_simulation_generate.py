"""Generating particle lists: files, seeds, resuming, and independence of the workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError
from data.simulation import generate
from data.simulation.particles import files_of, read, read_process

pytest.importorskip("pythia8mc", reason="the optional generator is not installed")


def command(folder: Path, events: int, *more: str) -> int:
    options = ["higgs", "--events", str(events), "--per-file", "4", "--seed", "21"]
    return generate.main([*options, "--output", str(folder), *more])


def test_files_have_their_seeds_and_complete_ones_are_kept(tmp_path: Path) -> None:
    assert command(tmp_path, 6) == 0
    names = [path.name for path in files_of(tmp_path, "higgs")]
    assert names == ["higgs_000021.npz.xz", "higgs_000022.npz.xz"]
    assert [read(tmp_path / name).info["seed"] for name in names] == [21, 22]
    assert len(read_process(tmp_path, "higgs")) == 6
    times = [(tmp_path / name).stat().st_mtime_ns for name in names]
    assert command(tmp_path, 8) == 0  # the second file becomes whole, the first stays
    again = [(tmp_path / name).stat().st_mtime_ns for name in names]
    assert (times[0] == again[0], times[1] == again[1]) == (True, False)
    assert len(read_process(tmp_path, "higgs")) == 8


def test_lists_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    assert command(folders[0], 6) == 0
    assert command(folders[1], 6, "--workers", "2") == 0
    one, two = (read_process(folder, "higgs") for folder in folders)
    np.testing.assert_array_equal(one.pt, two.pt)
    np.testing.assert_array_equal(one.group, two.group)


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    command(tmp_path, 2)
    path = tmp_path / "higgs_000021.npz.xz"
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    command(tmp_path, 2)
    assert path.read_bytes() == whole


def test_a_seed_is_not_used_twice_in_a_folder(tmp_path: Path) -> None:
    command(tmp_path, 2)
    (tmp_path / "higgs_000021.npz.xz").rename(tmp_path / "higgs_0.npz.xz")
    with pytest.raises(ConfigError, match="holds the same events"):
        generate.jobs_of("higgs", 8, 18, tmp_path, 2)
    assert command(tmp_path, 2) == 1
