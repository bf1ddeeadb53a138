"""Export: images in the store's order, masses, the reference images of real events."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from common.errors import ConfigError, InputError
from common.files import sha256
from data.config import ExportConfig, PreprocessConfig
from data.detector.images import IMAGES
from data.export.stage import run as export
from data.preprocessing.stage import run as preprocess
from data.store import EventStore
from tests.made_files import dense_images, make_events, write_aod, write_rhtree
from tests.synthetic import write_store

MASSES = [103.09431, 118.85919, 95.92995]


def export_of(inputs: Path, folder: Path, images: list[str]) -> dict[str, np.ndarray]:
    preprocess(PreprocessConfig(input=[inputs], output=folder / "events.h5"))
    output = export(
        ExportConfig(store=folder / "events.h5", images=images, output=folder / "images.npz")
    )
    with np.load(output) as archive:
        return dict(archive)


def test_images_of_made_up_events(tmp_path: Path) -> None:
    events = make_events(5)
    expected = dense_images(events)
    found = export_of(write_aod(tmp_path / "a.root", events), tmp_path, list(expected))
    for name in ("EB_energy", "EEm_energy", "EEp_energy", "HBHE_energy"):
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name].reshape(5, -1), expected[name])
    np.testing.assert_allclose(
        found["ECAL_tracksPt"].reshape(5, -1), expected["ECAL_tracksPt"], rtol=1e-6
    )
    np.testing.assert_array_equal(found["run_lumi_event"], events.ids)


def test_mass_of_the_file_before_that_of_the_pair(tmp_path: Path) -> None:
    events = make_events(4)
    found = export_of(write_rhtree(tmp_path / "a.root", events), tmp_path, [])
    assert found["m0"].tolist() == [125.0, 0.0, 125.0, 0.0]
    assert found["selected"].tolist() == [True, False, True, False]
    (tmp_path / "aod").mkdir()
    found = export_of(write_aod(tmp_path / "a.root", events), tmp_path / "aod", [])
    with EventStore(tmp_path / "aod" / "events.h5") as store:
        np.testing.assert_array_equal(found["m0"], store.event("m_gg"))


def test_long_stores_are_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = write_store(tmp_path / "a.h5", n_events=9, without_pair=0.3)
    # The synthetic tracks have cells only, as those of an ntuple.
    names = [name for name, made in IMAGES.items() if not {"eta", "charge"} & {*made.columns}]
    names += ["X_EB", "X_ECAL_stacked"]
    whole = export(ExportConfig(store=store, images=names, output=tmp_path / "whole.npz"))
    monkeypatch.setattr("data.export.stage._EVENTS_AT_A_TIME", 4)
    parts = export(ExportConfig(store=store, images=names, output=tmp_path / "parts.npz"))
    with np.load(whole) as a, np.load(parts) as b:
        assert set(a.files) == {*names, "run_lumi_event", "m0", "selected", "hcal_upsampling"}
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])
        assert np.isfinite(a["m0"]).all()


def test_same_store_same_bytes(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.h5", n_events=4)
    for name in ("a.npz", "b.npz"):
        export(ExportConfig(store=store, output=tmp_path / name))
    assert sha256(tmp_path / "a.npz") == sha256(tmp_path / "b.npz")


def test_unknown_image_suggests_the_nearest(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.h5", n_events=4)
    with pytest.raises(ConfigError, match="did you mean HBHE_energy"):
        export(ExportConfig(store=store, images=["HBHE_enrgy"], output=tmp_path / "a.npz"))
    assert not (tmp_path / "a.npz").exists()


def test_missing_channel_is_said(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.h5", n_events=4, channels=("EB",))
    with pytest.raises(InputError, match="ECAL_energy needs EE hits"):
        export(ExportConfig(store=store, images=["ECAL_energy"], output=tmp_path / "a.npz"))


def test_missing_columns_are_said_with_who_has_them(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.h5", n_events=4)
    for name in ("ECAL_tracksPtAtECAL", "X_EEm"):
        config = ExportConfig(store=store, images=[name], output=tmp_path / "a.npz")
        with pytest.raises(InputError, match=r"of the TRK hits.*sums of pt per cell"):
            export(config)
    assert not (tmp_path / "a.npz").exists()


def test_upsampling_of_towers_is_chosen_and_recorded(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.h5", n_events=4)
    found = {}
    for convention in ("conserving", "repeated"):
        output = tmp_path / f"{convention}.npz"
        images = ["HBHE_energy_up", "X_EB", "HBHE_energy"]
        export(ExportConfig(store=store, images=images, hcal_upsampling=convention, output=output))
        with np.load(output) as archive:
            found[convention] = dict(archive)
        assert str(found[convention]["hcal_upsampling"]) == convention
    shared, repeated = found["conserving"], found["repeated"]
    np.testing.assert_array_equal(shared["HBHE_energy"], repeated["HBHE_energy"])
    for name, layer in (("HBHE_energy_up", slice(None)), ("X_EB", 2)):
        ours, theirs = shared[name][..., layer], repeated[name][..., layer]
        np.testing.assert_allclose(25 * ours, theirs, rtol=1e-6)
    np.testing.assert_array_equal(shared["X_EB"][..., :2], repeated["X_EB"][..., :2])


def test_suffix_chooses_the_format(tmp_path: Path) -> None:
    store = write_store(tmp_path / "a.h5", n_events=4)
    stacks = ["X_EB", "X_ECAL_stacked"]
    for name in ("a.npz", "b.h5"):
        options = {"images": stacks, "hcal_upsampling": "repeated", "output": tmp_path / name}
        export(ExportConfig(store=store, **options))
    with np.load(tmp_path / "a.npz") as archive, h5py.File(tmp_path / "b.h5") as file:
        assert file.attrs["hcal_upsampling"].decode() == "repeated"
        for name in (*stacks, "m0"):
            np.testing.assert_array_equal(archive[name], file[name][:])
    for output, problem in (("a.csv", "suffix must be"), ("a.parquet", "holds X_jets")):
        with pytest.raises(ConfigError, match=problem):
            export(ExportConfig(store=store, images=stacks, output=tmp_path / output))


@pytest.mark.parametrize(
    "name",
    [
        "real/DoublePhoton_Run2012B_0.ig",
        "cms_layout/aodlike_doublephoton.root",
        "cms_layout/rhtree_DoublePhoton_Run2012B_0.root",
    ],
)
def test_reference_images(name: str, real_data: Path, tmp_path: Path) -> None:
    """25 real events, three formats: every cell equals images made independently."""
    with np.load(real_data / "cms_layout" / "DoublePhoton_Run2012B_0_images.npz") as archive:
        reference = dict(archive)
    names = [n for n in reference if n in IMAGES]
    assert len(names) == 8
    found = export_of(real_data / name, tmp_path, names)
    key = [tuple(row) for row in found["run_lumi_event"].tolist()]
    order = [key.index(tuple(row)) for row in reference["run_lumi_event"].tolist()]
    for image in names:
        ours, theirs = found[image][order], reference[image]
        if image == "ECAL_tracksPt":  # filled by the nearest crystal there: sums only
            np.testing.assert_allclose(ours.sum(axis=(1, 2)), theirs.sum(axis=(1, 2)), rtol=1e-5)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found["selected"][order], reference["selected"])
    np.testing.assert_allclose(
        found["m0"][found["selected"]], sorted_like(found, MASSES), atol=1e-4
    )


def sorted_like(found: dict[str, np.ndarray], masses: list[float]) -> list[float]:
    """The masses, given by rising event number, in the order of the archive."""
    numbers = found["run_lumi_event"][found["selected"], 2]
    return [masses[i] for i in np.argsort(np.argsort(numbers))]
