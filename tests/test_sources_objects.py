"""Further objects of EDM files: where they are asked for, by either layout; full RECO labels."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from common.errors import InputError
from data.batch import Collection
from data.detector.detid import eb_detid
from data.sources import ReadOptions, open_source
from data.sources.aod_objects import hard_process
from tests.made_files import make_events, write_aod
from tests.made_objects import COUNTS, N_EVENTS, edm_objects, jagged

ALL = ReadOptions(objects=("all",))
JETS = "recoPFJets_ak5PFJets__RECO."
MUONS = "patMuons_slimmedMuons__PAT."


def test_both_layouts(tmp_path: Path) -> None:
    charge = ak.values_astype(jagged("i4", 0, 2, 8) * 6 - 3, np.int32)
    extra = edm_objects(JETS, polar=False) | edm_objects(
        MUONS, polar=True, seed=20, **{"m_state.qx3_": charge}
    )
    path = write_aod(tmp_path / "a.root", make_events(N_EVENTS), overwrite=extra)
    with open_source(path, ALL) as source:
        batches = list(source.batches(0, N_EVENTS, 2))
        assert source.collections == {
            "objects/Jet": {"pt": "f4", "eta": "f4", "phi": "f4", "mass": "f4"},
            "objects/Muon": {"pt": "f4", "eta": "f4", "phi": "f4", "mass": "f4", "charge": "i1"},
        }
        assert not source.warnings
    for place, column, expected in (
        ("objects/Jet", "pt", extra[f"{JETS}obj.pt_"]),
        ("objects/Muon", "phi", extra[f"{MUONS}obj.m_state.p4Polar_.fCoordinates.fPhi"]),
        ("objects/Muon", "charge", charge // 3),
    ):
        rows = [batch.collections[place] for batch in batches]
        counts = np.concatenate([np.diff(row.offsets) for row in rows])
        np.testing.assert_array_equal(counts, COUNTS)
        found = np.concatenate([row.columns[column] for row in rows])
        np.testing.assert_array_equal(found, ak.flatten(expected))


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    extra = edm_objects(JETS, polar=False) | edm_objects(MUONS, polar=True)
    path = write_aod(tmp_path / "a.root", make_events(N_EVENTS), overwrite=extra)
    with open_source(path) as source:
        (batch,) = source.batches(0, N_EVENTS, 10)
        assert (source.collections, batch.collections) == ({}, {})
    with open_source(path, ReadOptions(objects=("Jet", "MET"))) as source:
        assert list(source.collections) == ["objects/Jet"]


def test_products_that_are_not_split_are_left_out_and_counted(tmp_path: Path) -> None:
    extra = {"recoMuons_muons__RECO.obj.type_": jagged("f4", 0, 1, 0)}
    path = write_aod(tmp_path / "a.root", make_events(N_EVENTS), overwrite=extra)
    with open_source(path, ALL) as source:
        list(source.batches(0, N_EVENTS, 2))
        assert source.collections == {}
        ((problem, count),) = source.warnings.items()
    assert "recoMuons_muons_ is not split" in problem
    assert count == N_EVENTS


def test_damaged_objects_are_refused(tmp_path: Path) -> None:
    extra = edm_objects(JETS, polar=False)
    name = f"{JETS}obj.phi_"
    extra[name] = extra[name][:, :2]
    path = write_aod(tmp_path / "a.root", make_events(N_EVENTS), overwrite=extra)
    with open_source(path, ALL) as source, pytest.raises(InputError, match=r"phi_, entry 2"):
        list(source.batches(0, N_EVENTS, 10))


def test_generator_record_is_thinned() -> None:
    rows = [  # pt, pdg_id, status, kept
        (0.0, 2212, 3, True),  # Pythia 6: hard process
        (60.0, 25, 22, True),
        (40.0, 5, 23, True),
        (30.0, 22, 1, True),
        (5.0, 22, 1, False),
        (20.0, -13, 1, True),
        (20.0, 14, 1, True),
        (20.0, 211, 1, False),
        (20.0, 24, 62, False),
    ]
    pt, pdg_id, status, kept = (np.array(column) for column in zip(*rows, strict=True))
    columns = {"pt": pt, "pdg_id": pdg_id, "status": status}
    found = hard_process(Collection(np.array([0, 0, 3, 9]), columns))
    assert found.offsets.tolist() == [0, 0, 3, 6]
    assert found.columns["pt"].tolist() == pt[kept].tolist()


def test_particles_of_a_simulated_file(tmp_path: Path) -> None:
    kind = ak.values_astype(jagged("i4", 11, 12, 1), np.int32)
    status = ak.values_astype(jagged("i4", 23, 24, 1), np.int32)
    prefix = "recoGenParticles_genParticles__SIM."
    extra = edm_objects(prefix, polar=False, pdgId_=kind, status_=status)
    path = write_aod(tmp_path / "a.root", make_events(N_EVENTS), overwrite=extra)
    with open_source(path, ReadOptions(objects=("particles",))) as source:
        (batch,) = source.batches(0, N_EVENTS, 10)
        assert source.origin == "simulation"
    particles = batch.collections["truth/particles"]
    np.testing.assert_array_equal(np.diff(particles.offsets), COUNTS)
    assert set(particles.columns["pdg_id"].tolist()) == {11}


def test_full_reco_labels(tmp_path: Path) -> None:
    """RECO keeps every hit under other labels; where both are there the reduced ones are read."""
    events, other = make_events(3), make_events(3, seed=9)
    stem = "EcalRecHitsSorted_ecalRecHit_EcalRecHitsEB_RECO.obj.obj."
    with open_source(write_aod(tmp_path / "other.root", other)) as source:
        (expected,) = source.batches(0, 3, 10)
    detids = [np.sort(eb_detid(cells)) for cells in other.cells["EB"]]
    full = {
        f"{stem}id_.id_": ak.Array(detids),
        f"{stem}energy_": ak.Array([np.ones(len(ids), np.float32) for ids in detids]),
    }
    path = write_aod(tmp_path / "full.root", events, skip=("EB",), overwrite=full)
    with open_source(path) as source:
        (batch,) = source.batches(0, 3, 10)
        assert source.missing == ()
    np.testing.assert_array_equal(batch.hits["EB"].cell, expected.hits["EB"].cell)
    path = write_aod(tmp_path / "both.root", events, overwrite=full)
    with open_source(path) as source:
        (batch,) = source.batches(0, 3, 10)
    np.testing.assert_array_equal(batch.hits["EB"].cell, np.concatenate(events.cells["EB"]))


def test_real_miniaod_objects(real_data: Path) -> None:
    with open_source(real_data / "real" / "test_cmssw.root", ALL) as source:
        (batch,) = source.batches(0, 1, 10)
    objects = batch.collections
    assert {k: int(v.offsets[-1]) for k, v in objects.items()} == {
        "objects/Jet": 5, "objects/MET": 1, "objects/Electron": 0, "objects/Muon": 1,
    }  # fmt: skip
    np.testing.assert_allclose(
        objects["objects/Jet"].columns["pt"][:2], [39.644, 24.630], atol=1e-3
    )
    np.testing.assert_allclose(objects["objects/MET"].columns["sum_et"], [713.894], atol=1e-3)
    muon = objects["objects/Muon"].columns
    assert muon["charge"].tolist() == [-1]
    np.testing.assert_allclose(muon["mass"], [0.1057], atol=1e-5)
    # The muon is in the leading jet.
    assert abs(muon["eta"][0] - objects["objects/Jet"].columns["eta"][0]) < 0.05
