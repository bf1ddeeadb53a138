"""What the notebooks share: the study they look at, and how they show a figure.

The study is the folder that `make demo` writes, `runs/demo`, or the one that the environment
variable `STUDY_FOLDER` names. Run as plain scripts, notebooks keep their figures where
`NOTEBOOK_FIGURES` says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from common.config import build, read_yaml
from data.store import EventStore
from envs.faces.pictures import figure_image
from envs.photons.low_level import LowLevelOutputs, low_level_outputs
from envs.photons.table import PhotonTable
from rl.evaluation.metrics import Sample
from rl.refinement.config import RefineConfig
from rl.refinement.judge import METHODS
from rl.refinement.refiner import Refiner
from rl.refinement.samples import StorePhotons, read_photons

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("STUDY_FOLDER", ROOT / "runs" / "demo"))


@dataclass(frozen=True)
class Study:
    """A finished `rl` run with the photons it was trained and judged on.

    Attributes
    ----------
    folder
        Run folder of the stage `rl`.
    config
        Its configuration.
    """

    folder: Path
    config: RefineConfig

    @classmethod
    def open(cls, folder: Path = FOLDER) -> Study:
        """The study of a folder; its files must lie where the run found them."""
        config = build(RefineConfig, read_yaml(folder / "rl" / "config.yaml"))
        return cls(folder / "rl", config)

    def refiner(self) -> Refiner:
        """The trained agent with all it needs."""
        return Refiner.load(self.folder)

    def gun(self) -> StorePhotons:
        """The photons of the gun, with the classifier's outputs where the agent saw them."""
        store = ROOT / self.config.train_store
        return read_photons(store, self._low_level(store, "low_level_train.h5"))

    def judged(self) -> Sample:
        """The photons of all events that were refined and whose truth is known, by every method.

        The agent and its peers were trained on the gun: they saw none of these.
        """
        photons = read_photons(ROOT / self.config.store, None)
        place = (photons.table.row, photons.table.slot)
        with h5py.File(self.folder / "refined_photons.h5") as file:
            corrections = {m: file[f"{m}/photons/correction"][()][place] for m in METHODS}
        return Sample(photons.table, photons.vertex_z, corrections).matched()

    def converted(self, table: PhotonTable) -> NDArray[np.bool_]:
        """Whether photons of the refined events turned into e+e- before the calorimeter: truth."""
        with EventStore(ROOT / self.config.store) as store:
            return store.truth("converted")[table.row, table.slot] > 0

    def _low_level(self, store: Path, name: str) -> LowLevelOutputs | None:
        if self.config.classifier is None:
            return None
        return low_level_outputs(store, ROOT / self.config.classifier, self.folder / name)


def show(figure: Figure, name: str) -> None:
    """Show a figure below the cell; a script keeps it as a file, if it was told where."""
    if _in_notebook():
        from IPython.display import display
        from PIL.Image import fromarray

        display(fromarray(figure_image(figure)))
    elif folder := os.environ.get("NOTEBOOK_FIGURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        figure.savefig(Path(folder) / f"{name}.png", dpi=130, bbox_inches="tight")
    from matplotlib import pyplot as plt

    plt.close(figure)


def slider(draw: Callable[..., None], **choices: tuple[Sequence[Any], Any]) -> None:
    """Call a function with what sliders choose; without widgets, once with their first values.

    Parameters
    ----------
    draw
        Function of the choices.
    **choices
        For each of its arguments the options, and the one to start with.
    """
    try:
        from ipywidgets import SelectionSlider, interact
    except ImportError:
        interact = None
    if interact is not None and _in_notebook():
        widgets = {
            name: SelectionSlider(options=options, value=value, continuous_update=False)
            for name, (options, value) in choices.items()
        }
        interact(draw, **widgets)
    else:
        draw(**{name: value for name, (_, value) in choices.items()})


def quick(number: int, small: int) -> int:
    """A number, or the small one where only the notebook itself is to be tested."""
    return small if os.environ.get("NOTEBOOK_QUICK") else number


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return get_ipython() is not None
