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

import benchmarks.train
from common.errors import ConfigError, InputError, PipelineError
from common.settings import plain
from data.store import EventStore
from e2e.config import InputConfig, NetworkConfig, SplitConfig, TrainingConfig
from e2e.inputs.augmentation import draw_mirrors, mirror
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import EventInputs, Targets
from e2e.labels import Labels
from e2e.networks import build_network
from e2e.training.batches import Batches
from e2e.training.checkpoint import load_classifier, save_classifier
from e2e.training.devices import choose_device, use_bfloat16
from e2e.training.prediction import predict_features, predict_logits
from e2e.training.processes import Processes
from e2e.training.schedule import EarlyStopping
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


@pytest.mark.parametrize("at_once", [1, 3])
def test_batches_are_functions_of_epoch_and_step(
    sample: tuple[EventInputs, Labels], at_once: int
) -> None:
    """Mirrored, sparse or dense; made one by one or several at once; of one process or of three."""
    task = make_task(sample, batch_size=24)
    inputs, needs, cpu = sample[0], ("crops", "context", "kinematics"), torch.device("cpu")
    images = Targets(task.targets.tables, {"share": inputs.images["crops"]})
    task = replace(task, targets=images)
    batches = Batches(task, inputs, needs, Processes(), cpu)
    batches.at_once = at_once
    for epoch, step in ((0, 0), (0, 1), (1, 2)):
        found, targets, further = batches.get(epoch, step)
        rows = batches.rows(epoch, step)
        place = np.argsort(task.train)[np.searchsorted(np.sort(task.train), rows)]
        assert_array_equal(np.sort(task.train[place]), np.sort(rows))
        drawn = draw_mirrors(len(task.train), [task.seed, epoch, 1])
        chosen = [torch.from_numpy(each[step * 24 : (step + 1) * 24]) for each in drawn]
        assert 0 < chosen[0].sum() < 24
        dense = mirror(inputs.batch(rows, needs), *chosen)
        assert all(torch.equal(found[name], dense[name]) for name in needs)
        assert torch.equal(further["share"], dense["crops"])
        assert_array_equal(targets["label"], task.targets.tables["label"][rows])
        parts = [Batches(task, inputs, needs, Processes(r, 3), cpu) for r in range(3)]
        together = torch.stack([part.get(epoch, step)[0]["crops"] for part in parts], dim=1)
        assert torch.equal(together.flatten(0, 1), dense["crops"])
    orders = [batches.rows(epoch, 0) for epoch in (0, 1)]
    assert not np.array_equal(*orders)


def test_early_stopping_keeps_the_best_weights(
    sample: tuple[EventInputs, Labels], tmp_path: Path
) -> None:
    task = make_task(sample, epochs=12, patience=2, learning_rate=0.5, schedule="constant")
    network = Trainer(task, sample[0], tmp_path).run(show_progress=False)
    log = json.loads((tmp_path / "small.json").read_text())
    losses = [record["validation_loss"] for record in log]
    best = int(np.argmin(losses))
    assert len(log) == best + 3 < 12
    logits = torch.from_numpy(predict_logits(network, sample[0], task.validation, mirrors=False))
    label = torch.from_numpy(task.targets.tables["label"][task.validation])
    assert_allclose(float(torch.nn.functional.cross_entropy(logits, label)), losses[best])
    again = KilledTrainer(task, sample[0], tmp_path)  # would die at its first batch
    assert same_weights(network, again.run(show_progress=False))


def test_early_stopping_follows_what_it_is_told() -> None:
    network = torch.nn.Linear(1, 1)
    stopping = EarlyStopping(TrainingConfig(patience=1, monitor="auc_higgs_diphoton"))
    for value, over in ((0.6, False), (0.7, False), (0.65, True)):
        stopping.update({"auc_higgs_diphoton": value}, network)
        assert stopping.is_over == over
    with pytest.raises(ConfigError, match="not a figure of the validation"):
        stopping.update({"loss": 1.0}, network)


def test_schedules(sample: tuple[EventInputs, Labels], tmp_path: Path) -> None:
    rates = {}
    for schedule in ("onecycle", "cosine", "constant"):
        task = make_task(sample, schedule=schedule, learning_rate=1e-3)
        trainer = Trainer(task, sample[0], tmp_path)
        steps = task.training.epochs * task.steps_per_epoch
        rates[schedule] = []
        for _ in range(steps):
            rates[schedule].append(trainer.optimiser.param_groups[0]["lr"])
            trainer.optimiser.step()
            trainer.scheduler.step()
    assert set(rates["constant"]) == {1e-3}
    assert rates["cosine"] == sorted(rates["cosine"], reverse=True)
    assert rates["cosine"][0] == 1e-3
    assert np.argmax(rates["onecycle"]) not in (0, len(rates["onecycle"]) - 1)
    assert_allclose(max(rates["onecycle"]), 1e-3, rtol=0.02)


def test_a_loss_that_is_not_a_number_ends_the_training(
    sample: tuple[EventInputs, Labels], tmp_path: Path
) -> None:
    task = make_task(sample)
    task.targets.tables["weight"][task.train[0]] = np.nan  # type: ignore[index]
    with pytest.raises(PipelineError, match="not a number"):
        Trainer(task, sample[0], tmp_path).run(show_progress=False)


def test_benchmark_runs(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    words = [
        "train.py",
        "--events",
        "128",
        "--batch-size",
        "16",
        "--seconds",
        "0.01",
        "--rounds",
        "1",
        "--device",
        "cpu",
    ]
    monkeypatch.setattr("sys.argv", words)
    monkeypatch.setattr("benchmarks.train._TURN", 1)
    benchmarks.train.main()
    printed = capsys.readouterr().out
    assert printed.count("%") >= 3
    known = benchmarks.train.defaults()
    for name, model in (("network", NetworkConfig), ("inputs", InputConfig)):
        current = plain(model())
        stale = {n for n, value in known[name].items() if n in current and current[n] != value}
        assert not stale, "python benchmarks/train.py --write-defaults"
