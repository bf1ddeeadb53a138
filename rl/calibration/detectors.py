"""Samples of the nominal detector and of "data" after the nominal regression, kept in files."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.runs import RunFolder
from rl.calibration.cases import NOMINAL
from rl.calibration.config import CalibrateConfig
from rl.calibration.nominal import PhotonRegression, train_regression
from rl.calibration.prepared import PreparedPairs, prepare, read_prepared, write_prepared
from rl.resonance.samples import PairSample, read_pairs

KINDS = ("zee", "background", "higgs", "gun")
OPTIONAL = ("background", "gun")
LEARNED_FROM = ("zee", "background")


def sample_paths(config: CalibrateConfig, detector: str) -> dict[str, Path]:
    """Files of a detector by kind.

    Background is needed where a share of it is wanted, and never of nominal simulation. Another
    detector's gun may be missing: its slope, bump and S/√B are then not judged.

    Raises
    ------
    InputError
        If a file is missing that is needed.
    """
    found = {kind: config.samples / detector / f"{kind}.h5" for kind in KINDS}
    optional = {"background" if detector == NOMINAL else "gun"}
    if max(config.background, *config.backgrounds, 0.0) == 0:
        optional.add("background")
    for kind, path in list(found.items()):
        if path.is_file():
            continue
        if kind not in optional:
            raise InputError(path, "no such sample of pairs", "make it with `resonance`")
        del found[kind]
    return found


def key_of(*parts: Any) -> str:
    """Short hash of settings and checksums: what was made from others is made anew."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def kept_folder(path: Path, key: str) -> Path:
    """A folder for parts of a run, emptied if it was made under another key."""
    mark = path / "key"
    if path.is_dir() and (not mark.is_file() or mark.read_text() != key):
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    mark.write_text(key)
    return path


@dataclass(frozen=True)
class DetectorPairs:
    """Prepared pairs of one detector.

    Attributes
    ----------
    zee, background
        Z → ee and the background under it.
    higgs
        H → γγ.
    gun_to_learn, gun
        Halves of the gun's pairs: for regressions and an oracle, and to judge on; empty where the
        detector has none.
    path
        Folder of what belongs to the detector alone.
    key, judged_key
        What the candidates were made of, and everything.
    """

    zee: PreparedPairs
    background: PreparedPairs
    higgs: PreparedPairs
    gun_to_learn: PreparedPairs
    gun: PreparedPairs
    path: Path
    key: str
    judged_key: str


class Samples:
    """Reads, prepares and keeps the samples of a run.

    Parameters
    ----------
    config
        The run's configuration.
    folder
        Its folder; what is prepared is kept under `parts/`.
    """

    def __init__(self, config: CalibrateConfig, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        gun = sample_paths(config, NOMINAL)["gun"]
        settings = config.model_dump(
            mode="json", include={"regression", "network", "environment", "policies", "seed"}
        )
        self.key = key_of(self._sums([gun]), settings)
        kept = kept_folder(folder.path("parts/regression"), self.key)
        self.regression = self._regression(gun, kept)

    def prepared(self, detector: str) -> DetectorPairs:
        """Pairs of a detector."""
        paths = sample_paths(self.config, detector)
        key = key_of(self.key, self._sums(list(paths.values())))
        kept = kept_folder(self.folder.path(f"parts/{detector}"), key)
        own = self._own(paths.get("gun"), kept) if detector != NOMINAL else None
        found = {
            kind: self._prepared(path, kept / f"{kind}.npz", own) for kind, path in paths.items()
        }
        nothing = found["zee"].take(slice(0))
        for kind in OPTIONAL:
            found.setdefault(kind, nothing)
        to_learn = _to_learn(found["gun"].group)
        return DetectorPairs(
            zee=found["zee"],
            background=found["background"],
            higgs=found["higgs"].matched(),
            gun_to_learn=found["gun"].take(to_learn).matched(),
            gun=found["gun"].take(~to_learn),
            path=kept,
            key=key_of(self.key, self._sums([p for k, p in paths.items() if k in LEARNED_FROM])),
            judged_key=key,
        )

    def _prepared(self, path: Path, kept: Path, own: PhotonRegression | None) -> PreparedPairs:
        if not kept.is_file():
            sample = read_pairs(path)
            photons = sample.photons
            from_own = own(photons) if own is not None else None
            write_prepared(kept, prepare(sample, self.regression(photons), from_own))
        return read_prepared(kept)

    def _regression(self, gun: Path, kept: Path) -> PhotonRegression:
        """Taught by half of a gun's photons, or read."""
        if not (kept / "network.pt").is_file():
            sample: PairSample = read_pairs(gun)
            half = sample.take(_to_learn(sample.photons.group[::2]))
            train_regression(half.photons, self.config.regression, self.config.seed).save(kept)
            self.folder.log.info("calibrate: regression of %d photons: %s", 2 * len(half), kept)
        return PhotonRegression.load(kept)

    def _own(self, gun: Path | None, kept: Path) -> PhotonRegression | None:
        return self._regression(gun, kept / "regression") if gun is not None else None

    def _sums(self, paths: list[Path]) -> list[str]:
        return [self.folder.inputs[str(path)] for path in paths]


def _to_learn(group: np.ndarray) -> np.ndarray:
    """Half of the events of a gun."""
    return group % 2 == 0
