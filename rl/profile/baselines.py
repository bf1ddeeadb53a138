"""What needs no training: upsampled crystals, one shower, and the mean profile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from data.simulation.shower_profile import CRYSTALS, FINE, SHAPE
from envs.photons.table import PhotonTable
from envs.profile.finder import crystals_of
from envs.profile.peaks import N_PEAKS, NAMES, draw_profiles

FloatArray = NDArray[np.float32]

_SMALLEST = 1e-6  # GeV, of a crystal
_AT_A_TIME = 4096


def nearest(table: PhotonTable) -> FloatArray:
    """Every crystal's energy spread evenly over its cells."""
    energy = np.maximum(crystals_of(table), 0)
    return _normalised(energy.repeat(FINE, axis=1).repeat(FINE, axis=2))


def bicubic(table: PhotonTable) -> FloatArray:
    """Bicubic interpolation, scaled in every crystal so that its energy stays what it was."""
    energy = np.maximum(crystals_of(table).astype(np.float32), np.float32(_SMALLEST))
    fine = zoom(energy, [1.0, FINE, FINE], order=3, mode="nearest", grid_mode=True)
    fine = np.maximum(fine, 0)
    cells = fine.reshape(len(fine), CRYSTALS[0], FINE, CRYSTALS[1], FINE)
    have = cells.sum(axis=(2, 4), keepdims=True)
    scaled = cells * (energy[:, :, None, :, None] / np.maximum(have, _SMALLEST))
    return _normalised(scaled.reshape(len(fine), *SHAPE))


def one_shower(table: PhotonTable) -> FloatArray:
    """The mean shower of a single photon at the standard position."""
    peaks = np.zeros((len(table), len(NAMES)), dtype=np.float32)
    for k in range(N_PEAKS):
        peaks[:, 3 * k + 1 : 3 * k + 3] = table.offset
    return drawn(peaks)


def drawn(peaks: FloatArray) -> FloatArray:
    """Profiles of peaks (n, 10), in parts that fit the caches."""
    parts = [draw_profiles(peaks[k : k + _AT_A_TIME]) for k in range(0, len(peaks), _AT_A_TIME)]
    return np.concatenate(parts)


def _normalised(profile: FloatArray) -> FloatArray:
    return (profile / profile.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
