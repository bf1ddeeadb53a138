"""Profiles of showers: their truth, the peaks that draw them, and who finds the peaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from data.simulation import profiles
from data.simulation.chunks import library_of
from data.simulation.config import SHIPPED_LISTS
from data.simulation.detector import simulate_events
from data.simulation.hard_events import gun
from data.simulation.shower_profile import (
    SHAPE,
    ShowerRecord,
    Showers,
    profiles_of,
    shower_shares,
)
from envs.profile.config import ProfileEnvironmentConfig
from envs.profile.distance import distance, l1, wasserstein
from envs.profile.finder import find_peaks
from envs.profile.fit import fit_peaks
from envs.profile.peaks import NAMES, draw_crystals, draw_profiles, in_crystals, shares
from envs.profile.photons import read_profiles
from envs.profile.simulate import make_profiles
from rl.profile import tensors
from rl.profile.metrics import describe, sliced_wasserstein

coordinate = st.floats(-2.0, 2.0)


def peaks_of(*rows: tuple[float, float, float], log_width: float = 0.0) -> np.ndarray:
    """Peaks (1, 10) of (log share, u, v); absent ones lie on the first."""
    every = [*rows, *[(-20.0, *rows[0][1:])] * (3 - len(rows))]
    return np.array([[x for row in every for x in row] + [log_width]], dtype=np.float32)


def test_a_record_does_not_change_the_events() -> None:
    library = library_of(str(SHIPPED_LISTS), 0)

    def simulated(record: ShowerRecord | None) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(3)
        z = rng.normal(0, 5, 8)
        events = simulate_events(gun(0, z, rng), library, 5.0, rng, z, choose=False, record=record)
        return events.hits["EB"].energy, events.truth.energy

    record = ShowerRecord.of(16)
    (plain, _), (noted, energy) = simulated(None), simulated(record)
    np.testing.assert_array_equal(plain, noted)
    # all of the photons' energy, but for what bends out of the barrel or is too soft
    assert 0.85 < record.showers().energy.sum() / energy.sum() <= 1 + 1e-6
    assert 0 < np.isfinite(record.conversion_radius).sum() < 16


@given(u=coordinate, v=coordinate, width=st.sampled_from([0, 1, 2]))
@settings(max_examples=25, deadline=None)
def test_fine_cells_sum_to_the_crystals_of_the_simulation(u: float, v: float, width: int) -> None:
    # impacts of the simulation's table are at the middles of 1/32 of a crystal
    u, v = (np.floor(x * profiles.GRID) / profiles.GRID + 0.5 / profiles.GRID for x in (u, v))
    crystals = in_crystals(shower_shares(np.array([u]), np.array([v]), np.array([width])))[0]
    _, x, y, energy = profiles.spread(
        profiles.BARREL, np.array([profiles.EM_FIRST + width]),
        np.array([u + 2.5]), np.array([v + 5.5]), np.ones(1), 0.0,
    )  # fmt: skip
    inside = (x >= 0) & (x < 5) & (y >= 0) & (y < 11)
    np.testing.assert_allclose(crystals[x[inside], y[inside]], energy[inside], atol=1e-5)


def test_profiles_are_normalised_and_know_what_they_miss() -> None:
    showers = Showers(
        event=np.zeros(3, int), u=np.full(3, 80.3), v=np.array([359.6, 0.2, 9.0]),
        energy=np.array([30.0, 10.0, 10.0]), profile=np.ones(3, int),
    )  # fmt: skip
    profile, contained = profiles_of(
        showers, np.zeros(3, int), np.array([80.5, 10.5]), np.array([359.5, 10.5])
    )
    assert profile.shape == (2, *SHAPE)
    assert profile[0].sum() == pytest.approx(1, abs=1e-5)
    assert 0.75 < contained[0] < 0.8  # a fifth of the energy is 9 crystals off
    assert np.isnan(profile[1]).all()
    u, v = np.unravel_index(profile[0].argmax(), SHAPE)
    assert (u, v) == (11, 28)  # the largest shower, 0.2 crystals below and 0.1 right of the centre


@given(u=coordinate, v=st.floats(-5, 5), width=st.sampled_from([0, 1, 2]))
@settings(max_examples=25, deadline=None)
def test_a_peak_draws_the_shower_of_the_simulation(u: float, v: float, width: int) -> None:
    peaks = peaks_of((0.0, u, v), log_width=float(np.log(profiles.EM_WIDTHS[width])))
    exact = shower_shares(np.array([u]), np.array([v]), np.array([width]))
    drawn = draw_profiles(peaks)
    assert drawn.sum() == pytest.approx(1, abs=1e-5)
    assert l1(drawn, exact / exact.sum())[0] < 0.03  # places on a grid of 1/200 of a crystal
    np.testing.assert_allclose(draw_crystals(peaks), in_crystals(drawn), atol=1e-6)


@given(shift=st.integers(0, 20))
@settings(max_examples=10, deadline=None)
def test_wasserstein_of_a_shifted_point_is_the_shift(shift: int) -> None:
    a, b = np.zeros((2, 1, *SHAPE), np.float32)
    a[0, 3, 10], b[0, 3, 10 + shift] = 1, 1
    assert wasserstein(a, b, 2)[0] == pytest.approx(shift / 5, abs=1e-5)
    assert wasserstein(a, b, 1)[0] == pytest.approx(0, abs=1e-5)
    assert l1(a, b)[0] == (2 if shift else 0)
    # the mean of |cos| over 8 directions
    expected = shift / 5 * np.abs(np.sin(np.arange(8) * np.pi / 8)).mean()
    assert sliced_wasserstein(a, b)[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["l1", "wasserstein", "sum"])
def test_torch_draws_and_measures_as_numpy_does(kind: str) -> None:
    rng = np.random.default_rng(0)
    peaks = rng.normal(0, 0.8, (6, len(NAMES))).astype(np.float32)
    peaks[:, -1] *= 0.1
    drawn = draw_profiles(peaks)
    by_torch = tensors.draw(torch.from_numpy(peaks).requires_grad_())
    assert l1(drawn, by_torch.detach().numpy()).max() < 0.05
    config = ProfileEnvironmentConfig(distance=kind)
    other = drawn[::-1].copy()
    found = tensors.distance(torch.from_numpy(drawn), torch.from_numpy(other), config)
    np.testing.assert_allclose(found.numpy(), distance(drawn, other, config), rtol=1e-3)


def test_the_finder_and_the_fit_recover_two_showers() -> None:
    truth = peaks_of((0.0, 0.15, -0.35), (-1.0, 0.15, 2.25))
    energy = 50 * draw_crystals(truth)
    found = find_peaks(energy)
    fitted = fit_peaks(energy, found)
    assert shares(found)[0, :2] == pytest.approx(shares(truth)[0, :2], abs=0.05)
    assert l1(draw_profiles(fitted), draw_profiles(truth))[0] < 0.05
    between = peaks_of((0.0, 0.11, -0.31), (-1.0, 0.11, 2.2))  # grid points lie 0.1 apart
    energy = 50 * draw_crystals(between)
    found = find_peaks(energy)
    on_grid, off_grid = (
        l1(draw_profiles(peaks), draw_profiles(between))[0]
        for peaks in (found, fit_peaks(energy, found))
    )
    assert off_grid < 0.7 * on_grid


def test_a_weak_bump_is_no_peak() -> None:
    energy = 50 * draw_crystals(peaks_of((0.0, 0.05, 0.25)))
    energy[0, 4, 9] += 0.1  # GeV, such as pile-up leaves
    assert shares(find_peaks(energy))[0, 0] > 0.98


def test_two_legs_are_described() -> None:
    near, apart = (draw_profiles(peaks_of((0.0, 0, -d), (-1.0, 0, d))) for d in (0.0, 1.5))
    one, two = (describe(profile) for profile in (near, apart))
    assert two["distance"][0] == pytest.approx(3.0, abs=0.4)
    assert two["fraction"][0] == pytest.approx(1 / (1 + np.exp(-1)), abs=0.04)
    assert two["spread"] > 2 * one["spread"]
    assert two["v"][0] == pytest.approx(1.5 * (np.exp(-1) - 1) / (np.exp(-1) + 1), abs=0.1)


def test_parts_are_made_once_and_do_not_depend_on_workers(tmp_path: Path) -> None:
    first = make_profiles(tmp_path, events=20, pileup=3.0, seed=1)
    part = tmp_path / "part_000.h5"
    made = part.stat().st_mtime_ns
    again = make_profiles(tmp_path, events=20, pileup=3.0, seed=1)
    assert part.stat().st_mtime_ns == made
    np.testing.assert_array_equal(first.profile, again.profile)
    np.testing.assert_array_equal(first.photons.crop, again.photons.crop)
    make_profiles(tmp_path, events=20, pileup=3.0, seed=2)
    assert part.stat().st_mtime_ns != made
    assert 20 < len(first) <= 40
    np.testing.assert_allclose(first.profile.astype(float).sum(axis=(1, 2)), 1, atol=2e-3)
    # a photon's mean place in its profile is where it points to, unless it converted
    plain = np.isinf(first.radius)
    target = first.photons.target
    assert target is not None
    v = describe(first.profile)["v"]
    expected = first.photons.offset[:, 1] + target[:, 2]
    np.testing.assert_allclose(v[plain], expected[plain], atol=0.03)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "part_000.h5"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="shower profiles"):
        read_profiles(path)
