"""Training from a file on a machine with torch, numpy and h5py alone, taken back by classify."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from common.errors import ConfigError, InputError
from common.settings import Settings, changed, plain
from data.store import EventStore
from e2e.config import InputConfig, NetworkConfig, SplitConfig, TrainingConfig
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import EventInputs, Targets
from e2e.inputs.sparse import SparseImages
from e2e.labels import Labels
from e2e.networks import build_network
from e2e.training.__main__ import main
from e2e.training.checkpoint import load_state
from e2e.training.split import make_split
from e2e.training.trainer import Trainer, TrainingTask
from e2e.training.training_set import read_training_set, write_training_set
from tests.conftest import ROOT
from tests.synthetic import write_store

ALLOWED = ("torch", "numpy", "h5py", "hdf5plugin")
SMALL = NetworkConfig(widths=[8], context_widths=[4], hidden=8, photon=4, rings=4, dropout=0.2)
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

# Torch's own requirements come with it.
OF_TORCH = (
    "torchgen",
    "typing_extensions",
    "sympy",
    "mpmath",
    "networkx",
    "jinja2",
    "markupsafe",
    "filelock",
)
BARE = f"""
import sys
KNOWN = set({(*ALLOWED, *OF_TORCH, "common", "data", "e2e")}) | sys.stdlib_module_names
class Only:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        known = top in KNOWN or top.startswith("_")
        return self.finder.find_spec(name, path, target) if known else None
sys.meta_path[:] = [Only(finder) for finder in sys.meta_path]
sys.argv = sys.argv[1:]
import runpy
runpy.run_module("e2e.training", run_name="__main__", alter_sys=True)
"""


def bare(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process that can import nothing but the allowed packages."""
    return subprocess.run(
        [sys.executable, "-c", BARE, "e2e.training", *map(str, words)],
        cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventInputs, list[TrainingTask]]:
    path = write_store(tmp_path_factory.mktemp("bare") / "events.h5", 160)
    with EventStore(path) as store:
        inputs, labels = read_inputs(store, InputConfig()), Labels.read(store)
    tasks = []
    for fold in range(2):
        usable = inputs.usable & (np.arange(len(inputs)) % 9 > 0)
        split = make_split(labels.group, usable, fold, SplitConfig(folds=3))
        weight = np.full(len(inputs), 1.0 + fold, dtype=np.float32)
        targets = Targets({"label": labels.label, "weight": weight, "prompt": labels.prompt})
        training = TrainingConfig(epochs=2, batch_size=16, device="cpu", patience=2)
        tasks.append(
            TrainingTask(
                f"network_{fold}", SMALL, training, InputConfig(), split.train, split.validation,
                targets, seed=fold,
            )
        )  # fmt: skip
    return inputs, tasks


@pytest.fixture(scope="module")
def training_set(
    sample: tuple[EventInputs, list[TrainingTask]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("set") / "training_set.h5"
    write_training_set(path, *sample, {"store_sha256": "abc"})
    return path


def test_trained_with_forbidden_imports_and_taken_back(
    sample: tuple[EventInputs, list[TrainingTask]], training_set: Path, tmp_path: Path
) -> None:
    """The same weights as trained here, and the Trainer here takes them for finished."""
    inputs, tasks = sample
    done = bare(training_set, "--output", tmp_path / "node", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "node").glob("tensorboard"))  # absent there, and no error
    (tmp_path / "here").mkdir()
    torch.set_num_threads(1)
    for task in tasks:
        # Where and how it runs does not make it another training.
        task = replace(task, training=changed(task.training, {"tensorboard": False}))
        away = Trainer(task, inputs, tmp_path / "node")
        fingerprint = task.fingerprint(inputs, away.network.needs)
        state = load_state(tmp_path / "node" / f"{task.name}.state.pt", fingerprint)
        assert state is not None
        assert state["position"] == [2, 0]
        weights = away.run(show_progress=False).state_dict()
        local = Trainer(task, inputs, tmp_path / "here").run(show_progress=False).state_dict()
        assert all(torch.equal(weights[name], local[name]) for name in local)


def test_a_forbidden_package_is_noticed(training_set: Path, tmp_path: Path) -> None:
    program = BARE.replace("import runpy", "import e2e.config")
    done = subprocess.run(
        [sys.executable, "-c", program, "e2e.training"],
        cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True,
    )  # fmt: skip
    assert "No module named 'pydantic'" in done.stderr


def test_a_training_set_survives_its_file(
    sample: tuple[EventInputs, list[TrainingTask]], training_set: Path, tmp_path: Path
) -> None:
    inputs, tasks = sample
    found = read_training_set(training_set)
    assert [task.name for task in found.tasks] == ["network_0", "network_1"]
    assert found.provenance == {"store_sha256": "abc"}
    needs = build_network(SMALL, InputConfig()).needs
    assert set(found.inputs.images) | set(found.inputs.tables) == set(needs)
    for task, read in zip(tasks, found.tasks, strict=True):
        assert plain(read.network) == plain(task.network)
        assert read.fingerprint(found.inputs, needs) == task.fingerprint(inputs, needs)
        batch, other = inputs.batch(task.train, needs), found.inputs.batch(read.train, needs)
        assert all(torch.equal(batch[name], other[name]) for name in needs)
    used = np.unique(np.concatenate([np.r_[t.train, t.validation] for t in tasks]))
    assert len(found.inputs) == len(used) < len(inputs)
    write_training_set(tmp_path / "again.h5", *sample, {"store_sha256": "abc"})
    assert (tmp_path / "again.h5").read_bytes() == training_set.read_bytes()


def test_images_of_targets_travel_too(
    sample: tuple[EventInputs, list[TrainingTask]], tmp_path: Path
) -> None:
    inputs, tasks = sample
    targets = Targets(tasks[0].targets.tables, {"share": inputs.images["crops"]})
    write_training_set(tmp_path / "set.h5", inputs, [replace(tasks[0], targets=targets)], {})
    (task,) = read_training_set(tmp_path / "set.h5").tasks
    _, found = task.targets.batch(task.train)
    assert torch.equal(found["share"], inputs.images["crops"].dense(tasks[0].train))

    class Others(SparseImages):
        pass

    crops = inputs.images["crops"]
    other = Others(crops.offsets, crops.pixel, crops.value, crops.shape)
    others = replace(inputs, images={**inputs.images, "crops": other})
    with pytest.raises(TypeError, match="no layout for Others"):
        write_training_set(tmp_path / "other.h5", others, tasks, {})


def test_a_damaged_set_is_refused(training_set: Path, tmp_path: Path) -> None:
    content = training_set.read_bytes()
    damaged = tmp_path / "damaged.h5"
    for part in range(1, 10):
        changed_byte = bytearray(content)
        changed_byte[len(content) * part // 10] ^= 0xFF
        damaged.write_bytes(changed_byte)
        with pytest.raises(InputError, match=r"damaged\.h5"):
            read_training_set(damaged)
    damaged.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"damaged\.h5"):
        read_training_set(damaged)


def test_settings_may_be_changed_and_then_it_is_another_training(
    training_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(training_set), "--output", str(tmp_path), "--threads", "1"]
    assert main([*words, "--only", "network_1", "epochs=1", "schedule=cosine"]) == 0
    assert not (tmp_path / "network_0.json").exists()
    assert len(json.loads((tmp_path / "network_1.json").read_text())) == 1
    for wrong in (
        ["--only", "network_7"],
        ["epochz=3"],
        ["epochs=many"],
        ["epochs"],
        ["precision=float32", "--precision", "bfloat16"],
    ):
        assert main([*words, *wrong]) == 1


def test_learning_rate_finder(training_set: Path, tmp_path: Path) -> None:
    words = [str(training_set), "--output", str(tmp_path), "--threads", "1"]
    assert main([*words, "--only", "network_0", "--find-learning-rate"]) == 0
    found = json.loads((tmp_path / "network_0.learning_rate.json").read_text())
    rates = [point["learning_rate"] for point in found["curve"]]
    assert rates == sorted(rates)
    assert 1e-6 <= found["suggestion"] <= 1.0
    assert (tmp_path / "network_0.learning_rate.png").stat().st_size > 0
    assert not (tmp_path / "network_0.state.pt").exists()


def test_settings_are_read_only_and_like_pydantic() -> None:
    training = TrainingConfig(epochs=3)
    settings = Settings(json.loads(json.dumps(plain(training))))
    assert plain(settings) == plain(training)
    assert settings.epochs == 3
    with pytest.raises(AttributeError, match="read-only"):
        settings.epochs = 4
    with pytest.raises(AttributeError, match="no setting colour"):
        _ = settings.colour
    for config in (training, settings):
        assert changed(config, {"learning_rate": 1}).learning_rate == 1
        with pytest.raises(ConfigError, match="unknown setting rate"):
            changed(config, {"rate": 1})
        with pytest.raises(ConfigError, match="expected a value like 3"):
            changed(config, {"epochs": "three"})
