"""The share stage: judge the head of crystals' shares on events its classifier did not see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.progress import log
from common.runs import RunFolder
from data.store import EventStore
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.images import crop_corners
from e2e.inputs.kinematics import Pairs
from e2e.inputs.windows import COLUMNS
from e2e.labels import GAMMA_JET, HIGGS, Labels
from e2e.low_level.config import ShareConfig
from e2e.low_level.export import ShareMaps, predict_shares
from e2e.low_level.held_out import held_out
from e2e.low_level.shares import report
from e2e.low_level.shares.crystals import Crystals, Lookup, shuffled
from e2e.low_level.shares.quality import energy_resolution, share_quality
from e2e.low_level.targets import PhotonTruth, crystal_truth
from e2e.training.checkpoint import load_classifier
from e2e.training.devices import set_threads

FloatArray = NDArray[np.float64]
_WINDOW = 2  # crystals each side of the seed: the standard 5x5


@dataclass(frozen=True)
class HeldOutShares:
    """N held-out events with their crystals and what each method says of them.

    Attributes
    ----------
    crystals
        M hit crystals of their crops.
    shares
        (M,) per method, each crystal's share were the photon prompt: constant, lookup, head,
        shuffled, truth.
    prompt_shares
        (M,) per method, with the question whether it is: constant, lookup, prompt, head, shuffled.
    of_prompt
        (M,) whether a crystal is in the crop of a prompt photon.
    in_window
        (M,) whether a crystal lies in the 5x5 round its photon's seed.
    label, group, pileup
        (N,) class, parton event, simulated collisions.
    e5x5, energy
        (N, 2) standard energy sum and true energy, GeV.
    predicted
        (N, 2, S, S) the head's maps times the probability that the photon is prompt.
    """

    crystals: Crystals
    shares: dict[str, FloatArray]
    prompt_shares: dict[str, FloatArray]
    of_prompt: NDArray[np.bool_]
    in_window: NDArray[np.bool_]
    label: NDArray[np.int64]
    group: NDArray[np.int64]
    pileup: NDArray[np.int64]
    e5x5: FloatArray
    energy: FloatArray
    predicted: NDArray[np.float32]


def run(config: ShareConfig) -> Path:
    """Judge the head; returns the run folder. A complete run of the same settings is kept.

    Raises
    ------
    InputError
        If the classifier has no such head, or the store no truth of crystals.
    """
    set_threads(config.threads)
    path = config.classifier
    checkpoint = path / "classifier.pt" if path.is_dir() else path
    classifier = load_classifier(checkpoint)
    if "hits" not in classifier.network.needs:
        raise InputError(
            checkpoint, "no head of crystals' shares", "train one with `classify inputs.hits=true`"
        )
    folder = RunFolder(config.output, "share", config, [checkpoint, config.store])
    if folder.is_complete():
        log.info("share: already complete: %s", config.output)
        return folder.folder
    with EventStore(config.store) as store:
        found = _gather(config, store)
        simulation = store.simulation
    metrics = _metrics(found, config.bootstrap)
    folder.write_metrics(metrics)
    report.tables(folder, metrics)
    report.figures(folder, found, metrics, simulation)
    folder.complete()
    return folder.folder


def _gather(config: ShareConfig, store: EventStore) -> HeldOutShares:
    classifier = load_classifier(config.classifier)
    labels, pairs = Labels.read(store), Pairs.read(store)
    inputs = read_inputs(store, classifier.inputs)
    truth, photons = crystal_truth(store, classifier.inputs, "share"), PhotonTruth.read(store)
    unseen = held_out(classifier, labels.group, config.classifier)
    rows = np.flatnonzero(unseen & inputs.usable)
    rng = np.random.default_rng(config.seed)
    others = rng.permutation(np.flatnonzero(~unseen & inputs.usable))[: config.lookup_events]
    training = Crystals.read(inputs.images["hits"], truth, others)
    is_prompt = np.isfinite(photons.energy)
    of_prompt = is_prompt[others].ravel()[training.photon]
    lookups = {"any": Lookup(training), "prompt": Lookup(training.take(of_prompt))}
    crystals = Crystals.read(inputs.images["hits"], truth, rows)
    maps = predict_shares(classifier.network, inputs.take(rows, classifier.network.needs))
    shares, prompt_shares = _estimates(crystals, maps, lookups, rng)
    corners = crop_corners(pairs, classifier.inputs)[rows]
    return HeldOutShares(
        crystals, shares, prompt_shares, is_prompt[rows].ravel()[crystals.photon],
        _in_window(crystals, corners, pairs.seed[rows]), labels.label[rows], labels.group[rows],
        photons.pileup[rows], pairs.e5x5[rows], photons.energy[rows],
        maps.share * maps.prompt[:, :, None, None],
    )  # fmt: skip


def _estimates(
    crystals: Crystals, maps: ShareMaps, lookups: dict[str, Lookup], rng: np.random.Generator
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Shares were the photons prompt, and shares of prompt photons, per method."""
    head = crystals.at(maps.share)
    prompt = maps.prompt.ravel()[crystals.photon].astype(np.float64)
    one = np.ones(len(head))
    given = {
        "constant": one * lookups["prompt"].mean,
        "lookup": lookups["prompt"].predict(crystals),
        "head": head,
        "shuffled": shuffled(crystals, head, rng),
        "truth": crystals.share,
    }
    asked = {
        "constant": one * lookups["any"].mean,
        "lookup": lookups["any"].predict(crystals),
        "prompt": prompt,
        "head": head * prompt,
        "shuffled": given["shuffled"] * prompt,
    }
    return given, asked


def _in_window(
    crystals: Crystals, corners: NDArray[np.integer], seed: NDArray[np.integer]
) -> NDArray[np.bool_]:
    photon = crystals.photon
    corner, cell = corners.reshape(-1, 2)[photon].astype(np.int64), seed.ravel()[photon]
    du = corner[:, 0] + crystals.row - cell // COLUMNS
    dv = corner[:, 1] + crystals.column - cell % COLUMNS
    dv = (dv + COLUMNS // 2) % COLUMNS - COLUMNS // 2
    return (np.abs(du) <= _WINDOW) & (np.abs(dv) <= _WINDOW)


def _metrics(found: HeldOutShares, replicas: int) -> dict[str, Any]:
    """Quality of the shares per class and pile-up; energies of the photons of H→γγ."""
    busy = found.pileup > np.median(found.pileup)
    higgs = found.label == HIGGS
    subsets = {
        "H→γγ": higgs,
        "H→γγ, low pile-up": higgs & ~busy,
        "H→γγ, high pile-up": higgs & busy,
    }
    everything = {"all": np.ones(len(busy), dtype=bool), "γ+jet": found.label == GAMMA_JET}
    crystals, keep = found.crystals, found.of_prompt
    prompt = crystals.take(keep)
    judged = {name: share[keep] for name, share in found.shares.items() if name != "truth"}
    return {
        "given_prompt": {
            subset: share_quality(prompt, judged, found.group, events, replicas)
            for subset, events in subsets.items()
        },
        "all_photons": {
            subset: share_quality(crystals, found.prompt_shares, found.group, events, replicas)
            for subset, events in everything.items()
        },
        "energy": {
            subset: _energies(found, events, replicas) for subset, events in subsets.items()
        },
        "events": {name: int(events.sum()) for name, events in (subsets | everything).items()},
        "median_pileup": float(np.median(found.pileup)),
    }


def photon_energies(found: HeldOutShares) -> dict[str, FloatArray]:
    """(2 N,) energy per way to sum it; the standard 5x5 first."""
    crystals, n = found.crystals, len(found.label)
    hit, inside = crystals.hit, found.in_window
    return {
        "standard 5x5": found.e5x5.ravel(),
        "all hits of the crop": crystals.photon_sums(hit, n),
        "lookup x hit, crop": crystals.photon_sums(found.shares["lookup"] * hit, n),
        "head x hit, crop": crystals.photon_sums(found.shares["head"] * hit, n),
        "head x hit, 5x5": crystals.photon_sums(found.shares["head"] * hit * inside, n),
        "shuffled head x hit, crop": crystals.photon_sums(found.shares["shuffled"] * hit, n),
        "true share x hit, crop": crystals.photon_sums(found.shares["truth"] * hit, n),
        "true share x hit, 5x5": crystals.photon_sums(found.shares["truth"] * hit * inside, n),
    }


def _energies(
    found: HeldOutShares, events: NDArray[np.bool_], replicas: int
) -> dict[str, dict[str, Any]]:
    used = np.repeat(events, 2) & np.isfinite(found.energy.ravel())
    sums = {name: values[used] for name, values in photon_energies(found).items()}
    group = np.repeat(found.group, 2)[used]
    truth = found.energy.ravel()[used]
    return energy_resolution(sums, truth, group, "lookup x hit, crop", replicas)
