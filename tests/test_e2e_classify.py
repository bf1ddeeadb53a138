"""The classify stage on a small store: products, controls, resume, outputs for any store."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from common.config import build
from common.errors import InputError
from common.files import sha256
from data.store import EventStore
from e2e import classify
from e2e.config import ClassifyConfig
from e2e.low_level.export import export_low_level, read_low_level
from tests.synthetic import write_store


def small(store: Path, output: Path, **more: object) -> ClassifyConfig:
    return build(
        ClassifyConfig,
        {
            "store": store,
            "output": output,
            "network": {"widths": [8, 12], "context_widths": [6], "hidden": 16},
            "training": {"epochs": 2, "batch_size": 32, "tensorboard": False, "device": "cpu"},
            "split": {"folds": 2, "models": 2},
            "tree": {"iterations": 10},
            "evaluation": {
                "bootstrap": 8, "control_permutations": 2, "control_events": 90,
                "control_epochs": 2,
            },
            "threads": 1,
        },
        more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> ClassifyConfig:
    folder = tmp_path_factory.mktemp("classify")
    store = write_store(folder / "events.h5", 300, without_pair=0.05)
    config = small(store, folder / "run")
    classify.run(config)
    return config


def test_metrics_hold_every_model_and_control(finished: ClassifyConfig) -> None:
    metrics = json.loads((finished.output / "metrics.json").read_text())
    assert set(metrics["auc"]) == {"kinematics", "tree", "network", "network + tree"}
    for definitions in metrics["auc"].values():
        for pairs in definitions.values():
            for values in pairs.values():
                assert 0 <= values["value"] <= 1
                assert values["error"] > 0
    # The synthetic jets are obvious to whoever sees more than kinematics.
    assert metrics["auc"]["tree"]["as_generated"]["higgs_gamma_jet"]["value"] > 0.9
    assert set(metrics["shuffled_labels"]) == {"network", "tree"}
    blindness = metrics["mass_blindness"]
    assert blindness["m_gg"]["value"] > 0.9
    assert {"blind", "raw", "blind_minus_raw", "scaled_uncut"} <= set(blindness)
    assert sum(metrics["events"]["held_out"].values()) <= 300


def test_products_and_figures_are_there(finished: ClassifyConfig) -> None:
    names = {path.name for path in finished.output.iterdir()}
    assert {"classifier.pt", "scores.h5", "low_level.h5", "report.json", "run.json"} <= names
    for name in ("roc", "training", "scores", "mass_before_after", "mean_crops"):
        for suffix in (".png", ".pdf"):
            assert (finished.output / "figures" / f"{name}{suffix}").stat().st_size > 1000
    titles = [
        t["title"] for t in json.loads((finished.output / "report.json").read_text())["tables"]
    ]
    assert {"AUC", "Mass-blindness", "Shuffled labels", "Signal efficiency"} <= set(titles)


def test_scores_are_out_of_fold_and_in_the_stores_order(finished: ClassifyConfig) -> None:
    with (
        EventStore(finished.store) as store,
        h5py.File(finished.output / "scores.h5") as scores,
    ):
        usable = np.isfinite(store.event("m_gg"))
        assert_array_equal(scores["event/event"][...], store.event("event"))
        for model in ("network", "tree", "kinematics"):
            logits, probabilities = scores[f"{model}/logits"][...], scores[f"{model}/scores"][...]
            # With two models of two folds, every event with a pair is held out once.
            assert_array_equal(np.isfinite(logits).all(axis=1), usable)
            assert_allclose(probabilities[usable].sum(axis=1), 1, rtol=1e-5)
        assert scores.attrs["store_fingerprint"] == sha256(finished.store)
        assert all(scores[f"event/{name}"].fletcher32 for name in scores["event"])
        first_fold = usable & (scores["event/fold"][...] == 0)
        network = scores["network/logits"][...][first_fold]
    # The classifier of the run is the first fold's.
    found = dict(read_low_level(finished.output / "low_level.h5", ("logits",)))["logits"]
    assert_allclose(found[first_fold], network, atol=1e-4)


def test_a_complete_run_is_kept(finished: ClassifyConfig) -> None:
    before = (finished.output / "run.json").read_bytes()
    classify.run(finished)
    assert (finished.output / "run.json").read_bytes() == before


def test_a_killed_run_continues_to_the_same_result_in_parallel(
    finished: ClassifyConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the trainings, then run again in two processes: the same scores."""

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    config = small(finished.store, tmp_path / "run", workers=2)
    with monkeypatch.context() as patched:
        patched.setattr(classify, "_gathered", killed)
        with pytest.raises(KeyboardInterrupt):
            classify.run(config.model_copy(update={"workers": 1}))
    state = config.output / "models" / "network_0.state.pt"
    before = state.read_bytes()
    classify.run(config)
    assert len(state.read_bytes()) == len(before)
    with (
        h5py.File(config.output / "scores.h5") as again,
        h5py.File(finished.output / "scores.h5") as first,
    ):
        for model in ("network", "tree", "kinematics"):
            assert_array_equal(again[f"{model}/logits"][...], first[f"{model}/logits"][...])


def test_low_level_outputs_of_a_store_without_truth(
    finished: ClassifyConfig, tmp_path: Path
) -> None:
    store = write_store(
        tmp_path / "real.h5", 40, seed=4, with_truth=False, labels=(-1,), without_pair=0.4,
        channels=("EB", "HBHE"),
    )  # fmt: skip
    output = export_low_level(finished.output, store, tmp_path / "low_level.h5")
    with EventStore(store) as events, h5py.File(output) as file:
        pair = np.isfinite(events.event("m_gg"))
        present = events.clusters("seed") >= 0
        e5x5, seed = events.clusters("e5x5"), events.clusters("seed")
        assert 0 < pair.sum() < 40
        assert_array_equal(np.isfinite(file["logits"][...]).all(axis=1), pair)
        assert_array_equal(np.isfinite(file["scores"][...]).all(axis=1), pair)
        for name in ("embedding", "feature_map", "crop"):
            values = file[f"photons/{name}"][...]
            assert_array_equal(np.isfinite(values).reshape(40, 2, -1).all(axis=2), present)
        assert file["photons/embedding"].shape == (40, 2, 24)
        assert file["photons/feature_map"].shape == (40, 2, 8, 4, 4)
        crop = file["photons/crop"][...].astype(np.float64)
        assert crop.shape == (40, 2, 11, 11)
        # Only photons whose window no other photon shares hold all of their 5x5 sum.
        sums = crop[present][:, 3:8, 3:8].sum(axis=(1, 2))
        assert np.median(sums) == pytest.approx(1, abs=2e-3)
        hits = events.hits("EB")
        row, slot = np.argwhere(present)[0]
        mine = slice(hits.offsets[row], hits.offsets[row + 1])
        central = hits.energy[mine][hits.cell[mine] == seed[row, slot]][0] / e5x5[row, slot]
        assert crop[row, slot, 5, 5] == pytest.approx(central, rel=2e-3)
        assert file.attrs["missing_channels"] == "TRK"
        assert file.attrs["checkpoint_sha256"] == sha256(finished.output / "classifier.pt")
        assert file.attrs["store_fingerprint"] == sha256(store)
        assert_array_equal(file["event/event"][...], events.event("event"))


def test_an_embedding_does_not_know_its_partner(finished: ClassifyConfig, tmp_path: Path) -> None:
    """Take the second photon away: the first one's outputs stay as they were."""
    with_partner = write_store(tmp_path / "a.h5", 30, seed=9)
    alone = write_store(tmp_path / "b.h5", 30, seed=9)
    with h5py.File(alone, "r+") as file:
        for name, values in file["clusters"].items():
            column = values[...]
            column[:, 1] = -1 if name == "seed" else np.nan
            values[...] = column
    found = []
    for store in (with_partner, alone):
        output = export_low_level(finished.output, store, tmp_path / f"{store.stem}_low.h5")
        found.append(dict(read_low_level(output)))
    for name in ("photons/embedding", "photons/feature_map"):
        assert_allclose(found[0][name][:, 0], found[1][name][:, 0], atol=1e-3)
        assert np.isnan(found[1][name][:, 1]).all()


def test_errors_name_the_file_and_the_remedy(finished: ClassifyConfig, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        classify.run(small(tmp_path / "absent.h5", tmp_path / "run"))
    one_class = write_store(tmp_path / "gun.h5", 20, labels=(3,))
    with pytest.raises(InputError, match="no events labelled"):
        classify.run(small(one_class, tmp_path / "run"))
    with pytest.raises(InputError, match="not a file of low-level outputs"):
        list(read_low_level(finished.output / "scores.h5"))
    no_barrel = write_store(tmp_path / "no_eb.h5", 20, channels=("TRK",))
    with pytest.raises(InputError, match="no EB hits"):
        export_low_level(finished.output, no_barrel, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()
