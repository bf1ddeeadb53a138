"""Events to be put into categories: what is seen of them, and what only the reward knows."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import atomic_path

Floats = NDArray[np.float64]
IntArray = NDArray[np.int64]

SHIPPED = Path(__file__).parent / "samples" / "events.npz"
HIGGS = 1


@dataclass(frozen=True)
class CategoryEvents:
    """n diphoton events.

    Attributes
    ----------
    score
        (n,) mass-blind classifier score, the higher the more like the signal.
    resolution
        (n,) predicted sigma_m / m.
    mass
        (n,) diphoton mass, GeV: for the significance, never for the choice of a category.
    label
        (n,) class: 0 γγ, 1 H→γγ, 2 γ+jet; for the significance only.
    weight
        (n,) expected events that an event stands for.
    group
        (n,) parton event; resampling draws these.
    """

    score: Floats
    resolution: Floats
    mass: Floats
    label: IntArray
    weight: Floats
    group: IntArray

    def __len__(self) -> int:
        return len(self.score)

    @property
    def is_signal(self) -> NDArray[np.bool_]:
        """(n,) H→γγ."""
        return self.label == HIGGS

    def take(self, rows: NDArray) -> CategoryEvents:
        """The events of the given rows, or of a mask."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def save(self, path: Path) -> None:
        """Write as a compressed NumPy archive; floats with 32 bits."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        columns = {
            name: column.astype(np.float32) if column.dtype == np.float64 else column
            for name, column in columns.items()
        }
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, **columns)

    @classmethod
    def load(cls, path: str | Path | None = None) -> CategoryEvents:
        """Read what `save` wrote; the sample shipped with the project for None.

        Raises
        ------
        InputError
            If the file is missing or is no such archive.
        """
        path = SHIPPED if path is None else Path(path)
        if not path.is_file():
            raise InputError(path, "no such sample", "the `categorise` stage writes events.npz")
        try:
            with np.load(path) as archive:
                columns = {f.name: archive[f.name] for f in fields(cls)}
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputError(path, f"not a sample of events ({error})") from error
        kinds = {"label": np.int64, "group": np.int64}
        return cls(**{n: c.astype(kinds.get(n, np.float64)) for n, c in columns.items()})


def resampled(group: IntArray, rng: np.random.Generator) -> Floats:
    """(n,) how often each event is drawn when parton events are, each by a Poisson of mean 1."""
    _, index = np.unique(group, return_inverse=True)
    return rng.poisson(1.0, index.max(initial=-1) + 1)[index].astype(np.float64)
