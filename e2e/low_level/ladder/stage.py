"""The ladder stage: what each kind of low-level output adds for energy and position."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.metrics import bootstrap, relative_sigma_eff, sigma_eff
from common.progress import log, progress
from common.runs import RunFolder
from data.store import EventStore
from e2e.labels import HIGGS
from e2e.low_level.config import LadderConfig
from e2e.low_level.ladder import report
from e2e.low_level.ladder.blocks import PhotonBlocks, read_blocks
from e2e.low_level.regression import fold_of, train
from e2e.training.checkpoint import load_classifier
from e2e.training.devices import set_threads

FloatArray = NDArray[np.float64]
_WIDE = 64  # columns of a block above which its principal components are taken instead
_COMPONENTS = 32
_CLIP = 6.0  # spreads
_PERCENT, _MILLI = 100.0, 1000.0
STANDARD, CONTROL = "standard 5x5", "control: outputs of other photons"
_PEER = "shower shapes"  # the last block that is not a low-level output


@dataclass(frozen=True)
class _Distance:
    """Errors that count as one, and their weights: the resolutions are of this size."""

    scales: tuple[float, float, float] = (0.02, 0.03, 0.08)
    weights: tuple[float, float, float] = (1.0, 0.5, 0.5)
    cap: float = 6.0


def run(config: LadderConfig) -> Path:
    """Train and compare; returns the run folder. A complete run of the same settings is kept.

    Raises
    ------
    InputError
        If the classifier has no outputs per photon, or the store no truth.
    """
    set_threads(config.threads)
    path = config.classifier
    checkpoint = path / "classifier.pt" if path.is_dir() else path
    classifier = load_classifier(checkpoint)
    folder = RunFolder(config.output, "ladder", config, [checkpoint, config.store])
    if folder.is_complete():
        log.info("ladder: already complete: %s", config.output)
        return folder.folder
    with EventStore(config.store) as store:
        photons = read_blocks(store, classifier, checkpoint)
        simulation = store.simulation
    folder.log.info("ladder: %d prompt photons", len(photons.target))
    metrics = _metrics(photons, _predictions(photons, config), config)
    folder.write_metrics(metrics)
    report.table(folder, metrics)
    report.figure(folder, metrics, simulation)
    folder.complete()
    return folder.folder


def _predictions(photons: PhotonBlocks, config: LadderConfig) -> dict[str, FloatArray]:
    """(n, 3) corrections out of fold per step: each step knows its block and all before."""
    fold = fold_of(photons.group, config.regression.folds, config.seed)
    names = list(photons.blocks)
    steps = {f"+ {name}" if i else name: names[: i + 1] for i, name in enumerate(names)}
    found = {
        title: _out_of_fold([photons.blocks[n] for n in chosen], photons, fold, config)
        for title, chosen in progress(steps.items(), len(steps), "regressions", "step")
    }
    # The classifier's outputs of another photon, drawn among those of the same class.
    others = _permuted(photons.label, np.random.default_rng(config.seed))
    known = names[: names.index(_PEER) + 1]
    mixed = [photons.blocks[n] if n in known else photons.blocks[n][others] for n in names]
    found[CONTROL] = _out_of_fold(mixed, photons, fold, config)
    return found


def _permuted(label: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    rows = np.arange(len(label))
    for value in np.unique(label):
        members = np.flatnonzero(label == value)
        rows[members] = rng.permutation(members)
    return rows


def _out_of_fold(
    blocks: list[FloatArray],
    photons: PhotonBlocks,
    fold: NDArray[np.int64],
    config: LadderConfig,
) -> FloatArray:
    predicted = np.zeros_like(photons.target)
    for held_out in range(config.regression.folds):
        rows, tested = fold != held_out, fold == held_out
        features = np.concatenate([_standardised(block, rows) for block in blocks], axis=1)
        target = photons.target[rows].astype(np.float32)
        for network in range(config.networks):
            seed = config.seed + 1000 * held_out + network
            found = train(features[rows], target, _Distance(), config.regression, seed)
            predicted[tested] += found.predict(features[tested]) / config.networks
    return predicted


def _standardised(block: FloatArray, train_rows: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Centred and scaled by the training rows; a wide block as its principal components.

    Components share one scale, so that those of little variance, mostly noise, stay small.
    """
    block = np.nan_to_num(block)
    known = block[train_rows]
    block = block - known.mean(axis=0)
    spread = np.maximum(known.std(axis=0), 1e-6)
    if block.shape[1] > _WIDE:
        variances, vectors = np.linalg.eigh(np.cov(known, rowvar=False))
        block = block @ vectors[:, ::-1][:, :_COMPONENTS]
        spread = np.sqrt(variances[-_COMPONENTS:].mean() + 1e-12)
    return (block / spread).clip(-_CLIP, _CLIP).astype(np.float32)


def _metrics(
    photons: PhotonBlocks, predictions: dict[str, FloatArray], config: LadderConfig
) -> dict[str, Any]:
    """Resolutions on photons of H→γγ per step, and paired differences to the step before.

    The first step is compared with the standard reconstruction, the control with the peer.
    """
    higgs = np.flatnonzero(photons.label == HIGGS)
    every = {STANDARD: np.zeros_like(photons.target), **predictions}
    left = np.stack([(every[name] - photons.target)[higgs] for name in every], axis=1)
    names = list(every)
    before = [max(i - 1, 0) for i in range(len(names))]
    before[names.index(CONTROL)] = names.index(f"+ {_PEER}")

    def statistic(some: FloatArray) -> FloatArray:
        """(2, steps, 3) resolutions, and differences to the step before."""
        found = np.array([_resolutions(some[:, i]) for i in range(len(names))])
        return np.stack([found, found - found[before]])

    value = statistic(left)
    error = bootstrap(statistic, left, groups=photons.group[higgs], n=config.bootstrap)
    sizes = np.cumsum([block.shape[1] for block in photons.blocks.values()]).tolist()
    columns = dict(zip(names, [0, *sizes, sizes[-1]], strict=True))
    return {
        "steps": {
            name: {
                "columns": columns[name],
                **{
                    quantity: {
                        "value": value[0, i, k],
                        "error": error[0, i, k],
                        "difference": value[1, i, k],
                        "difference_error": error[1, i, k],
                    }
                    for k, quantity in enumerate(("energy", "u", "v"))
                },
            }
            for i, name in enumerate(names)
        },
        "photons": {"all": len(photons.target), "higgs": len(higgs)},
    }


def _resolutions(left: FloatArray) -> FloatArray:
    """Relative sigma_eff of the energy in per cent, sigma_eff of u and v in crystals / 1000."""
    return np.array(
        [
            _PERCENT * relative_sigma_eff(np.exp(left[:, 0])),
            _MILLI * sigma_eff(left[:, 1]),
            _MILLI * sigma_eff(left[:, 2]),
        ]
    )
