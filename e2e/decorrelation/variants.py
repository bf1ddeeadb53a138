"""What is compared: inputs, model, and whether a penalty keeps the score from the mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from e2e.config import ClassifyConfig, InputConfig
from e2e.decorrelation.config import DecorrelateConfig

REFERENCE = "scaled"  # the default of `classify`: scaled images with the cut
Inputs = Literal["scaled", "raw", "mass"]
_TITLES: dict[Inputs, str] = {
    "scaled": "scaled and cut",
    "raw": "raw images",
    "mass": "raw images and m_gg",
}


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes
    ----------
    model
        network or tree.
    inputs
        scaled: mass-blind; raw: images in GeV, uncut, with mass-blind kinematics; mass: m_gg too.
    weight
        Of the penalty on the distance correlation of score and m_gg; 0 for none.
    """

    model: str
    inputs: Inputs
    weight: float = 0.0

    @property
    def name(self) -> str:
        """Of its files and metrics."""
        name = self.inputs if self.model == "network" else f"{self.model}_{self.inputs}"
        return name + (f"_disco_{self.weight:g}" if self.weight else "")

    @property
    def title(self) -> str:
        """For tables and figures."""
        seen = _TITLES[self.inputs]
        if self.model == "tree":
            seen = seen.replace("raw images", "raw shapes")
        return f"{self.model}, {seen}" + (f", DisCo {self.weight:g}" if self.weight else "")


def variants(config: DecorrelateConfig) -> list[Variant]:
    """All variants of a study, the reference first."""
    return [
        Variant("network", "scaled"),
        *(Variant("network", "scaled", weight) for weight in config.scaled_weights),
        Variant("network", "raw"),
        *(Variant("network", "raw", weight) for weight in config.raw_weights),
        Variant("network", "mass"),
        *(Variant("network", "mass", weight) for weight in config.weights),
        Variant("tree", "scaled"),
        Variant("tree", "mass"),
    ]


def inputs_of(kind: Inputs, config: DecorrelateConfig) -> InputConfig:
    """How images are made: raw ones are neither scaled nor cut."""
    if kind == "scaled":
        return config.inputs
    raw = {"scale": "none", "track_cut": 0.0, "ecal_cut": 0.0, "hcal_cut": 0.0}
    return config.inputs.model_copy(update=raw)


def classify_config(variant: Variant, config: DecorrelateConfig) -> ClassifyConfig:
    """The configuration under which `classify` would train a variant."""
    penalty = {
        "decorrelation": "disco" if variant.weight else "none",
        "decorrelation_weight": variant.weight,
    }
    return ClassifyConfig(
        store=config.store,
        output=config.output,
        inputs=inputs_of(variant.inputs, config),
        network=config.network,
        training=config.training.model_copy(update=penalty),
        split=config.split,
        tree=config.tree,
        workers=config.workers,
        threads=config.threads,
        seed=config.seed,
    )
