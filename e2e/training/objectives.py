"""What a network is trained to do: a loss on its outputs, and what its validation says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from common.errors import ConfigError
from common.metrics import auc
from e2e.evaluation.scores import PAIRS, binary_score
from e2e.labels import HIGGS
from e2e.networks.base import EventNetwork
from e2e.training.distance_correlation import squared_distance_correlation

if TYPE_CHECKING:
    from e2e.config import TrainingConfig


_PAIRWISE_ROWS = 2000  # of which a distance correlation is made in a validation


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

    Further losses are added where the targets for them are there, each with its weight in the
    training configuration:

    * `prompt` (B, 2): is each photon prompt? NaN is unknown; needs a network with such a head.
    * image `share` (B, 2, 1, S, S) with table `share_known` (B,): which part of each crystal's
      energy is of prompt photons, learned round prompt photons; needs a network with such a head,
      which sees the image `hits`.
    * `mass` (B,) in GeV, if `decorrelation` is `disco`: the squared distance correlation of the
      Higgs score and m_gg over the background.
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
        loss = (losses * targets["weight"]).mean()
        share_logits = self.network.forward_share(features, inputs)
        if share_logits is not None and self.config.share_loss > 0 and "share" in target_images:
            known = targets["share_known"][:, None] & (targets["prompt"] > 0)  # NaN is not
            shares = share_loss(share_logits, target_images["share"], inputs["hits"], known)
            loss = loss + self.config.share_loss * shares
        if self.config.decorrelation == "disco":
            loss = loss + self.config.decorrelation_weight * mass_penalty(logits, targets)
        return loss

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
        if "mass" in targets:
            some = slice(_PAIRWISE_ROWS)  # its cost grows as the square
            tensors = {n: torch.from_numpy(targets[n][some]) for n in ("label", "weight", "mass")}
            found["mass_correlation"] = float(
                mass_penalty(torch.from_numpy(outputs[some]), tensors)
            )
        return found


def prompt_losses(logits: Tensor, prompt: Tensor) -> Tensor:
    """(B,) mean over the photons whose origin is known."""
    known = torch.isfinite(prompt)
    losses = functional.binary_cross_entropy_with_logits(
        logits.float(), torch.where(known, prompt, 0.0), reduction="none"
    )
    return (losses * known).mean(dim=1)


def share_loss(logits: Tensor, share: Tensor, hits: Tensor, known: Tensor) -> Tensor:
    """Binary cross entropy of crystals' shares, each crystal weighted by its energy.

    Parameters
    ----------
    logits, share, hits
        (B, 2, 1, S, S): prediction; true share of prompt photons; energy of the rechit in GeV, 0
        for none.
    known
        (B, 2) whether a photon's shares are known and it is prompt. Round a fake all are 0: to
        tell fakes is left to the prompt logit, so that a share says nothing of it.
    """
    losses = functional.binary_cross_entropy_with_logits(logits.float(), share, reduction="none")
    energy = hits * known.float()[:, :, None, None, None]
    return (losses * energy).sum() / energy.sum().clamp(min=1e-6)


def mass_penalty(logits: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
    """Squared distance correlation of the Higgs score and m_gg over the weighted background.

    Raises
    ------
    ConfigError
        If the targets hold no mass.
    """
    if "mass" not in targets:
        raise ConfigError("training.decorrelation=disco: this training is given no mass")
    used = (targets["label"] != HIGGS) & torch.isfinite(targets["mass"])
    score = logits.float().softmax(dim=1)[used, HIGGS]
    # A batch's background is few events: without the correction the penalty would mostly act on
    # how the score is spread.
    return squared_distance_correlation(
        score, targets["mass"][used], targets["weight"][used], without_bias=True
    )


OBJECTIVES: dict[str, type[Objective]] = {"classification": Classification}
