"""Generating particle lists: files, seeds, resuming, and independence of the workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError
from data.kinematics import diphoton_mass
from data.simulation import generate, preselection
from data.simulation.particles import PDG_ID, files_of, read, read_process, write

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


def test_electrons_of_the_z_are_prompt_and_keep_its_mass(tmp_path: Path) -> None:
    write(tmp_path / "zee_0.npz.xz", generate.generate("zee", 60, 31))
    lists = read_process(tmp_path, "zee")
    rows = np.flatnonzero(lists.prompt).reshape(-1, 2)
    assert (np.abs(PDG_ID[lists.species[rows]]) == 11).all()
    assert (lists.charge[rows].sum(axis=1) == 0).all()
    assert (lists.event[rows] == np.arange(60)[:, None]).all()
    pt, eta, phi = (getattr(lists, name)[rows].astype(float) for name in ("pt", "eta", "phi"))
    assert pt.min() > 20 * 0.999
    assert np.abs(eta).max() < 1.46
    born = lists.partons
    assert born is not None
    mass = diphoton_mass(*(getattr(born, name).astype(float) for name in ("pt", "eta", "phi")))
    assert np.median(mass) == pytest.approx(91.2, abs=1.0)
    assert ((mass > 49.9) & (mass < 150.1)).all()
    # what is left after they radiated photons: never more, most often all
    share = diphoton_mass(pt, eta, phi) / mass
    assert share.max() < 1.002
    assert np.mean(share > 0.995) > 0.4


def test_the_continuum_reaches_below_the_z() -> None:
    lists = generate.generate("continuum", 4, 5)
    assert lists.info["settings"][-1] == "PartonLevel:MPI = off"
    for event in range(4):
        mine = lists.event == event
        found = preselection.candidates(
            lists.species[mine], lists.pt[mine].astype(float), lists.eta[mine].astype(float),
            lists.phi[mine].astype(float),
        )  # fmt: skip
        assert preselection.passes(found, 53.5)
