"""Training: resumed exactly where it was killed, deterministic, one interface for all networks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from common.errors import ConfigError, InputError
from data.store import EventStore
from e2e.config import InputConfig, NetworkConfig, SplitConfig, TrainingConfig
from e2e.inputs.augmentation import mirror
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import EventInputs, Targets
from e2e.labels import Labels
from e2e.networks import build_network
from e2e.training.checkpoint import load_classifier, save_classifier
from e2e.training.devices import choose_device, use_bfloat16
from e2e.training.prediction import predict_features, predict_logits
from e2e.training.split import make_split
from e2e.training.trainer import Trainer, TrainingTask
from tests.synthetic import write_store

OFF_ON = (False, True)
SMALL = NetworkConfig(widths=[8, 12], context_widths=[6], hidden=16, photon=8, rings=6)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventInputs, Labels]:
    path = write_store(tmp_path_factory.mktemp("training") / "events.h5", 240)
    with EventStore(path) as store:
        return read_inputs(store, InputConfig()), Labels.read(store)


def make_task(sample: tuple[EventInputs, Labels], **training: Any) -> TrainingTask:
    inputs, labels = sample
    split = make_split(labels.group, inputs.usable, 0, SplitConfig())
    settings = {"epochs": 3, "batch_size": 32, "tensorboard": False, "device": "cpu"} | training
    weight = np.ones(len(inputs), dtype=np.float32)
    return TrainingTask(
        "small", SMALL, TrainingConfig(**settings), InputConfig(), split.train,
        split.validation,
        Targets({"label": labels.label, "weight": weight, "prompt": labels.prompt}), seed=5,
    )  # fmt: skip


class Killed(Exception):
    """Stands for a kill: nothing of the process but its files is left."""


class KilledTrainer(Trainer):
    """Dies before its n-th batch."""

    left = 0

    def _train_batch(self, epoch: int, step: int) -> torch.Tensor:
        self.left -= 1
        if self.left < 0:
            raise Killed
        return super()._train_batch(epoch, step)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    one, other = a.state_dict(), b.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("batches", [2, 5, 7])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_killed_and_resumed_equals_uninterrupted(
    sample: tuple[EventInputs, Labels], tmp_path: Path, batches: int, precision: str
) -> None:
    task = make_task(sample, checkpoint_seconds=0, precision=precision)
    assert task.steps_per_epoch > 3  # so that kills fall within an epoch, and beyond the first
    (tmp_path / "whole").mkdir()
    whole = Trainer(task, sample[0], tmp_path / "whole").run(show_progress=False)
    first = KilledTrainer(task, sample[0], tmp_path)
    first.left = batches
    with pytest.raises(Killed):
        first.run(show_progress=False)
    torch.rand(17)  # another process has drawn other numbers
    second = Trainer(task, sample[0], tmp_path)
    resumed = second.run(show_progress=False)
    assert same_weights(whole, resumed)
    log, other = (
        json.loads((p / "small.json").read_text()) for p in (tmp_path, tmp_path / "whole")
    )
    assert log == other
    assert [record["epoch"] for record in log] == [1, 2, 3]


def test_a_finished_training_is_not_repeated(
    sample: tuple[EventInputs, Labels], tmp_path: Path
) -> None:
    task = make_task(sample)
    done = Trainer(task, sample[0], tmp_path).run(show_progress=False)
    again = KilledTrainer(task, sample[0], tmp_path)  # would die at its first batch
    assert same_weights(done, again.run(show_progress=False))


def test_a_checkpoint_of_another_task_is_not_resumed(
    sample: tuple[EventInputs, Labels], tmp_path: Path
) -> None:
    inputs, _ = sample
    task = make_task(sample)
    other = make_task(sample, learning_rate=1e-3)
    needs = ("crops", "kinematics")
    prints = {task.fingerprint(inputs, needs), other.fingerprint(inputs, needs)}
    rolled = {n: np.roll(values, 1, axis=0) for n, values in task.targets.tables.items()}
    prints.add(replace(task, targets=Targets(rolled)).fingerprint(inputs, needs))
    shifted = {"kinematics": inputs.tables["kinematics"] + 1}
    prints.add(task.fingerprint(replace(inputs, tables=shifted), needs))
    assert len(prints) == 4
    Trainer(task, inputs, tmp_path).run(show_progress=False)
    died = KilledTrainer(other, inputs, tmp_path)
    with pytest.raises(Killed):
        died.run(show_progress=False)


def test_same_seed_same_network_other_seed_another(
    sample: tuple[EventInputs, Labels], tmp_path: Path
) -> None:
    trained = []
    for index, seed in enumerate((5, 5, 6)):
        folder = tmp_path / str(index)
        folder.mkdir()
        task = replace(make_task(sample, epochs=1), seed=seed)
        trained.append(Trainer(task, sample[0], folder).run(show_progress=False))
    assert same_weights(trained[0], trained[1])
    assert not same_weights(trained[0], trained[2])


def test_training_learns_and_validation_has_its_aucs(
    sample: tuple[EventInputs, Labels], tmp_path: Path
) -> None:
    task = make_task(sample, epochs=8, learning_rate=1e-2)
    network = Trainer(task, sample[0], tmp_path).run(show_progress=False)
    log = json.loads((tmp_path / "small.json").read_text())
    assert log[-1]["loss"] < 0.8 * log[0]["loss"]
    assert {"validation_loss", "auc_higgs_gamma_jet", "learning_rate"} <= set(log[-1])
    logits = predict_logits(network, sample[0], task.train)
    jets = task.targets.tables["label"][task.train] == 2
    assert (logits.argmax(axis=1) == 2)[jets].mean() > 0.7


def test_tensorboard_files_are_written(sample: tuple[EventInputs, Labels], tmp_path: Path) -> None:
    Trainer(make_task(sample, epochs=1, tensorboard=True), sample[0], tmp_path).run(False)
    assert list((tmp_path / "tensorboard" / "small").glob("events*"))


@pytest.mark.parametrize("kind", ["diphoton", "kinematics"])
def test_networks_share_one_interface(sample: tuple[EventInputs, Labels], kind: str) -> None:
    inputs, _ = sample
    network = build_network(SMALL.model_copy(update={"kind": kind}), InputConfig()).eval()
    batch = inputs.batch(np.arange(5), network.needs)
    assert set(batch) == set(network.needs)
    features = network.forward_features(batch)
    assert torch.equal(network.forward_head(features), network(batch))
    assert network(batch).shape == (5, 3)
    if kind == "diphoton":
        assert features.embedding is not None
        assert features.embedding.shape == (5, 2, 24)
        assert features.feature_map is not None
        assert features.feature_map.shape == (5, 2, 8, 4, 4)
        prompt = network.forward_prompt(features)
        assert prompt is not None
        assert prompt.shape == (5, 2)


def test_a_photons_embedding_depends_on_its_own_crop_alone(
    sample: tuple[EventInputs, Labels],
) -> None:
    network = build_network(SMALL, InputConfig()).eval()
    batch = sample[0].batch(np.arange(8), network.needs)
    before = network.forward_features(batch)
    changed = dict(batch, kinematics=batch["kinematics"] * 3, context=batch["context"] * 2)
    changed["crops"] = batch["crops"].clone()
    changed["crops"][:, 1] *= 2
    after = network.forward_features(changed)
    assert before.embedding is not None
    assert after.embedding is not None
    assert_array_equal(before.embedding[:, 0].detach(), after.embedding[:, 0].detach())
    assert not torch.equal(before.embedding[:, 1], after.embedding[:, 1])


def test_logits_respect_the_mirrors(sample: tuple[EventInputs, Labels]) -> None:
    inputs, _ = sample
    network = build_network(SMALL, InputConfig()).eval()
    rows = np.arange(20)
    logits = predict_logits(network, inputs, rows)
    batch = inputs.batch(rows, network.needs)
    every = torch.ones(20, dtype=torch.bool)
    with torch.no_grad():
        views = [network(mirror(batch, every & f, every & z)) for f in OFF_ON for z in OFF_ON]
    assert_allclose(logits, torch.stack(views).mean(dim=0), atol=1e-5)
    plain = predict_logits(network, inputs, rows, mirrors=False)
    assert_allclose(plain, views[0], atol=1e-5)
    assert len(list(predict_features(network, inputs, rows[:0]))) == 0


def test_a_classifier_survives_its_file(sample: tuple[EventInputs, Labels], tmp_path: Path) -> None:
    inputs, labels = sample
    network = build_network(SMALL, InputConfig(ecal_cut=1.2))
    network.fit_normalisation(inputs, np.flatnonzero(inputs.usable))
    path = tmp_path / "classifier.pt"
    save_classifier(path, network, SMALL, InputConfig(ecal_cut=1.2), {"fold": 1})
    found = load_classifier(tmp_path)
    assert found.inputs.ecal_cut == 1.2
    assert found.class_names == ("diphoton", "higgs", "gamma_jet")
    assert found.provenance == {"fold": 1}
    assert len(found.sha256) == 64
    save_classifier(tmp_path / "again.pt", network, SMALL, InputConfig(ecal_cut=1.2), {"fold": 1})
    assert path.read_bytes() == (tmp_path / "again.pt").read_bytes()
    rows = np.arange(len(labels.label))
    assert_array_equal(
        predict_logits(found.network, inputs, rows), predict_logits(network, inputs, rows)
    )


def test_damaged_checkpoints_say_so(tmp_path: Path) -> None:
    path = tmp_path / "classifier.pt"
    with pytest.raises(InputError, match="no such file"):
        load_classifier(path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="damaged"):
        load_classifier(path)
    torch.save({"kind": "something else"}, path)
    with pytest.raises(InputError, match="not a classifier"):
        load_classifier(path)


def test_devices_are_checked() -> None:
    with pytest.raises(ConfigError, match="auto, cpu"):
        choose_device("toaster")
    if not torch.cuda.is_available():
        assert choose_device("auto").type == "cpu"
        with pytest.raises(ConfigError, match="no GPU"):
            choose_device("cuda")
    assert use_bfloat16("bfloat16", torch.device("cpu"))
    assert not use_bfloat16("float32", torch.device("cpu"))
