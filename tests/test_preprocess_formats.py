"""Files of every format through the whole preprocessing: what the store holds of each."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from common.errors import InputError
from data.config import ExportConfig, PreprocessConfig
from data.export import stage as export
from data.export.arrays import write_hdf5, write_parquet
from data.preprocessing import stage
from data.store import EventStore
from tests.made_files import make_events, write_aod
from tests.made_objects import COUNTS, N_EVENTS, edm_objects, write_nanoaod

JETS = "recoPFJets_ak5PFJets__RECO."


def preprocess(output: Path, *inputs: Path, **options: object) -> EventStore:
    config = PreprocessConfig.model_validate(
        {"input": list(inputs), "output": output, "chunk": 2, **options}
    )
    stage.run(config)
    return EventStore(output)


def test_objects_without_hits(tmp_path: Path) -> None:
    with preprocess(tmp_path / "store.h5", write_nanoaod(tmp_path / "nano.root")) as store:
        assert (len(store), store.channels) == (N_EVENTS, ())
        assert store.attrs["missing_channels"] == ["EB", "EE", "HBHE", "TRK"]
        np.testing.assert_array_equal(np.diff(store.objects("Jet").offsets), COUNTS)
        assert store.truth_particles().columns["pdg_id"].dtype == np.int32
        pt = store.photons("pt")
        np.testing.assert_array_equal(np.isfinite(pt).sum(axis=1), np.minimum(COUNTS, 2))
    with pytest.raises(InputError, match="EB_energy needs EB hits"):
        export.run(ExportConfig(store=tmp_path / "store.h5", output=tmp_path / "a.npz"))


def test_objects_of_some_inputs(tmp_path: Path) -> None:
    """Events of a file without the objects have none; the hits are those of the file with hits."""
    aod = write_aod(tmp_path / "aod.root", make_events(3), overwrite={})
    nano = write_nanoaod(tmp_path / "nano.root")
    with preprocess(tmp_path / "store.h5", aod, nano, objects=["all"]) as store:
        jets = store.objects("Jet")
        assert np.diff(jets.offsets).tolist() == [0, 0, 0, *COUNTS]
        hits = np.diff(store.hits("EB").offsets)
        assert (hits[:3] > 0).all()
        assert not hits[3:].any()


@pytest.fixture(scope="module")
def aod_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("aod")
    extra = edm_objects(JETS, polar=False)
    aod = write_aod(folder / "aod.root", make_events(N_EVENTS), overwrite=extra)
    preprocess(folder / "store.h5", aod, objects=["Jet"], label=1).close()
    return folder / "store.h5"


def test_a_store_through_dense_arrays(aod_store: Path, tmp_path: Path) -> None:
    with EventStore(aod_store) as store:
        dense = write_hdf5(store, ["X_EB"], tmp_path / "dense.h5")
        expected = store.hits("EB")
        pt = store.clusters("pt")
    with preprocess(tmp_path / "again.h5", dense) as again:
        found = again.hits("EB")
        np.testing.assert_array_equal(found.cell, expected.cell)
        np.testing.assert_array_equal(found.energy, expected.energy)
        # The same clusters, but seen from the origin: the arrays have no vertex.
        assert (np.isfinite(again.clusters("pt")) == np.isfinite(pt)).all()
        assert again.event("label").tolist() == [1] * N_EVENTS
        assert again.attrs["missing_channels"] == ["EE", "photons"]


@pytest.mark.parametrize("suffix", [".h5", ".parquet"])
def test_jets_through_dense_arrays(suffix: str, aod_store: Path, tmp_path: Path) -> None:
    """Seeds of jets that have none are found in the towers; images of imported jets are kept."""
    path = tmp_path / f"jets{suffix}"
    with EventStore(aod_store) as store:
        if suffix == ".h5":
            write_hdf5(store, ["X_jets"], path)
        else:
            write_parquet(store, path)
        event, run = store.event("event"), store.event("run")
    with preprocess(tmp_path / "again.h5", path) as again:
        assert again.channels == ("JET",)
        n_jets = len(again)
        assert 0 < n_jets <= COUNTS.sum()
        assert np.isin(again.event("event"), event).all()
        # Jets of one event share a group, so that no split parts them.
        number = again.event("run").astype(np.int64) * 2**32 + again.event("event").astype(int)
        assert len(np.unique(again.event("group"))) == len(np.unique(number))
        assert set(again.event("run")) <= set(run)
        write_hdf5(again, ["X_jets"], tmp_path / "b.h5")
        with pytest.raises(InputError, match="EB_energy needs EB hits"):
            export.run(ExportConfig(store=again.path, output=tmp_path / "a.npz"))
    with EventStore(aod_store) as store:
        write_hdf5(store, ["X_jets"], tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as a, h5py.File(tmp_path / "b.h5") as b:
        np.testing.assert_array_equal(a["X_jets"][:], b["X_jets"][:])
        for name in ("pt", "eta", "phi", "m0", "ieta", "iphi", "eventId"):
            np.testing.assert_array_equal(a[name][:], b[name][:])
