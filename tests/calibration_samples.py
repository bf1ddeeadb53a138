"""Z-like candidates and samples from a few lines: tests of calibration need no simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data.crops import CROP
from data.detector.geometry import eb_uv
from envs.calibration.candidates import Candidates
from envs.photons.table import PhotonTable
from rl.resonance.samples import KINDS, PairSample, write_pairs


def candidates(m: int, seed: int = 0, loss: float = 0.04, width: float = 0.01) -> Candidates:
    """Pairs in a detector that loses `loss` times (|eta row| / 85)^2 of each energy."""
    rng = np.random.default_rng(seed)
    u, v = rng.uniform(0, 170, (m, 2)), rng.uniform(0, 360, (m, 2))
    lost = response(u, loss) + rng.normal(0, width, (m, 2))
    return Candidates(
        energy=rng.uniform(30, 120, (m, 2)).astype(np.float32),
        u=u.astype(np.float32),
        v=v.astype(np.float32),
        density=rng.gamma(9, 1 / 3, (m, 2)).astype(np.float32),
        log_mass=(lost.mean(axis=1) + rng.normal(0, width, m)).astype(np.float32),
    )


def response(u: np.ndarray, loss: float = 0.04) -> np.ndarray:
    """log(E / E_true) of that detector."""
    return -loss * ((u - 85) / 85) ** 2


def pair_sample(kind: str, m: int, seed: int = 0, loss: float = 0.0) -> PairSample:
    """Pairs of equal pt round the kind's mass, measured by that detector."""
    rng = np.random.default_rng(seed)
    eta, phi = rng.uniform(-1.35, 1.35, (m, 2)), rng.uniform(-np.pi, np.pi, m)
    phi = np.stack([phi, phi + rng.uniform(2.0, np.pi, m)], axis=1)
    mass = {
        "zee": 91.2 + 1.2 * rng.standard_normal(m),
        "higgs": np.full(m, 125.0),
        "gun": rng.uniform(80, 180, m),
        "background": rng.uniform(60, 120, m),
    }[kind]
    pt = mass / np.sqrt(2 * (np.cosh(eta[:, 0] - eta[:, 1]) - np.cos(phi[:, 0] - phi[:, 1])))
    truth = (pt[:, None] * np.cosh(eta)).ravel()
    u, v = eb_uv(eta.ravel(), phi.ravel())
    error = response(u, loss) + rng.normal(0, 0.01, 2 * m)
    nothing = np.full(2 * m, np.nan)
    target = np.stack([-error, np.zeros(2 * m), np.zeros(2 * m)], axis=1)
    shape = {name: rng.uniform(0.9, 1, 2 * m).astype(np.float32) for name in ("r9", "h_over_e")}
    crop = np.zeros((2 * m, CROP, CROP), dtype=np.float32)
    crop[:, CROP // 2, CROP // 2] = truth * np.exp(error)
    photons = PhotonTable(
        row=np.arange(2 * m) // 2,
        slot=np.arange(2 * m) % 2,
        group=np.arange(2 * m) // 2,
        label=np.full(2 * m, KINDS[kind]),
        energy=(truth * np.exp(error)).astype(np.float32),
        e5x5=(truth * np.exp(error)).astype(np.float32),
        u=u.astype(np.float32),
        v=v.astype(np.float32),
        seed=u.astype(np.int64) * 360 + v.astype(np.int64),
        sigma_ieta_ieta=np.full(2 * m, 0.009, dtype=np.float32),
        density=rng.gamma(9, 1 / 3, m).astype(np.float32).repeat(2),
        crop=crop,
        target=(nothing[:, None] * target if kind == "background" else target).astype(np.float32),
        **shape,
    )
    known = np.full(m, np.nan) if kind == "background" else mass
    return PairSample(photons, np.zeros(m), np.full(m, KINDS[kind]), known)


def write_samples(folder: Path, detectors: dict[str, float], sizes: dict[str, int]) -> Path:
    """Files as the `resonance` stage leaves them: detectors by name, with their losses."""
    for number, (name, loss) in enumerate(detectors.items()):
        for kind, m in sizes.items():
            sample = pair_sample(kind, m, seed=10 * number + KINDS[kind], loss=loss)
            (folder / name).mkdir(parents=True, exist_ok=True)
            write_pairs(folder / name / f"{kind}.h5", sample, {"detector": name})
    return folder
