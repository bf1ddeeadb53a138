"""EDM files: labels, processes, damage, what is missing."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from common.errors import InputError
from data.detector.detid import eb_detid, hbhe_detid
from data.sources import ReadOptions, open_source
from tests.made_files import event_auxiliary, make_events, write_aod

EB_STEM = "EcalRecHitsSorted_reducedEcalRecHitsEB__RECO.obj.obj."


def test_any_process_name(tmp_path: Path) -> None:
    with open_source(write_aod(tmp_path / "a.root", make_events(3), process="REDO2014")) as source:
        assert source.missing == ()


def test_missing_products_are_named(tmp_path: Path) -> None:
    path = write_aod(tmp_path / "a.root", make_events(3), skip=("HBHE", "TRK", "photons"))
    with open_source(path) as source:
        (batch,) = source.batches(0, 3, 10)
        assert source.missing == ("HBHE", "TRK", "photons")
        assert list(source.channels) == ["EB", "EE"]
    assert batch.photons is None
    assert set(batch.hits) == {"EB", "EE"}


def test_no_ecal_at_all_is_refused(tmp_path: Path) -> None:
    path = write_aod(tmp_path / "a.root", make_events(3), skip=("EB", "EE"))
    with pytest.raises(InputError, match="without ECAL rechits"):
        open_source(path)


def test_unsplit_files_are_refused(tmp_path: Path) -> None:
    """One object per branch: the product is there, its leaves are not."""
    with uproot.recreate(tmp_path / "a.root") as file:
        auxiliary = ak.values_astype(ak.Array([list(event_auxiliary(1, 2, 3))]), np.uint8)
        columns = {"EventAuxiliary": auxiliary, EB_STEM.split(".")[0]: np.ones(1, np.float32)}
        types = {"EventAuxiliary": auxiliary.type, EB_STEM.split(".")[0]: np.dtype(np.float32)}
        file.mktree("Events", types).extend(columns)
    with pytest.raises(InputError, match="unsplit"):
        open_source(tmp_path / "a.root")


def test_generated_particles_mean_simulation(tmp_path: Path) -> None:
    name = "recoGenParticles_genParticles__SIM.obj.pt_"
    extra = {name: ak.Array([[1.0], [2.0]])}
    with open_source(write_aod(tmp_path / "a.root", make_events(2), overwrite=extra)) as source:
        assert source.origin == "simulation"


def test_hits_are_treated_as_in_the_ntuple(tmp_path: Path) -> None:
    """E <= 0 hits are skipped, the last duplicate wins; unless strict, impossible ones drop."""
    events = make_events(1)
    detid = [12345, *eb_detid(np.array([40_000, 40_000, 40_000, 40_001, 40_002])).tolist()]
    energy = [5.0, 1.0, 2.0, 0.0, -1.0, float("nan")]
    path = write_aod(
        tmp_path / "a.root",
        events,
        overwrite={f"{EB_STEM}id_.id_": ak.Array([detid]), f"{EB_STEM}energy_": ak.Array([energy])},
    )
    with open_source(path) as source, pytest.raises(InputError, match="names no cell of EB"):
        list(source.batches(0, 1, 10))
    with open_source(path, ReadOptions(strict=False)) as source:
        (batch,) = source.batches(0, 1, 10)
        warnings = dict(source.warnings)
    assert batch.hits["EB"].cell.tolist() == [40_000]
    assert batch.hits["EB"].energy.tolist() == [2.0]
    assert warnings == {
        "EB: hits with an energy that is not finite": 1,
        "EB: hits with E <= 0, skipped as in the ntuple": 2,
        "EB: hits whose DetId names no cell": 1,
        "EB: hits replaced by a later hit of the same crystal": 1,
    }


def test_depths_are_summed(tmp_path: Path) -> None:
    stem = "HBHERecHitsSorted_reducedHcalRecHits_hbhereco_RECO.obj.obj."
    detid = hbhe_detid([16, 16, 25], [10, 10, 71], [1, 2, 1]).tolist()
    overwrite = {
        f"{stem}id_.id_": ak.Array([detid]), f"{stem}energy_": ak.Array([[1.0, 2.0, 8.0]]),
    }  # fmt: skip
    path = write_aod(tmp_path / "a.root", make_events(1), overwrite=overwrite)
    with open_source(path) as source:
        (batch,) = source.batches(0, 1, 10)
    assert sorted(batch.hits["HBHE"].energy.tolist()) == [3.0, 4.0, 4.0]


def test_low_purity_tracks_are_left_out(tmp_path: Path) -> None:
    events = make_events(1)
    quality = np.array([7, 3, 4, 0, 0, 0, 0, 0], np.uint8)
    name = "recoTracks_generalTracks__RECO.obj.quality_"
    path = write_aod(tmp_path / "a.root", events, overwrite={name: ak.Array([quality])})
    with open_source(path) as source:
        (batch,) = source.batches(0, 1, 10)
    np.testing.assert_allclose(batch.hits["TRK"].energy, events.tracks[0][[0, 2], 0], rtol=1e-5)


def test_unequal_lengths_are_refused(tmp_path: Path) -> None:
    """A damaged basket may decompress; its counts give it away."""
    events = make_events(3)
    energies = ak.Array([e if i != 1 else e[:-1] for i, e in enumerate(events.energies["EB"])])
    path = write_aod(tmp_path / "a.root", events, overwrite={f"{EB_STEM}energy_": energies})
    with (
        open_source(path) as source,
        pytest.raises(InputError, match=r"energy_, entry 1"),
    ):
        list(source.batches(0, 3, 10))


def test_broken_event_auxiliary_names_the_entry(tmp_path: Path) -> None:
    events = make_events(3)
    objects = [list(event_auxiliary(1, 2, 3)) for _ in range(3)]
    objects[2] = objects[2][:20]
    path = write_aod(tmp_path / "a.root", events, overwrite={"EventAuxiliary": ak.Array(objects)})
    with open_source(path) as source, pytest.raises(InputError, match="entry 2"):
        list(source.batches(0, 3, 10))


def test_real_miniaod(real_data: Path) -> None:
    """A real CMS file: empty ECAL collections, no HCAL, no tracks, and it says so."""
    with open_source(real_data / "real" / "test_cmssw.root") as source:
        (batch,) = source.batches(0, 1, 10)
        assert (source.format, source.missing) == ("miniaod", ("HBHE", "TRK"))
        assert source.warnings["EB: events whose rechit collection is empty"] == 1
    assert (batch.run[0], batch.lumi[0], batch.event[0]) == (273158, 242, 381085873)
    assert len(batch.hits["EB"].cell) == 0
    assert len(batch.photons) == 1
