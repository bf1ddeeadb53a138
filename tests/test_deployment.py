"""A classifier as TorchScript and ONNX, checked in the command, and its model card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from common.errors import InputError, PipelineError
from data.store import EventStore
from e2e.config import InputConfig, NetworkConfig
from e2e.deployment import formats, stage
from e2e.deployment.config import DeployConfig
from e2e.deployment.portable import PortableClassifier, made_up_inputs, raw_inputs
from e2e.inputs.diphoton import read_inputs
from e2e.networks import build_network
from e2e.training.checkpoint import load_classifier, save_classifier
from e2e.training.prediction import predict_logits
from tests.synthetic import write_store

SMALL: dict[str, Any] = {
    "widths": [8], "context_widths": [4], "hidden": 8, "photon": 4, "rings": 4
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("deploy") / "events.h5", 30, without_pair=0.2)


@pytest.fixture(scope="module")
def checkpoint(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = InputConfig(hits=True, shapes=True)
    with EventStore(store) as events:
        inputs = read_inputs(events, config)
    torch.manual_seed(1)
    network = build_network(NetworkConfig(**SMALL), config)
    network.fit_normalisation(inputs, np.flatnonzero(inputs.usable))
    for module in network.modules():  # as after a training
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("run") / "classifier.pt"
    provenance = {"fold": 0, "store_sha256": "abc", "training": {"epochs": 3}}
    save_classifier(path, network, NetworkConfig(**SMALL), config, provenance)
    return path


def deploy(checkpoint: Path, output: Path, **keys: Any) -> Path:
    keys = {"events": 20, "formats": ["torchscript"]} | keys
    return stage.run(DeployConfig(checkpoint=checkpoint, output=output, **keys))


def test_torchscript_gives_the_scores_of_the_run(
    checkpoint: Path, store: Path, tmp_path: Path
) -> None:
    folder = deploy(checkpoint, tmp_path, store=store)
    classifier = load_classifier(checkpoint)
    with EventStore(store) as events:
        inputs = read_inputs(events, classifier.inputs)
    names = PortableClassifier(classifier.network).names
    assert names == ("crops", "kinematics", "context", "tabular")
    loaded = torch.jit.load(folder / "classifier.torchscript.pt")
    rows = np.arange(len(inputs))
    raw = raw_inputs(inputs, names, rows)
    assert not torch.isfinite(raw[1]).all()  # unknown values may go in as they are
    logits, scores = loaded(*raw)
    assert_allclose(logits.detach(), predict_logits(classifier.network, inputs, rows), atol=1e-5)
    assert_allclose(scores.detach().sum(dim=1), 1.0, rtol=1e-5)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["torchscript"]["largest_difference"] < 1e-5
    assert json.loads((folder / "run.json").read_text())["stage"] == "deploy"


def test_onnx_without_a_store(checkpoint: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    folder = deploy(checkpoint, tmp_path, formats=["onnx"], mirrors=False)
    session = runtime.InferenceSession(str(folder / "classifier.onnx"))
    assert [each.name for each in session.get_inputs()] == [
        "crops", "kinematics", "context", "tabular"
    ]  # fmt: skip
    assert session.get_inputs()[0].shape[1:] == [2, 3, 16, 16]
    classifier = load_classifier(checkpoint)
    inputs = made_up_inputs(classifier, 5, seed=4)
    module = PortableClassifier(classifier.network, mirrors=False).eval()
    raw = raw_inputs(inputs, module.names, np.arange(5))
    named = {n: values.numpy() for n, values in zip(module.names, raw, strict=True)}
    expected = predict_logits(classifier.network, inputs, np.arange(5), mirrors=False)
    assert_allclose(session.run(["logits"], named)[0], expected, atol=1e-5)


def test_a_disagreement_fails_the_command(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = formats.write_torchscript

    def wrong(*words: Any) -> formats.Runner:
        runner = right(*words)
        return lambda inputs: (runner(inputs)[0] + np.float32(0.01), runner(inputs)[1])

    def not_a_number(*words: Any) -> formats.Runner:
        return lambda inputs: (
            np.full((len(inputs[0]), 3), np.nan, np.float32),
            right(*words)(inputs)[1],
        )

    for writer in (wrong, not_a_number):
        monkeypatch.setitem(stage.WRITERS, "torchscript", writer)
        with pytest.raises(PipelineError, match="differs from the classifier"):
            deploy(checkpoint, tmp_path)
        assert not (tmp_path / "run.json").exists()


def test_card_says_what_the_checkpoint_is(checkpoint: Path, tmp_path: Path) -> None:
    card = (deploy(checkpoint, tmp_path) / "MODEL_CARD.md").read_text()
    classifier = load_classifier(checkpoint)
    for expected in (
        classifier.sha256, "store_sha256", "0 diphoton", "simulated", "Not known", "largest diff",
        "62.5 GeV over its photon's pt",
    ):  # fmt: skip
        assert expected in card


def test_what_cannot_be_made_up_needs_a_store(tmp_path: Path) -> None:
    config = NetworkConfig(kind="resnet15", images={"EB": 1})
    network = build_network(config, InputConfig(full=["EB"]))
    save_classifier(tmp_path / "classifier.pt", network, config, InputConfig(full=["EB"]), {})
    with pytest.raises(InputError, match="EB: no such input can be made up"):
        deploy(tmp_path, tmp_path / "out")
