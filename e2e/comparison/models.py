"""What is compared: every network and baseline by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from e2e.inputs.full import planes_of
from e2e.inputs.kinematics import KINEMATIC_NAMES
from e2e.inputs.tabular import SHAPE_NAMES, feature_names

REFERENCE = "tree"  # the model that others are compared with
BEST = "combined"
ENSEMBLE = "ensemble"  # the mean of several of the best, of different seeds


@dataclass(frozen=True)
class Model:
    """One network or boosted tree.

    Attributes
    ----------
    title
        In tables and figures.
    kind
        tree, network (crops, kinematics), or resnet: whole images, within a budget.
    columns
        Of a tree: names of what it sees of each photon beside the kinematics; None for all.
    network
        Of a network: what differs from the stage's network configuration.
    full
        Whole images that it looks at.
    shapes
        Whether the network also sees shapes and isolation.
    mass_aware
        Whether its inputs know m_gg; told apart in every table.
    """

    title: str
    kind: Literal["tree", "network", "resnet"]
    columns: tuple[str, ...] | None = None
    network: dict[str, Any] = field(default_factory=dict)
    full: tuple[str, ...] = ()
    shapes: bool = False
    mass_aware: bool = False


def _resnet(title: str, *full: str, **settings: Any) -> Model:
    network = {"kind": "resnet15", "images": {n: len(planes_of(n)[0]) for n in full}, **settings}
    aware = any(name.endswith("_raw") for name in full)
    return Model(title, "resnet", network=network, full=full, mass_aware=aware)


MODELS: dict[str, Model] = {
    "kinematics": Model("kinematics network", "network", network={"kind": "kinematics"}),
    "tree_basic": Model(
        "boosted tree, R9, σiηiη, H/E", "tree", ("r9", "sigma_ieta_ieta", "h/e")
    ),
    "tree_shapes": Model("boosted tree, shapes", "tree", SHAPE_NAMES),
    "tree": Model("boosted tree, shapes + isolation", "tree"),
    "resnet_eb": _resnet("ResNet-15, EB", "EB"),
    "resnet_eb3": _resnet("ResNet-15, tracks + EB + HCAL", "EB3"),
    "resnet_eb3_only": _resnet(
        "ResNet-15, tracks + EB + HCAL, no kinematics", "EB3", with_kinematics=False
    ),
    "resnet_eb3_ee": _resnet("ResNet-15, tracks + EB + HCAL, EE", "EB3", "EE"),
    "resnet_ecal3": _resnet("ResNet-15, stitched ECAL-centric", "ECAL3"),
    "resnet_hcal3": _resnet("ResNet-15, HCAL-centric", "HCAL3"),
    "resnet_eb_raw": _resnet("ResNet-15, EB in GeV (knows the mass)", "EB_raw"),
    "crops": Model("crops alone", "network", network={"context_widths": []}),
    "crops_context": Model("crops + context", "network"),
    "combined": Model("crops + context + shapes", "network", shapes=True),
}  # fmt: skip


def columns_of(model: Model) -> NDArray[np.int64]:
    """Columns of the `tabular` table that a tree sees."""
    names = feature_names()
    if model.columns is None:
        return np.arange(len(names))
    wanted = {*KINEMATIC_NAMES, *(f"{name} {slot}" for name in model.columns for slot in (1, 2))}
    return np.flatnonzero([name in wanted for name in names])
