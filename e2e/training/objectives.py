"""What a network is trained to do: a loss on its outputs, and what its validation says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from common.metrics import auc
from e2e.evaluation.scores import PAIRS, binary_score
from e2e.networks.base import EventNetwork

if TYPE_CHECKING:
    from e2e.config import TrainingConfig


class Objective(nn.Module):
    """Base of what can be optimised; one batch to one loss.

    Attributes
    ----------
    network
        The network in training.
    config
        Training configuration.
    """

    network: EventNetwork

    def __init__(self, network: EventNetwork, config: TrainingConfig) -> None:
        super().__init__()
        self.network, self.config = network, config

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        target_images: Mapping[str, Tensor],
    ) -> Tensor:
        """The batch's loss, a scalar in float32; called under autocast."""
        raise NotImplementedError

    def validate(
        self, outputs: NDArray[np.float32], targets: Mapping[str, NDArray]
    ) -> dict[str, float]:
        """Figures of merit of the network's outputs on the validation rows."""
        raise NotImplementedError


class Classification(Objective):
    """Cross entropy of classes, each event with its weight; targets `label` and `weight`.

    Where `prompt` (B, 2) is among the targets and the network has such a head, an auxiliary loss
    asks whether each photon is prompt; NaN is unknown.
    """

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        target_images: Mapping[str, Tensor],
    ) -> Tensor:
        """Weighted mean over the batch."""
        features = self.network.forward_features(inputs)
        logits = self.network.forward_head(features)
        prompt_logits = self.network.forward_prompt(features)
        losses = functional.cross_entropy(
            logits.float(),
            targets["label"],
            reduction="none",
            label_smoothing=self.config.label_smoothing,
        )
        if prompt_logits is not None and self.config.prompt_loss > 0 and "prompt" in targets:
            losses = losses + self.config.prompt_loss * prompt_losses(
                prompt_logits, targets["prompt"]
            )
        return (losses * targets["weight"]).mean()

    def validate(
        self, outputs: NDArray[np.float32], targets: Mapping[str, NDArray]
    ) -> dict[str, float]:
        """Cross entropy, and the AUC of every pair of classes that is there."""
        label = targets["label"]
        loss = functional.cross_entropy(torch.from_numpy(outputs), torch.from_numpy(label))
        found = {"validation_loss": float(loss)}
        pairs = PAIRS if outputs.shape[1] == 3 else {"signal_background": (1, 0)}
        for name, (signal, background) in pairs.items():
            used = (label == signal) | (label == background)
            score = binary_score(outputs[used], signal, background)
            found[f"auc_{name}"] = auc(score, label[used] == signal)
        return found


def prompt_losses(logits: Tensor, prompt: Tensor) -> Tensor:
    """(B,) mean over the photons whose origin is known."""
    known = torch.isfinite(prompt)
    losses = functional.binary_cross_entropy_with_logits(
        logits.float(), torch.where(known, prompt, 0.0), reduction="none"
    )
    return (losses * known).mean(dim=1)


OBJECTIVES: dict[str, type[Objective]] = {"classification": Classification}
