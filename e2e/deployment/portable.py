"""A classifier as one module: raw tensors in, logits and scores out, everything else inside."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.errors import InputError
from e2e.config import InputConfig
from e2e.inputs.augmentation import mirror_table
from e2e.inputs.events import EventInputs
from e2e.inputs.kinematics import KINEMATIC_NAMES
from e2e.inputs.sparse import SparseImages
from e2e.inputs.tabular import feature_names
from e2e.inputs.windows import IMAGE_CHANNELS
from e2e.networks import EventNetwork
from e2e.training.checkpoint import Classifier

# In phi, in z: the event itself, and its mirror images.
_VIEWS = ((False, False), (True, False), (False, True), (True, True))


def input_names(network: EventNetwork) -> tuple[str, ...]:
    """What the logits depend on; the image `hits` is for crystals' shares alone."""
    return tuple(name for name in network.needs if name != "hits")


class PortableClassifier(nn.Module):
    """Raw inputs, in the order of `names`, to (B, classes) logits and scores.

    Logarithms of energies, normalisation, unknown values and the mean over mirror images are all
    inside.

    Parameters
    ----------
    network
        In evaluation mode.
    mirrors
        Whether to average over the mirror images.
    """

    def __init__(self, network: EventNetwork, mirrors: bool = True) -> None:
        super().__init__()
        self.network = network
        self.names = input_names(network)
        self.outputs: tuple[str, ...] = ("logits", "scores")
        self.views = _VIEWS if mirrors else _VIEWS[:1]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, classes) logits, and their softmax."""
        known = [torch.nan_to_num(values) for values in inputs]
        total = self._logits(known, *self.views[0])
        for view in self.views[1:]:
            total = total + self._logits(known, *view)
        logits = total / len(self.views)
        return logits, logits.softmax(dim=1)

    def _logits(self, inputs: Sequence[Tensor], flip_phi: bool, mirror_z: bool) -> Tensor:
        seen = {}
        for name, values in zip(self.names, inputs, strict=True):
            if values.dim() > 2:
                axes = [axis for axis, chosen in ((-1, flip_phi), (-2, mirror_z)) if chosen]
                seen[name] = values.flip(axes) if axes else values
            else:
                ones = torch.ones(1, values.shape[1])
                chosen = (torch.tensor([flip_phi]), torch.tensor([mirror_z]))
                seen[name] = values * mirror_table(name, ones, *chosen)
        return self.network(seen)


def input_shapes(config: InputConfig) -> dict[str, tuple[int, ...]]:
    """Shape of an event in every input whose shape follows from the configuration alone."""
    channels, size, bins = len(IMAGE_CHANNELS), config.crop_size, config.context_bins
    return {
        "crops": (2, channels, size, size),
        "hits": (2, 1, size, size),
        "context": (2, channels, bins, bins),
        "kinematics": (len(KINEMATIC_NAMES),),
        "tabular": (len(feature_names()),),
    }


def made_up_inputs(classifier: Classifier, events: int, seed: int) -> EventInputs:
    """Random events with some filled pixels, for a check without an event store.

    Raises
    ------
    InputError
        If the classifier looks at images of the whole detector, whose shapes only a store tells.
    """
    rng, shapes = np.random.default_rng(seed), input_shapes(classifier.inputs)
    inputs = EventInputs(usable=np.ones(events, dtype=bool))
    for name in classifier.network.needs:
        if name not in shapes:
            raise InputError(name, "no such input can be made up", "give an event store: --store")
        shape = shapes[name]
        if len(shape) == 1:
            inputs.tables[name] = _table(rng, events, shape[0])
            continue
        event = np.repeat(np.arange(events), rng.poisson(30, events))
        pixel = rng.integers(0, math.prod(shape), len(event))
        value = rng.exponential(5.0, len(event))
        inputs.images[name] = SparseImages.from_entries(event, pixel, value, events, shape)
    return inputs


def _table(rng: np.random.Generator, events: int, columns: int) -> NDArray[np.float32]:
    values = rng.normal(size=(events, columns)).astype(np.float32)
    values[rng.random(events) < 0.1] = np.nan  # unknown, as without a pair
    return values


def raw_inputs(
    inputs: EventInputs, names: Sequence[str], rows: NDArray[np.integer]
) -> tuple[Tensor, ...]:
    """Tensors of some events as a user of the exported files has them: unknown values are NaN."""
    return tuple(
        inputs.images[name].dense(rows)
        if name in inputs.images
        else torch.from_numpy(inputs.tables[name][rows])
        for name in names
    )
