"""The models of the jets stage, trained by the trainer that all networks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from common.progress import log
from e2e.config import InputConfig, NetworkConfig
from e2e.inputs.events import EventInputs, Targets
from e2e.jets.config import JetsConfig
from e2e.jets.images import LAYERS
from e2e.jets.labels import GLUON, QUARK
from e2e.jets.sample import ALL, JetSample
from e2e.jets.weights import balanced, same_spectrum
from e2e.networks import EventNetwork
from e2e.training.prediction import predict_logits
from e2e.training.split import Split, make_split
from e2e.training.trainer import Trainer, TrainingTask
from e2e.training.tree import tree_logits

Scores = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes
    ----------
    name
        Of its files and scores.
    title
        For tables.
    image
        Name of the image a network sees; None for a boosted tree.
    table
        Name of the table a boosted tree sees.
    reweighted
        Whether it was trained on jets with the same pt and eta spectrum for both flavours.
    """

    name: str
    title: str
    image: str | None = None
    table: str = ""
    reweighted: bool = False


TREE = Model("tree", "boosted tree, shapes", table="shapes")
NETWORK = Model("network", "ResNet-15, all layers", image=ALL)
MODELS = (
    Model("pt_eta", "boosted tree, pt and |η| alone (control)", table="pt_eta"),
    TREE,
    NETWORK,
    *(Model(f"network_{n}", f"ResNet-15, {n} alone", image=n) for n in LAYERS),
    Model("pt_eta_reweighted", "pt and |η| alone (control)", table="pt_eta", reweighted=True),
    Model("tree_reweighted", "boosted tree, shapes", table="shapes", reweighted=True),
    Model("network_reweighted", "ResNet-15, all layers", image=ALL, reweighted=True),
)


@dataclass
class Bench:
    """What every model needs: the jets with their flavour, the configuration, a folder."""

    config: JetsConfig
    sample: JetSample
    label: NDArray[np.int64]
    folder: Path

    def split(self, fold: int) -> Split:
        """Rows of a fold; jets of other flavours take no part."""
        return make_split(self.sample.group, self.label >= 0, fold, self.config.split)

    @property
    def folds(self) -> range:
        """The folds that are tested."""
        return range(min(self.config.split.models, self.config.split.folds))


def train_all(bench: Bench) -> tuple[Scores, EventNetwork]:
    """Scores (N,) of every model, NaN for jets no model held out; and the first fold's network.

    A score is the log of p(quark) / p(gluon); a model saw no jet of the jet's group.
    """
    scores = {model.name: np.full(len(bench.sample), np.nan) for model in MODELS}
    first: EventNetwork | None = None
    for fold in bench.folds:
        split = bench.split(fold)
        for model in MODELS:
            weight = _weights(bench, model, split)
            if model.image is None:
                logits = _tree(bench, model.table, bench.label, weight, split, fold)
            else:
                network, device = _network(bench, model, bench.label, weight, split, fold)
                logits = predict_logits(network, bench.sample.inputs, split.test, device)
                first = network if model == NETWORK and first is None else first
            scores[model.name][split.test] = quark_score(logits)
    assert first is not None
    return scores, first


def quark_score(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) log of p(quark) / p(gluon)."""
    return logits[:, QUARK].astype(np.float64) - logits[:, GLUON]


def shuffled_scores(bench: Bench, name: str, permutation: int) -> NDArray[np.float64]:
    """Scores on the first fold's test jets of a model that learned permuted flavours."""
    settings = bench.config.evaluation
    rng = np.random.default_rng([bench.config.seed, permutation])
    split = bench.split(0)
    label = bench.label.copy()
    if name == TREE.name:
        train = np.concatenate([split.train, split.validation])
        label[train] = rng.permutation(label[train])
        weight = balanced(label, train)
        return quark_score(_tree(bench, TREE.table, label, weight, split, permutation))
    train = np.sort(rng.permutation(split.train)[: settings.control_jets])
    label[train] = rng.permutation(label[train])
    split = Split(train, split.validation[:0], split.test)
    control = Model(f"network_shuffled_{permutation}", "", image=ALL)
    update = {"epochs": settings.control_epochs, "tensorboard": False}
    network, device = _network(
        bench, control, label, balanced(label, train), split, permutation, update
    )
    # Mirror images would make it more precise, which a control need not be.
    logits = predict_logits(network, bench.sample.inputs, split.test, device, mirrors=False)
    return quark_score(logits)


def network_config(bench: Bench, model: Model) -> NetworkConfig:
    """ResNet-15 for the model's image."""
    assert model.image is not None
    images = bench.sample.inputs.images[model.image]
    return NetworkConfig(
        kind="resnet15",
        images={model.image: images.shape[0]},
        classes=2,
        stride=bench.config.network.stride,
        energies=bench.config.network.energies,
        with_kinematics=False,
    )


def apply_network(network: EventNetwork, inputs: EventInputs) -> NDArray[np.float64]:
    """Scores of the jets of another store."""
    device = next(network.parameters()).device
    return quark_score(predict_logits(network, inputs, np.arange(len(inputs)), device))


def _weights(bench: Bench, model: Model, split: Split) -> NDArray[np.float32]:
    train = np.concatenate([split.train, split.validation])
    if model.reweighted:
        return same_spectrum(bench.sample.pt, bench.sample.eta, bench.label, train)
    return balanced(bench.label, train)


def _tree(
    bench: Bench,
    table: str,
    label: NDArray[np.int64],
    weight: NDArray[np.float32],
    split: Split,
    seed: int,
) -> NDArray[np.float32]:
    features = bench.sample.inputs.tables[table]
    train = np.concatenate([split.train, split.validation])
    with threadpool_limits(torch.get_num_threads()):
        return tree_logits(
            features, label, weight, train, split.test, bench.config.tree, bench.config.seed + seed
        )


def _network(
    bench: Bench,
    model: Model,
    label: NDArray[np.int64],
    weight: NDArray[np.float32],
    split: Split,
    fold: int,
    update: Mapping[str, object] | None = None,
) -> tuple[EventNetwork, torch.device]:
    name = f"{model.name}_{fold}"
    log.info("jets: %s: %d jets to train on", name, len(split.train))
    task = TrainingTask(
        name=name,
        network=network_config(bench, model),
        training=bench.config.training.model_copy(update=update or {}),
        inputs=InputConfig(),
        train=split.train,
        validation=split.validation,
        targets=Targets({"label": label, "weight": weight}),
        seed=bench.config.seed + fold,
    )
    trainer = Trainer(task, bench.sample.inputs, bench.folder)
    return trainer.run(), trainer.device
