"""Networks applied to events, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.timing import spent
from e2e.inputs.augmentation import mirror
from e2e.inputs.events import EventInputs
from e2e.networks import EventNetwork, Features

_BATCH = 512
_MIRRORED = ((True, False), (False, True), (True, True))  # in phi, in z


@torch.no_grad()
def predict_features(
    network: EventNetwork,
    inputs: EventInputs,
    rows: NDArray[np.integer],
    device: torch.device | str = "cpu",
    mirrors: bool = True,
) -> Iterator[tuple[NDArray[np.integer], Features, NDArray[np.float32]]]:
    """Yield (rows, features, logits) batch by batch, in float32 and evaluation mode.

    With `mirrors` the logits are the mean over the event and its three mirror images, so that
    they respect the detector's symmetry; features are always the event's own.
    """
    network.eval()
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        with spent("dense images"):
            batch = inputs.batch(some, network.needs, device)
        with spent("network"):
            features = network.forward_features(batch)
            logits = network.forward_head(features)
            if mirrors:
                logits = (logits + _mirrored_sum(network, batch)) / (1 + len(_MIRRORED))
            found = logits.cpu().numpy()
        yield some, features, found


def predict_logits(
    network: EventNetwork,
    inputs: EventInputs,
    rows: NDArray[np.integer],
    device: torch.device | str = "cpu",
    mirrors: bool = True,
) -> NDArray[np.float32]:
    """(len(rows), 3) logits."""
    found = predict_features(network, inputs, rows, device, mirrors)
    parts = [logits for _, _, logits in found]
    return np.concatenate(parts) if parts else np.zeros((0, 3), dtype=np.float32)


def _mirrored_sum(network: EventNetwork, batch: Mapping[str, Tensor]) -> Tensor:
    some = next(iter(batch.values()))
    every = torch.ones(len(some), dtype=torch.bool, device=some.device)
    total = torch.zeros(1, device=some.device)
    for flip_phi, mirror_z in _MIRRORED:
        total = total + network(mirror(dict(batch), every & flip_phi, every & mirror_z))
    return total
