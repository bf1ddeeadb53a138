"""Quark-gluon jets: images, shapes, weights, and the stage from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config import build
from common.errors import InputError
from data.detector.jets import JET_SIZE
from data.store import EventStore
from e2e.inputs.sparse import SparseImages
from e2e.jets import stage
from e2e.jets.config import JetCutsConfig, JetsConfig
from e2e.jets.images import N_PIXELS, only
from e2e.jets.labels import true_flavour
from e2e.jets.sample import ALL, JetSample, read_jets
from e2e.jets.shapes import SHAPES, jet_shapes
from e2e.jets.weights import balanced, kinematic_bin, same_spectrum
from e2e.training.checkpoint import load_classifier
from e2e.training.prediction import predict_logits
from tests.synthetic import write_store

CUTS = JetCutsConfig(min_pt=60, max_pt=250)


@pytest.fixture(scope="module")
def sample(dijet_store: Path) -> JetSample:
    with EventStore(dijet_store) as store:
        return read_jets(store, CUTS)


def test_one_row_per_jet_that_passes(dijet_store: Path, sample: JetSample) -> None:
    with EventStore(dijet_store) as store:
        jets = store.objects("Jet")
        event = np.repeat(np.arange(len(store)), np.diff(jets.offsets))
        group = store.event("group")
        seed_row = jets.columns["seed_row"]
    pt, eta = jets.columns["pt"], jets.columns["eta"]
    passes = (pt >= 60) & (pt <= 250) & (np.abs(eta) <= 1.8) & (seed_row >= 12) & (seed_row < 44)
    np.testing.assert_array_equal(sample.row, np.flatnonzero(passes))
    np.testing.assert_array_equal(sample.group, group[event[passes]])
    assert len(sample) > len(np.unique(sample.group)) > 50
    assert len(sample.inputs) == len(sample)


def test_images_hold_the_windows_hits(dijet_store: Path, sample: JetSample) -> None:
    """Summed from the hits in another way: by rows and columns of the stitched image."""
    with EventStore(dijet_store) as store:
        jets = store.objects("Jet")
        event = np.repeat(np.arange(len(store)), np.diff(jets.offsets))
        towers, tracks = store.hits("HBHE"), store.hits("TRK")
        rows, columns = (jets.columns[f"seed_{n}"].astype(int) for n in ("row", "column"))
    images = sample.inputs.images[ALL].dense(np.arange(5)).numpy()
    assert images.shape == (5, 3, JET_SIZE, JET_SIZE)
    for i, jet in enumerate(sample.row[:5]):
        for layer, hits, scale in ((0, tracks, 1), (2, towers, 5)):
            mine = slice(*hits.offsets[event[jet] : event[jet] + 2])
            down, right = np.divmod(hits.cell[mine].astype(int), 360 // scale)
            half, size = (2, 5) if layer == 0 else (0, 1)
            reach, turn = 62 if layer == 0 else 12, 360 // scale
            across = (right - (columns[jet] * size + half) + turn // 2) % turn - turn // 2
            near = (abs(down - (rows[jet] * size + half)) <= reach) & (abs(across) <= reach)
            expected = hits.energy[mine][near].sum() * scale**2
            assert images[i, layer].sum() == pytest.approx(expected, rel=1e-5)
    for index, name in enumerate(("tracks", "ECAL", "HCAL")):
        alone = sample.inputs.images[name].dense(np.arange(5)).numpy()
        np.testing.assert_array_equal(alone[:, 0], images[:, index])


def test_jets_without_all_that_is_needed_are_refused(tmp_path: Path, dijet_store: Path) -> None:
    path = write_store(tmp_path / "events.h5", 6)
    with EventStore(path) as store, pytest.raises(InputError, match="no jets"):
        read_jets(store, CUTS)
    with EventStore(path) as store, pytest.raises(InputError, match="no true flavour"):
        true_flavour(store, np.arange(2))
    with EventStore(dijet_store) as store:
        with pytest.raises(InputError, match="no jet passes"):
            read_jets(store, JetCutsConfig(min_pt=5000, max_pt=9000))
        with pytest.raises(InputError, match=r"no (quark|gluon) jets"):
            true_flavour(store, np.arange(1))


def one_image(*entries: tuple[int, int, int, float]) -> SparseImages:
    layer, row, column, value = (np.array(c) for c in zip(*entries, strict=True))
    pixel = layer * N_PIXELS + row * JET_SIZE + column
    shape = (3, JET_SIZE, JET_SIZE)
    return SparseImages.from_entries(np.zeros(len(row), int), pixel, value, 1, shape)


def test_shapes_of_known_images() -> None:
    tower = [(2, 60 + a, 65 + b, 8.0) for a in range(5) for b in range(5)]
    image = one_image(
        (0, 62, 62, 30.0), (0, 62, 66, 10.0), (0, 5, 5, 1.0),  # one far off
        (1, 62, 62, 5.0), (1, 62, 63, 0.1),  # one below threshold
        *tower,
    )  # fmt: skip
    found = dict(zip(SHAPES, jet_shapes(image, np.array([100.0]))[0], strict=True))
    assert found["tracks_n"] == 2
    assert found["tracks_sum_over_pt"] == pytest.approx(0.4)
    assert found["tracks_width"] == pytest.approx((30 * 1 + 10 * 3) / 40)
    assert found["tracks_ptd"] == pytest.approx(np.sqrt(1000) / 40)
    assert found["tracks_minor_axis"] == pytest.approx(0.0, abs=1e-6)
    assert found["tracks_leading"] == pytest.approx(0.75)
    assert (found["ECAL_n"], found["ECAL_ptd"]) == (1, 1)
    assert (found["HCAL_n"], found["HCAL_leading"]) == (1, 1)
    assert found["HCAL_sum_over_pt"] == pytest.approx(0.08)
    empty = jet_shapes(only_layer_left(image), np.array([100.0]))[0]
    assert empty[SHAPES.index("ECAL_n")] == 0
    assert np.isnan(empty[SHAPES.index("ECAL_width")])


def only_layer_left(images: SparseImages) -> SparseImages:
    """The tracks, in an image of three layers."""
    tracks = only(images, "tracks")
    return SparseImages(tracks.offsets, tracks.pixel, tracks.value, images.shape)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_weights_make_one_spectrum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 400
    label = rng.integers(-1, 2, n)
    pt = rng.uniform(70, 110, n) + 20 * rng.random(n) * (label == 1)
    eta = rng.uniform(-1.4, 1.4, n)
    rows = np.flatnonzero(rng.random(n) < 0.9)
    weight = same_spectrum(pt, eta, label, rows).astype(np.float64)
    place = kinematic_bin(pt, eta)
    sums = [
        np.bincount(place[rows], weight[rows] * (label[rows] == k), minlength=place.max() + 1)
        for k in (0, 1)
    ]
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-4, atol=1e-6)
    assert np.all(weight[label < 0] == 0)
    equal = balanced(label, rows)
    assert equal[rows][label[rows] == 1].sum() == pytest.approx(len(rows) / 2, rel=1e-4)
    assert equal[rows][label[rows] == 0].sum() == pytest.approx(len(rows) / 2, rel=1e-4)


@pytest.fixture(scope="module")
def finished(dijet_store: Path, tmp_path_factory: pytest.TempPathFactory) -> JetsConfig:
    config = build(
        JetsConfig,
        {
            "store": dijet_store,
            "output": tmp_path_factory.mktemp("jets"),
            "cuts": {"min_pt": 60, "max_pt": 250},
            "network": {"stride": 4},
            "training": {
                "epochs": 1, "batch_size": 16, "tensorboard": False, "device": "cpu",
                "precision": "float32",
            },
            "split": {"folds": 2, "models": 1},
            "tree": {"iterations": 10},
            "evaluation": {
                "bootstrap": 6, "tree_permutations": 2, "network_permutations": 2,
                "control_jets": 32, "control_epochs": 1,
            },
            "unlabelled": [dijet_store],
            "threads": 1,
        },
    )  # fmt: skip
    stage.run(config)
    return config


def test_the_stage_leaves_tables_figures_and_scores(finished: JetsConfig) -> None:
    metrics = json.loads((finished.output / "metrics.json").read_text())
    names = set(metrics["auc"])
    assert {"tree", "network", "network_tracks", "network_ECAL", "network_HCAL", "mean"} <= names
    for spectra in metrics["auc"].values():
        for values in spectra.values():
            assert 0 < values["value"] < 1
            assert values["error"] > 0
    assert metrics["auc"]["tree"]["one_spectrum"]["difference"] == 0
    assert set(metrics["shuffled_labels"]) == {"network", "tree"}
    assert metrics["unlabelled"] == {"jets": metrics["jets"]["jets"]}
    for name in ("roc", "mean_images", "shapes", "spectra", "training", "domains"):
        assert (finished.output / "figures" / f"{name}.png").stat().st_size > 1000
    report = json.loads((finished.output / "report.json").read_text())
    assert [table["title"] for table in report["tables"]] == ["AUC", "Shuffled labels"]


def test_scores_are_held_out_and_siblings_stay_together(finished: JetsConfig) -> None:
    with h5py.File(finished.output / "scores.h5") as file:
        score, group = file["scores/network"][:], file["jets/group"][:]
        label = file["jets/label"][:]
    held_out = np.isfinite(score)
    assert 0 < held_out.sum() < len(score)
    assert not np.intersect1d(group[held_out], group[~held_out & (label >= 0)]).size


def test_the_classifier_gives_the_scores_again(finished: JetsConfig) -> None:
    classifier = load_classifier(finished.output)
    assert classifier.class_names == ("gluon", "quark")
    assert classifier.provenance["fold"] == 0
    with EventStore(finished.store) as store:
        jets = read_jets(store, finished.cuts)
    with h5py.File(finished.output / "scores.h5") as file:
        expected = file["scores/network"][:]
    rows = np.flatnonzero(np.isfinite(expected))
    logits = predict_logits(classifier.network, jets.inputs, rows)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected[rows], atol=1e-5)


def test_a_complete_run_is_kept(finished: JetsConfig) -> None:
    before = (finished.output / "metrics.json").stat().st_mtime_ns
    stage.run(finished)
    assert (finished.output / "metrics.json").stat().st_mtime_ns == before
