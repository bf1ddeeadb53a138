"""What is known of photons, block by block: the more of a classifier's outputs, the later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from data.crops import CROP, photon_crops
from data.detector.edges import edge_distances
from data.detector.geometry import eb_eta_phi
from data.store import EventStore
from e2e.inputs.diphoton import read_inputs
from e2e.inputs.images import crop_corners, half_window, read_windows
from e2e.inputs.kinematics import Pairs
from e2e.inputs.tabular import isolation, shower_shapes
from e2e.inputs.windows import COLUMNS, WindowHits
from e2e.low_level.export import predict_shares
from e2e.low_level.held_out import held_out
from e2e.low_level.targets import PhotonTruth
from e2e.training.checkpoint import Classifier
from e2e.training.prediction import predict_features

FloatArray = NDArray[np.float64]

_CHUNK = 2000  # events whose hits are in memory at a time
_REFERENCE_ENERGY = 60.0  # GeV
_SHARE = 200.0  # 1 per cent of the photon's energy is then 1.1 on a logarithmic scale
_WINDOW = 2  # crystals each side of the seed: the standard 5x5


@dataclass(frozen=True)
class PhotonBlocks:
    """n prompt photons that a classifier was not trained on.

    Attributes
    ----------
    blocks
        (n, columns) features by name, in the order in which they are added; NaN where unknown.
    target
        (n, 3) log(E_true / e5x5), and true minus standard u and v in crystals.
    label, group
        (n,) class and parton event.
    """

    blocks: dict[str, FloatArray]
    target: FloatArray
    label: NDArray[np.int64]
    group: NDArray[np.int64]


def read_blocks(store: EventStore, classifier: Classifier, path: Path) -> PhotonBlocks:
    """Gather the blocks of all prompt photons that the classifier at `path` did not see.

    Raises
    ------
    InputError
        If there are none, or the store has no truth.
    """
    pairs, truth = Pairs.read(store), PhotonTruth.read(store)
    group = store.event("group").astype(np.int64)
    known = np.isfinite(truth.energy) & (pairs.seed >= 0)
    unseen = held_out(classifier, group, path)[:, None] & pairs.complete[:, None]
    event, slot = np.nonzero(known & unseen)
    if len(event) == 0:
        raise InputError(
            store.path, "no prompt photons that this classifier did not see", "use more events"
        )
    dv = (truth.v - pairs.v + COLUMNS / 2) % COLUMNS - COLUMNS / 2
    target = np.stack([np.log(truth.energy / pairs.e5x5), truth.u - pairs.u, dv], axis=2)
    parts = []
    for start in range(0, len(store), _CHUNK):
        mine = (event >= start) & (event < start + _CHUNK)
        if mine.any():
            parts.append(_chunk(store, classifier, pairs, start, event[mine] - start, slot[mine]))
    blocks = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return PhotonBlocks(
        blocks, target[event, slot], store.event("label").astype(np.int64)[event], group[event]
    )


def _chunk(
    store: EventStore,
    classifier: Classifier,
    every: Pairs,
    start: int,
    event: NDArray[np.int64],
    slot: NDArray[np.int64],
) -> dict[str, FloatArray]:
    """Blocks of photons (event, slot) of the events from `start`."""
    pairs = every.rows(start, start + _CHUNK)
    stop = start + len(pairs)
    inputs = read_inputs(store, classifier.inputs, start, stop)
    rows, index = np.unique(event, return_inverse=True)
    features = list(predict_features(classifier.network, inputs, rows, mirrors=False))

    def output(name: str) -> FloatArray:
        values = np.concatenate([getattr(found, name).cpu().numpy() for _, found, _ in features])
        return values[index, slot].reshape(len(event), -1).astype(np.float64)

    crop = photon_crops(store.hits("EB", start, stop), event, pairs.seed[event, slot])
    e5x5 = pairs.e5x5[event, slot]
    windows = read_windows(store, pairs, classifier.inputs, start, stop)
    blocks = {
        "kinematics": _kinematics(pairs, event, slot),
        "shower shapes": _shapes(windows, pairs, classifier)[2 * event + slot],
        "embedding": output("embedding"),
        "feature map": output("feature_map"),
        "crystals": np.log1p(_SHARE * crop / e5x5[:, None, None]).reshape(len(event), CROP**2),
    }
    if "hits" in classifier.network.needs:
        shares = predict_shares(classifier.network, inputs.take(rows, classifier.network.needs))
        hits = inputs.images["hits"].dense(rows).numpy()[:, :, 0]
        corners = crop_corners(pairs, classifier.inputs)[event, slot].astype(np.int64)
        offset = _seed_in_crop(corners, pairs.seed[event, slot])
        mine = shares.share[index, slot] * hits[index, slot] / e5x5[:, None, None]
        blocks["share map"] = _share_block(mine.astype(np.float64), offset)
    return blocks


def _kinematics(pairs: Pairs, event: NDArray[np.int64], slot: NDArray[np.int64]) -> FloatArray:
    """Energy and place; what a classical correction of gaps would use."""
    u, v, seed = (getattr(pairs, name)[event, slot] for name in ("u", "v", "seed"))
    eta, _ = eb_eta_phi(u, v)
    du, dv = edge_distances(u, v)
    offset_v = (v - seed % COLUMNS - 0.5 + COLUMNS / 2) % COLUMNS - COLUMNS / 2
    columns = [
        np.log(pairs.e5x5[event, slot] / _REFERENCE_ENERGY), eta, np.abs(eta),
        u - seed // COLUMNS - 0.5, offset_v,
        np.exp(-np.abs(du)), np.sign(du) * np.exp(-np.abs(du)),
        np.exp(-np.abs(dv)), np.sign(dv) * np.exp(-np.abs(dv)),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def _shapes(windows: dict[str, WindowHits], pairs: Pairs, classifier: Classifier) -> FloatArray:
    """(2 N, 33) shower shapes and isolation from hits as they are, neither scaled nor cut."""
    spread = {name: hits.spread(half_window(classifier.inputs)) for name, hits in windows.items()}
    n = 2 * len(pairs)
    return np.concatenate([shower_shapes(spread, n), np.log1p(isolation(spread, n))], axis=1)


def _seed_in_crop(corner: NDArray[np.int64], seed: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n, 2) row and column of the seed crystal in each crop."""
    column = (seed % COLUMNS - corner[:, 1] + COLUMNS // 2) % COLUMNS - COLUMNS // 2
    return np.stack([seed // COLUMNS - corner[:, 0], column], axis=1)


def _share_block(energy: FloatArray, seed: NDArray[np.int64]) -> FloatArray:
    """(n, 3 + S * S) share times hit over e5x5: sums over 5x5 and crop, spread, and the map."""
    n, size = len(energy), energy.shape[1]
    steps = np.arange(size)
    near = [np.abs(steps[None, :] - seed[:, axis, None]) <= _WINDOW for axis in (0, 1)]
    inside = (energy * near[0][:, :, None] * near[1][:, None, :]).sum(axis=(1, 2))
    total = energy.sum(axis=(1, 2))
    sums = np.log(np.maximum(np.stack([inside, total], axis=1), 1e-3))
    maps = np.log1p(_SHARE * energy).reshape(n, -1)
    return np.concatenate([sums, (inside / np.maximum(total, 1e-3))[:, None], maps], axis=1)
