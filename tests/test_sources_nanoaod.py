"""NanoAOD: objects without hits, what is missing, damage; a real file of W decays."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import InputError
from data.batch import Collection, EventBatch
from data.sources import open_source
from tests.made_objects import COUNTS, N_EVENTS, write_nanoaod

REAL = "real/nanoAOD_2015_CMS_Open_Data_ttbar.root"
W, LEPTONS, NEUTRINOS = 24, (11, 13, 15), (12, 14, 16)


def test_objects_of_made_events(tmp_path: Path) -> None:
    path = write_nanoaod(tmp_path / "a.root")
    with open_source(path) as source:
        batches = [*source.batches(0, 3, 10), *source.batches(3, N_EVENTS, 10)]
        assert (source.format, source.origin) == ("nanoaod", "simulation")
        assert source.missing == ("EB", "EE", "HBHE", "TRK")
        assert source.channels == {}
        types = source.collections
    assert types["objects/Muon"] == {
        "pt": "f4", "eta": "f4", "phi": "f4", "mass": "f4", "charge": "i1",
    }  # fmt: skip
    assert types["objects/MET"] == {"pt": "f4", "phi": "f4"}
    assert types["truth/jets"] == {"parton_flavour": "i4"}
    assert "objects/Electron" not in types
    assert [len(batch) for batch in batches] == [3, 2]
    counts = [np.diff(batch.collections["objects/Jet"].offsets) for batch in batches]
    np.testing.assert_array_equal(np.concatenate(counts), COUNTS)
    for place, columns in types.items():
        for name, dtype in columns.items():
            assert batches[0].collections[place].columns[name].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(batches[1].collections["objects/MET"].offsets, [0, 1, 2])
    assert batches[1].collections["objects/MET"].columns["pt"].tolist() == [40.0, 50.0]
    photons = ak.concatenate([batch.photons for batch in batches])
    np.testing.assert_array_equal(ak.num(photons), COUNTS)
    assert set(photons.fields) == {"pt", "eta", "phi", "energy", "r9", "pixel_seed"}
    assert ak.all(photons.energy >= photons.pt)
    np.testing.assert_allclose(batches[0].vertex_z, [-5, -2.5, 0])
    assert batches[0].n_vertices.tolist() == [0, 1, 2]


def test_collision_data_have_no_truth(tmp_path: Path) -> None:
    with open_source(write_nanoaod(tmp_path / "a.root", is_simulation=False)) as source:
        assert source.origin == "collision"
        assert all(place.startswith("objects/") for place in source.collections)


def test_unequal_columns_are_refused(tmp_path: Path) -> None:
    counts = COUNTS - (np.arange(N_EVENTS) == 2)
    eta = ak.unflatten(np.zeros(counts.sum(), np.float32), counts)
    path = write_nanoaod(tmp_path / "a.root", overwrite={"Jet_eta": eta})
    with (
        open_source(path) as source,
        pytest.raises(InputError, match=r"Jet_eta, entry 2: 2 values where .* has 3"),
    ):
        list(source.batches(0, N_EVENTS, 10))


@pytest.fixture(scope="module")
def real(real_data: Path) -> EventBatch:
    with open_source(real_data / REAL) as source:
        (batch,) = source.batches(0, source.n_events, 1000)
    return batch


def events_of(rows: Collection) -> NDArray:
    return np.repeat(np.arange(len(rows)), np.diff(rows.offsets))


def test_real_particles_are_of_one_w_decay(real: EventBatch) -> None:
    """Named ttbar, the file holds W to leptons: one W of the hard process in nearly every event."""
    particles = real.collections["truth/particles"]
    columns, event = particles.columns, events_of(particles)
    hard_w = (np.abs(columns["pdg_id"]) == W) & (columns["status"] == 22)
    per_event = np.bincount(event[hard_w], minlength=200)
    assert (per_event == 1).sum() == 198
    assert not (np.abs(columns["pdg_id"]) == 6).any()
    assert abs(np.median(columns["mass"][hard_w]) - 80.4) < 0.5
    # Mothers are rows of the same event: a W+ decays to a positive lepton.
    assert (columns["mother"] < np.diff(particles.offsets)[event]).all()
    rows = np.flatnonzero(np.isin(np.abs(columns["pdg_id"]), LEPTONS) & (columns["mother"] >= 0))
    mothers = columns["pdg_id"][particles.offsets[event[rows]] + columns["mother"][rows]]
    of_w = np.abs(mothers) == W
    assert of_w.sum() > 150
    assert (np.sign(columns["pdg_id"][rows][of_w]) == -np.sign(mothers[of_w])).all()


def test_real_neutrinos_make_the_missing_energy(real: EventBatch) -> None:
    particles, missing = real.collections["truth/particles"], real.collections["truth/gen_met"]
    c, event = particles.columns, events_of(particles)
    stable = np.isin(np.abs(c["pdg_id"]), NEUTRINOS) & (c["status"] == 1)
    x, y = (
        np.bincount(event[stable], (c["pt"] * f(c["phi"]))[stable], 200) for f in (np.cos, np.sin)
    )
    np.testing.assert_allclose(np.median(np.hypot(x, y) / missing.columns["pt"]), 1, atol=0.02)
    reconstructed = real.collections["objects/MET"].columns["pt"]
    assert (reconstructed > 0).all()
    assert np.corrcoef(reconstructed, missing.columns["pt"])[0, 1] > 0.5


def test_real_leptons_and_photons(real: EventBatch) -> None:
    for place, mass in (("objects/Electron", 0.0005), ("objects/Muon", 0.1057)):
        leptons = real.collections[place].columns
        assert set(np.unique(leptons["charge"])) == {-1, 1}
        assert abs(np.median(leptons["mass"]) - mass) < 0.02
    assert real.photons is not None
    np.testing.assert_array_equal(
        ak.to_numpy(ak.flatten(real.photons.pt)),
        real.collections["objects/Photon"].columns["pt"],
    )
    assert np.isfinite(real.vertex_z).all()
