"""The classifier's low-level outputs for any event store; see `docs/low_level_outputs.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path, sha256
from common.progress import log, progress
from common.timing import Stopwatch, spent
from data.crops import photon_crops
from data.store import EventStore
from data.store.schema import append, dataset_options
from e2e.evaluation.scores import PAIRS, softmax
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.events import EventInputs
from e2e.inputs.images import crop_corners
from e2e.inputs.kinematics import Pairs
from e2e.low_level.attribution.gradients import integrated_gradients
from e2e.low_level.config import AttributionSettings, LowLevelConfig, Part
from e2e.networks import EventNetwork
from e2e.training.checkpoint import Classifier, load_classifier
from e2e.training.devices import set_threads
from e2e.training.prediction import predict_features

SCHEMA = "e2e-low-level-outputs"
SCHEMA_VERSION = 1
_CHUNK = 1024
_BATCH = 256
_IDENTIFIERS = {"run": "u4", "lumi": "u4", "event": "u8", "label": "i1"}


def run(config: LowLevelConfig) -> Path:
    """The `low_level` stage; returns the file.

    Raises
    ------
    InputError
        If classifier or store cannot be used, or a part is wanted that this classifier lacks.
    """
    set_threads(config.threads)
    path = export_low_level(
        config.classifier, config.store, config.output, config.parts, config.attribution
    )
    log.info("low_level: %s", path)
    return path


def export_low_level(
    checkpoint: str | Path,
    store_path: str | Path,
    output: str | Path,
    parts: Sequence[Part] = (),
    attribution: AttributionSettings | None = None,
) -> Path:
    """Apply a classifier to every event of a store and write what it knows of each photon.

    Row i belongs to row i of the store. Events without a pair of standard photons have NaN
    logits and scores; a photon that is absent has NaN throughout. Needs neither truth nor labels.

    Parameters
    ----------
    checkpoint
        A `classifier.pt`, or the run folder that holds it.
    store_path
        Event store to read.
    output
        HDF5 file to write, atomically.
    parts
        What to write of each photon; by default all but attributions, which take long.
    attribution
        How attributions are made, where they are among the parts.

    Raises
    ------
    InputError
        If either file cannot be used, or the classifier does not look at photons one by one, or
        has no head of shares where these are wanted.
    """
    classifier = load_classifier(checkpoint)
    chosen = _parts(classifier, checkpoint, parts)
    settings = attribution or AttributionSettings()
    with (
        EventStore(store_path) as store,
        atomic_path(output) as temporary,
        h5py.File(temporary, "w") as file,
        Stopwatch() as watch,
    ):
        starts = range(0, len(store), _CHUNK)
        for start in progress(starts, desc="low-level outputs", unit="chunk"):
            stop = min(start + _CHUNK, len(store))
            columns = _chunk(classifier, store, start, stop, chosen, settings)
            with spent("writing"):
                _write(file, columns)
        events = len(store)
        file.attrs["schema"] = SCHEMA
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["checkpoint_sha256"] = classifier.sha256
        file.attrs["store_fingerprint"] = sha256(store_path)
        file.attrs["class_names"] = list(classifier.class_names)
        file.attrs["inputs"] = classifier.inputs.model_dump_json()
        absent = [name for name in ("EB", "HBHE", "TRK") if name not in store.channels]
        file.attrs["missing_channels"] = ",".join(absent)
        if "attribution" in chosen:
            file.attrs["attribution"] = settings.model_dump_json()
    log.info("low-level outputs: %s", watch.summary(events))
    return Path(output)


def _parts(
    classifier: Classifier, checkpoint: str | Path, parts: Sequence[Part]
) -> tuple[Part, ...]:
    if "crops" not in classifier.network.needs:
        raise InputError(
            checkpoint, "this classifier has no outputs per photon", "train network.kind=diphoton"
        )
    has_shares = "hits" in classifier.network.needs
    if "share" in parts and not has_shares:
        raise InputError(
            checkpoint,
            "this classifier has no head of crystals' shares",
            "train one with inputs.hits=true on a store with truth of crystals",
        )
    default: tuple[Part, ...] = ("embedding", "feature_map", "crop")
    return tuple(parts) or (*default, *(("share",) if has_shares else ()))


def _chunk(
    classifier: Classifier,
    store: EventStore,
    start: int,
    stop: int,
    parts: Sequence[Part],
    settings: AttributionSettings,
) -> dict[str, NDArray]:
    """Every dataset's rows for the events start:stop."""
    network = classifier.network
    with spent("making inputs"):
        inputs = read_inputs(store, classifier.inputs, start, stop)
    seed = store.clusters("seed")[start:stop]
    columns: dict[str, NDArray] = {
        f"event/{name}": store.event(name)[start:stop].astype(dtype)
        for name, dtype in _IDENTIFIERS.items()
    }
    found = list(predict_features(network, inputs, np.arange(stop - start)))
    logits = np.concatenate([values for _, _, values in found])
    logits[~inputs.usable] = np.nan
    columns["logits"] = logits
    columns["scores"] = softmax(logits).astype(np.float32)
    types: dict[Part, type] = {"embedding": np.float32, "feature_map": np.float16}
    for name, dtype in types.items():
        if name in parts:
            values = np.concatenate([getattr(features, name).numpy() for _, features, _ in found])
            columns[f"photons/{name}"] = _without_absent(values.astype(dtype), seed)
    if "crop" in parts:
        columns["photons/crop"] = _shape_crops(store, seed, start, stop)
    if "share" in parts:
        maps = predict_shares(network, inputs)
        columns["photons/share"] = _without_absent(maps.share.astype(np.float16), seed)
        columns["photons/prompt"] = _without_absent(maps.prompt, seed)
    if "attribution" in parts:
        attributions = _attributions(classifier, inputs, settings)
        columns["photons/attribution"] = _without_absent(attributions, seed)
    if "share" in parts or "attribution" in parts:
        corners = crop_corners(Pairs.read(store).rows(start, stop), classifier.inputs)
        corners[seed < 0] = -1
        columns["photons/first_crystal"] = corners
    return columns


class ShareMaps(NamedTuple):
    """What the head of crystals' shares says of N events.

    Attributes
    ----------
    share
        (N, 2, S, S) part of each crystal's energy that is of the photon, if it is a prompt one;
        0 where the crystal has no hit.
    prompt
        (N, 2) probability that it is.
    """

    share: NDArray[np.float32]
    prompt: NDArray[np.float32]


@torch.no_grad()
def predict_shares(network: EventNetwork, inputs: EventInputs) -> ShareMaps:
    """Shares and probabilities for every event of the inputs."""
    size = inputs.images["hits"].shape[-1]
    maps = np.zeros((len(inputs), 2, size, size), dtype=np.float32)
    probability = np.zeros((len(inputs), 2), dtype=np.float32)
    for start in range(0, len(inputs), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(inputs)))
        with spent("dense images"):
            batch = inputs.batch(rows, network.needs)
        with spent("network"):
            features = network.forward_features(batch)
            shares = network.forward_share(features, batch)
            prompt = network.forward_prompt(features)
        assert shares is not None
        assert prompt is not None
        maps[rows] = (shares.sigmoid() * (batch["hits"] > 0)).squeeze(2).numpy()
        probability[rows] = prompt.sigmoid().numpy()
    return ShareMaps(maps, probability)


def _attributions(
    classifier: Classifier, inputs: EventInputs, settings: AttributionSettings
) -> NDArray[np.float16]:
    """(n, 2, 3, S, S) integrated gradients of the crops."""
    signal, background = PAIRS[settings.pair]
    parts = []
    for start in range(0, len(inputs), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(inputs)))
        batch = inputs.batch(rows, classifier.network.needs)
        found = integrated_gradients(classifier.network, batch, signal, background, settings.steps)
        parts.append(found.images["crops"].numpy().astype(np.float16))
    return np.concatenate(parts)


def _shape_crops(store: EventStore, seed: NDArray, start: int, stop: int) -> NDArray[np.float16]:
    """(n, 2, 11, 11) ECAL energies round each seed over the photon's own 5x5 sum, uncut."""
    event = np.repeat(np.arange(stop - start), 2)
    crops = photon_crops(store.hits("EB", start, stop), event, seed.ravel())
    sums = store.clusters("e5x5")[start:stop].reshape(-1, 1, 1)
    with np.errstate(invalid="ignore"):
        shape = (crops / sums).reshape(-1, 2, *crops.shape[1:])
    return _without_absent(shape.astype(np.float16), seed)


def _without_absent(values: NDArray, seed: NDArray) -> NDArray:
    values[seed < 0] = np.nan
    return values


def _write(file: h5py.File, columns: dict[str, NDArray]) -> None:
    for name, rows in columns.items():
        if name not in file:
            # A chunk of some 256 kB, whatever a row weighs.
            weight = max(int(rows.dtype.itemsize * np.prod(rows.shape[1:], dtype=np.int64)), 1)
            chunk = int(np.clip(262144 // weight, 16, 4096))
            file.create_dataset(name, dtype=rows.dtype, **dataset_options(chunk, rows.shape[1:]))
        append(file[name], rows)


def read_low_level(
    path: str | Path, names: tuple[str, ...] = ("photons/embedding", "photons/feature_map")
) -> Iterator[tuple[str, NDArray]]:
    """Yield (name, array) of the wanted datasets.

    Raises
    ------
    InputError
        If the file is missing, damaged, or holds something else.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("schema") != SCHEMA:
                raise InputError(path, "not a file of low-level outputs", "make one with classify")
            for name in names:
                if name not in file:
                    raise InputError(path, f"no dataset {name}", "make the file again")
                yield name, file[name][...]
    except OSError as error:
        raise InputError(path, f"cannot be read ({error})", "make it again") from error
