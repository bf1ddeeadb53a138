"""Low-level outputs: shares of crystals, attributions, and what they add; on a small store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from common.config import build
from common.errors import InputError
from data.store import EventStore
from e2e.classify import further_targets
from e2e.config import InputConfig, NetworkConfig, SplitConfig, TrainingConfig
from e2e.evaluation.scores import PAIRS
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import Targets
from e2e.inputs.kinematics import Pairs
from e2e.labels import Labels
from e2e.low_level.attribution import stage as attribution_stage
from e2e.low_level.attribution.checks import with_random_weights
from e2e.low_level.attribution.gradients import grad_cam, integrated_gradients
from e2e.low_level.config import AttributionConfig, LadderConfig, LowLevelConfig, ShareConfig
from e2e.low_level.export import predict_shares, read_low_level
from e2e.low_level.export import run as export
from e2e.low_level.held_out import held_out
from e2e.low_level.ladder import stage as ladder_stage
from e2e.low_level.shares import stage as share_stage
from e2e.low_level.shares.crystals import Crystals, Lookup, shuffled
from e2e.low_level.targets import crystal_truth
from e2e.networks import build_network
from e2e.training.checkpoint import Classifier, load_classifier, save_classifier
from e2e.training.split import make_split
from e2e.training.trainer import Trainer, TrainingTask
from tests.synthetic import write_store

SMALL = NetworkConfig(widths=[8, 12], context_widths=[6], hidden=16, photon=8, rings=6, share=8)
INPUTS = InputConfig(hits=True)


@pytest.fixture(scope="module")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("low_level") / "events.h5", 300, without_pair=0.03)


@pytest.fixture(scope="module")
def checkpoint(store_path: Path) -> Path:
    """A small classifier with the head, trained for a moment on three of four folds."""
    torch.set_num_threads(1)
    with EventStore(store_path) as store:
        labels, inputs = Labels.read(store), read_inputs(store, INPUTS)
        more = further_targets(store, INPUTS, Pairs.read(store).mass)
    split = make_split(labels.group, inputs.usable, 0, SplitConfig())
    settings = {"epochs": 4, "batch_size": 32, "tensorboard": False, "device": "cpu"}
    known = {"label": labels.label, "weight": np.ones(len(inputs), "f4"), "prompt": labels.prompt}
    task = TrainingTask(
        "small", SMALL, TrainingConfig(**settings, share_loss=3.0), INPUTS, split.train,
        split.train[:0], Targets({**known, **more.tables}, more.images), seed=1,
    )  # fmt: skip
    network = Trainer(task, inputs, store_path.parent).run(show_progress=False)
    path = store_path.with_name("classifier.pt")
    provenance = {"split": SplitConfig().model_dump(mode="json"), "fold": 0}
    save_classifier(path, network, SMALL, INPUTS, provenance)
    return path


@pytest.fixture(scope="module")
def plain_checkpoint(store_path: Path) -> Path:
    path = store_path.with_name("plain.pt")
    save_classifier(path, build_network(SMALL, InputConfig()), SMALL, InputConfig(), {})
    return path


@pytest.fixture(scope="module")
def classifier(checkpoint: Path) -> Classifier:
    return load_classifier(checkpoint)


def tables(folder: Path) -> dict[str, Any]:
    report = json.loads((folder / "report.json").read_text())
    return {table["title"]: table["rows"] for table in report["tables"]}


def test_truth_of_crystals_lies_where_the_hits_lie(store_path: Path) -> None:
    with EventStore(store_path) as store:
        share = crystal_truth(store, INPUTS, "share").dense(np.arange(60)).numpy()
        energy = crystal_truth(store, INPUTS, "energy").dense(np.arange(60)).numpy()
        inputs = read_inputs(store, INPUTS, 0, 60)
        e5x5 = store.clusters("e5x5")[:60]
    hits = inputs.images["hits"].dense(np.arange(60)).numpy()
    assert share.shape == hits.shape == (60, 2, 1, 16, 16)
    assert ((share == 0) | (hits > 0)).all()
    assert share.max() <= 1
    assert_allclose((share * hits)[share > 0], energy[share > 0], rtol=1e-4)
    there = np.isfinite(e5x5)
    assert np.median((share * hits).sum(axis=(2, 3, 4))[there] / e5x5[there]) > 0.95


def test_the_scores_do_not_see_the_uncut_hits(classifier: Classifier, store_path: Path) -> None:
    with EventStore(store_path) as store:
        inputs = read_inputs(store, INPUTS, 0, 20)
    batch = inputs.batch(np.flatnonzero(inputs.usable), classifier.network.needs)
    more = {**batch, "hits": batch["hits"] * 3 + 0.2}
    with torch.no_grad():
        features, other = (classifier.network.forward_features(b) for b in (batch, more))
        assert torch.equal(
            classifier.network.forward_head(features), classifier.network.forward_head(other)
        )
        assert features.embedding is not None
        assert torch.equal(features.embedding, other.embedding)
        maps = [classifier.network.forward_share(features, b) for b in (batch, more)]
    assert not torch.equal(*maps)


def test_the_head_beats_one_constant(checkpoint: Path, store_path: Path, tmp_path: Path) -> None:
    config = build(
        ShareConfig,
        {"classifier": checkpoint, "store": store_path, "output": tmp_path / "run",
         "bootstrap": 8, "threads": 1},
    )  # fmt: skip
    share_stage.run(config)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    found = metrics["given_prompt"]["H→γγ"]
    assert set(found) == {"constant", "lookup", "head", "shuffled"}
    assert found["constant"]["auc"]["value"] == pytest.approx(0.5)
    assert found["head"]["auc"]["value"] > 0.7
    assert found["head"]["auc"]["value"] > found["shuffled"]["auc"]["value"]
    energies = metrics["energy"]["H→γγ"]
    assert energies["lookup x hit, crop"]["sigma_eff"]["difference"] == 0
    exact, noisy = (
        energies[n]["sigma_eff"]["value"]
        for n in ("true share x hit, crop", "shuffled head x hit, crop")
    )
    assert exact < noisy
    assert set(tables(tmp_path / "run")) == {
        "Shares round prompt photons", "Shares of all photons", "Energy from shares",
    }  # fmt: skip
    for name in ("calibration", "shares"):
        assert (tmp_path / "run" / "figures" / f"{name}.png").stat().st_size > 1000


def test_lookup_and_control() -> None:
    rng = np.random.default_rng(0)
    event = np.sort(rng.integers(0, 50, 4000))
    pixel = rng.integers(0, 2 * 16 * 16, 4000)
    column = pixel % 16
    share = np.where(np.abs(column - 7.5) < 3, 0.9, 0.1)
    crystals = Crystals(event, pixel, rng.uniform(0.1, 5, 4000), share, 16)
    lookup = Lookup(crystals)
    assert_allclose(lookup.predict(crystals), share, atol=1e-9)
    assert 0.1 < lookup.mean < 0.9
    mixed = shuffled(crystals, share, rng)
    assert not np.array_equal(mixed, share)
    sums = [crystals.photon_sums(values, 50) for values in (share, mixed)]
    assert_allclose(*sums)


def test_every_part_is_written_for_any_store(
    checkpoint: Path, plain_checkpoint: Path, tmp_path: Path
) -> None:
    store = write_store(
        tmp_path / "real.h5", 30, seed=4, with_truth=False, labels=(-1,), without_pair=0.3
    )
    parts = ["embedding", "feature_map", "crop", "share", "attribution"]
    settings = {
        "classifier": checkpoint, "store": store, "output": tmp_path / "all.h5", "parts": parts,
        "attribution": {"steps": 4}, "threads": 1,
    }  # fmt: skip
    export(build(LowLevelConfig, settings))
    with EventStore(store) as events, h5py.File(tmp_path / "all.h5") as file:
        present = events.clusters("seed") >= 0
        seed = events.clusters("seed")
        shapes = {name: file[f"photons/{name}"].shape[2:] for name in file["photons"]}
        assert shapes == {
            "embedding": (24,), "feature_map": (8, 4, 4), "crop": (11, 11), "share": (16, 16),
            "attribution": (3, 16, 16), "prompt": (), "first_crystal": (2,),
        }  # fmt: skip
        for name in set(shapes) - {"first_crystal"}:
            values = file[f"photons/{name}"][...].reshape(30, 2, -1)
            assert_array_equal(np.isfinite(values).all(axis=2), present)
        first = file["photons/first_crystal"][...]
        share = file["photons/share"][...]
        assert file["photons/share"].fletcher32
        assert file["photons/share"].dtype == np.float16
    assert (first[~present] == -1).all()
    # The seed crystal, which has a hit, lies near the middle of the crop.
    row = seed[present] // 360 - first[present][:, 0]
    column = (seed[present] % 360 - first[present][:, 1]) % 360
    assert np.isin(row, (7, 8)).all()
    assert np.isin(column, (7, 8)).all()
    assert (share[present][np.arange(present.sum()), row, column] > 0).all()
    default = build(LowLevelConfig, {**settings, "parts": [], "output": tmp_path / "default.h5"})
    export(default)
    assert len(dict(read_low_level(default.output, ("photons/share", "photons/crop")))) == 2
    with pytest.raises(InputError, match="no head of crystals"):
        export(build(LowLevelConfig, {**settings, "classifier": plain_checkpoint}))


def test_attributions_are_complete(classifier: Classifier, store_path: Path) -> None:
    """They sum to the difference of the logits, less that of empty images."""
    with EventStore(store_path) as store:
        inputs = read_inputs(store, INPUTS)
    rows = np.flatnonzero(inputs.usable)[:40]
    batch = inputs.batch(rows, classifier.network.needs)
    found = integrated_gradients(classifier.network, batch, *PAIRS["higgs_gamma_jet"], 64)
    assert set(found.images) == {"crops", "context"}
    wanted = found.difference - found.baseline
    assert (found.total - wanted).abs().mean() < 0.02 * wanted.abs().mean()
    for name, maps in found.images.items():
        assert maps.shape == batch[name].shape
        assert (maps[batch[name] == 0] == 0).all()  # nothing is said of pixels without a hit
    maps = grad_cam(classifier.network, batch, *PAIRS["higgs_gamma_jet"])
    assert maps.shape == (40, 2, 16, 16)
    assert torch.isfinite(maps).all()


def test_random_weights_are_random(classifier: Classifier) -> None:
    network = classifier.network
    head, everything = (with_random_weights(network, 3, only) for only in (True, False))
    same = {
        n: torch.equal(v, dict(head.named_parameters())[n]) for n, v in network.named_parameters()
    }
    assert all(same[n] != n.startswith("head") for n in same if n.endswith("weight"))
    others = dict(everything.named_parameters())
    assert not any(torch.equal(v, others[n]) for n, v in network.named_parameters() if "conv" in n)


def test_the_attribution_stage(checkpoint: Path, store_path: Path, tmp_path: Path) -> None:
    config = build(
        AttributionConfig,
        {"classifier": checkpoint, "store": store_path, "output": tmp_path / "run", "events": 12,
         "examples": 1, "randomisations": 1, "bootstrap": 8, "deleted": [0.2],
         "attribution": {"steps": 8}, "threads": 1},
    )  # fmt: skip
    attribution_stage.run(config)
    assert set(tables(config.output)) == {
        "Checks of attributions", "Deletion test", "Attribution per channel",
    }  # fmt: skip
    metrics = json.loads((config.output / "metrics.json").read_text())
    assert metrics["randomisation"]["half_steps"]["signed"] > 0.9
    assert metrics["randomisation"]["all"]["signed"] < 0.9
    left = {way: rows[1]["decision"]["value"] for way, rows in metrics["deletion"].items()}
    assert left["attributed"] < left["random"]
    assert left["attributed"] < left["randomised"]
    with h5py.File(config.output / "attributions.h5") as file:
        assert file["attribution/crops"].shape == file["hits/crops"].shape
        assert file["mean_absolute/crops"].shape == (3, 2, 3, 16, 16)
        assert file.attrs["schema"] == "e2e-attributions"
        rows = file["row"][...]
    with EventStore(store_path) as store:
        unseen = held_out(load_classifier(checkpoint), store.event("group"), checkpoint)
    assert unseen[rows].all()
    for name in ("mean_attribution", "examples_higgs", "examples_gamma_jet", "deletion"):
        assert (config.output / "figures" / f"{name}.png").stat().st_size > 1000


def test_the_ladder_stage(
    checkpoint: Path, plain_checkpoint: Path, store_path: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "classifier": checkpoint, "store": store_path, "output": tmp_path / "run",
        "regression": {"epochs": 2, "batch_size": 16, "folds": 2}, "networks": 1, "bootstrap": 8,
        "threads": 1,
    }  # fmt: skip
    ladder_stage.run(build(LadderConfig, settings))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    steps = metrics["steps"]
    assert list(steps) == [
        "standard 5x5", "kinematics", "+ shower shapes", "+ embedding", "+ feature map",
        "+ crystals", "+ share map", "control: outputs of other photons",
    ]  # fmt: skip
    columns = [step["columns"] for step in steps.values()]
    assert columns == sorted(columns)
    assert steps["standard 5x5"]["energy"]["value"] > 0
    assert (tmp_path / "run" / "figures" / "ladder.png").stat().st_size > 1000
    with pytest.raises(InputError, match="does not say which events"):
        ladder_stage.run(build(LadderConfig, {**settings, "classifier": plain_checkpoint}))


def test_shares_are_probabilities_and_zero_without_a_hit(
    classifier: Classifier, store_path: Path
) -> None:
    with EventStore(store_path) as store:
        inputs = read_inputs(store, INPUTS, 0, 30)
    maps = predict_shares(classifier.network, inputs)
    hits = inputs.images["hits"].dense(np.arange(30)).numpy()[:, :, 0]
    assert ((maps.share > 0) == (hits > 0)).all()
    assert maps.share.max() <= 1
    assert ((maps.prompt >= 0) & (maps.prompt <= 1)).all()
