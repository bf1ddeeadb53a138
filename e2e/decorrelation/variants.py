"""What is compared: inputs, model, and whether a penalty keeps the score from the mass."""

from __future__ import annotations

from dataclasses import dataclass

from e2e.config import ClassifyConfig, InputConfig
from e2e.decorrelation.config import DecorrelateConfig

REFERENCE = "scaled"  # the default of `classify`: scaled images with the cut


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes
    ----------
    name
        Of its files and metrics.
    model
        network or tree.
    is_raw
        Whether inputs hold energies in GeV, uncut (the tree's also m_gg), and so tell the mass.
    weight
        Of the penalty on the distance correlation of score and m_gg; 0 for none.
    """

    name: str
    model: str
    is_raw: bool
    weight: float = 0.0

    @property
    def title(self) -> str:
        """For tables and figures."""
        if self.model == "tree":
            return "tree, raw inputs and m_gg" if self.is_raw else "tree, scaled and cut"
        images = "network, raw" if self.is_raw else "network, scaled and cut"
        return images + (f", DisCo {self.weight:g}" if self.weight else "")


def variants(config: DecorrelateConfig) -> list[Variant]:
    """All variants of a study, the reference first."""
    networks = [Variant(REFERENCE, "network", False)]
    networks += [Variant(f"scaled_disco_{w:g}", "network", False, w) for w in config.scaled_weights]
    networks.append(Variant("raw", "network", True))
    networks += [Variant(f"raw_disco_{w:g}", "network", True, w) for w in config.weights]
    trees = [Variant("tree_scaled", "tree", False), Variant("tree_raw", "tree", True)]
    return networks + trees


def inputs_of(variant: Variant, config: DecorrelateConfig) -> InputConfig:
    """Images of a variant: raw ones are neither scaled nor cut."""
    if not variant.is_raw:
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
        inputs=inputs_of(variant, config),
        network=config.network,
        training=config.training.model_copy(update=penalty),
        split=config.split,
        tree=config.tree,
        workers=config.workers,
        threads=config.threads,
        seed=config.seed,
    )
