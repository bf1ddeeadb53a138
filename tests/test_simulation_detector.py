"""Parametric detector: profiles, propagation, response, pile-up overlay and readout."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.detector.geometry import EE_VALID, N_EB, N_HBHE, detector_eta, eb_uv
from data.detector.helix import BARREL, ENDCAP, to_calorimeter
from data.reconstruction import find_photons
from data.simulation import profiles
from data.simulation.calorimeter import ECAL_SCALE, merge
from data.simulation.config import SHIPPED_LISTS
from data.simulation.detector import select_events, simulate_events
from data.simulation.hard_events import gun
from data.simulation.imperfections import DEAD, gap_transmission
from data.simulation.overlay import Overlay
from data.simulation.particles import CODE_OF, ParticleLists, read
from data.simulation.pileup import MinimumBiasLibrary
from data.simulation.profiles import Cells
from data.simulation.propagation import Electrons
from data.simulation.readout import BARREL_READOUT, read_barrel, read_endcap, read_hcal
from data.simulation.response import simulate_response


@pytest.fixture(scope="module")
def library() -> MinimumBiasLibrary:
    lists = read(SHIPPED_LISTS / "minimum_bias_0.npz.xz").take(np.arange(150))
    return MinimumBiasLibrary.simulate(lists, np.random.default_rng(0))


def one_per_event(species: int, pt: np.ndarray, eta: np.ndarray, phi: np.ndarray) -> ParticleLists:
    n = len(pt)
    return ParticleLists(
        offsets=np.arange(n + 1),
        species=np.full(n, CODE_OF[species], np.uint8),
        pt=pt.astype(np.float32),
        eta=eta.astype(np.float32),
        phi=phi.astype(np.float32),
        prompt=np.full(n, species == 22),
        group=np.arange(n),
        n_prompt=np.full(n, int(species == 22), np.int32),
    )


def test_profile_shares_are_symmetric_and_nearly_complete() -> None:
    shares = profiles.BARREL.reshape(-1, profiles.GRID, profiles.GRID, 7, 7)
    np.testing.assert_allclose(shares, shares[:, ::-1, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(shares, shares.transpose(0, 2, 1, 4, 3), atol=1e-6)
    total = shares.sum(axis=(3, 4))
    assert np.all(total <= 1 + 1e-6)
    assert np.all(total[: profiles.N_EM] > 0.97)


def test_spread_puts_the_energy_at_the_impact() -> None:
    x, y = np.array([80.3, 20.9]), np.array([100.7, 5.1])
    energy = np.array([50.0, 10.0])
    shower, row, column, share = profiles.spread(
        profiles.BARREL, np.ones(2, np.int64), x, y, energy, 0.0
    )
    for i in range(2):
        mine = shower == i
        assert share[mine].sum() == pytest.approx(energy[i], rel=0.03)
        top = np.argmax(share[mine])
        assert (row[mine][top], column[mine][top]) == (int(x[i]), int(y[i]))


@settings(max_examples=40, deadline=None)
@given(
    eta=st.floats(-1.3, 1.3), phi=st.floats(-3.1, 3.1), z0=st.floats(-12, 12), pt=st.floats(1, 200)
)
def test_straight_lines_meet_the_crystal_of_the_geometry(
    eta: float, phi: float, z0: float, pt: float
) -> None:
    one = np.ones(1)
    impact = to_calorimeter(pt * one, eta * one, phi * one, 0 * one, z0 * one)
    assert impact.region[0] == BARREL
    u, v = eb_uv(impact.eta, impact.phi)
    expected_u, expected_v = eb_uv(detector_eta(eta, z0), phi)
    assert u[0] == pytest.approx(float(expected_u), abs=1e-6)
    assert v[0] == pytest.approx(float(expected_v), abs=1e-6)


@given(eta=st.floats(-1.2, 1.2), pt=st.floats(0.8, 100))
def test_opposite_charges_bend_to_opposite_sides(eta: float, pt: float) -> None:
    two = np.ones(2)
    charge = np.array([1.0, -1.0])
    impact = to_calorimeter(pt * two, eta * two, 1.0 * two, charge, 0 * two)
    assert impact.phi[0] < 1.0 < impact.phi[1]
    assert impact.phi[1] - 1.0 == pytest.approx(1.0 - impact.phi[0])
    # sagitta of a circle of radius pt / (0.3 B) that passes the beam
    angle = np.arcsin(1.29 * 0.3 * 3.8 / (2 * pt))
    assert impact.phi[1] - 1.0 == pytest.approx(angle, rel=0.02)


def test_soft_charged_particles_do_not_reach_the_barrel() -> None:
    one = np.ones(1)
    impact = to_calorimeter(0.5 * one, 0.3 * one, 0 * one, one, 0 * one)
    assert impact.region[0] != BARREL
    forward = to_calorimeter(0.5 * one, 2.0 * one, 0 * one, one, 0 * one)
    assert forward.region[0] == ENDCAP
    assert forward.side[0] > 0


def test_hard_electrons_follow_their_helix() -> None:
    one = np.ones(1)
    eta, pt = 0.4, 20.0
    electrons = Electrons(
        energy=pt * np.cosh(eta) * one,
        eta=eta * one,
        direction=0.5 * one,
        charge=one,
        azimuth=0.5 * one,
        radius=0 * one,
        z=2.0 * one,
    )
    for step in range(3):
        electrons.move(1 / (3 - step))
    helix = to_calorimeter(pt * one, eta * one, 0.5 * one, one, 2.0 * one)
    impact = electrons.impact()
    assert impact.region[0] == BARREL
    assert impact.phi[0] == pytest.approx(helix.phi[0], abs=2e-3)
    assert impact.eta[0] == pytest.approx(helix.eta[0], abs=2e-3)


def test_photon_energy_is_conserved_up_to_known_losses() -> None:
    n = 400
    rng = np.random.default_rng(3)
    lists = one_per_event(
        22, np.full(n, 50.0), rng.uniform(-1.3, 1.3, n), rng.uniform(0, 2 * np.pi, n)
    )
    response = simulate_response(lists, np.zeros(n), rng)
    energy = np.bincount(response.eb.event, weights=response.eb.energy, minlength=n)
    ratio = energy / lists.energy / ECAL_SCALE
    good = ~response.converted
    assert np.median(ratio[good]) == pytest.approx(0.975, abs=0.015)
    assert np.percentile(ratio, 99) < 1.06
    assert 0.2 < response.converted.mean() < 0.6
    leaked = np.bincount(response.hbhe.event, weights=response.hbhe.energy, minlength=n)
    assert 0 < (leaked / lists.energy).mean() < 0.02


def test_gaps_lose_energy_at_module_edges() -> None:
    u = np.array([110.0, 85.0, 97.5, 97.5])
    v = np.array([25.5, 25.5, 20.0, 25.5])
    module, centre, sector, open_crystal = gap_transmission(u, v)
    assert open_crystal > 0.995
    assert max(module, centre, sector) < 0.95


def test_overlay_turns_flips_and_keeps_the_energy(library: MinimumBiasLibrary) -> None:
    index = np.arange(20)
    event = np.zeros(20, np.int64)

    def overlaid(turn: int, flip: bool) -> Overlay:
        return Overlay(event, index, np.full(20, turn), np.full(20, flip))

    plain, turned = overlaid(0, False), overlaid(31, True)
    for cells, n in ((library.eb_cells, N_EB), (library.hbhe_cells, N_HBHE)):
        before, after = cells(plain), cells(turned)
        assert after.energy.sum() == pytest.approx(before.energy.sum())
        image = np.bincount(before.cell, before.energy, n)
        columns = 360 if n == N_EB else 72
        image = np.roll(image.reshape(-1, columns)[::-1], 31 * columns // 72, axis=1)
        np.testing.assert_allclose(np.bincount(after.cell, after.energy, n), image.ravel())
    before, after = library.ee_cells(plain), library.ee_cells(turned)
    assert after.energy.sum() == pytest.approx(before.energy.sum())
    assert EE_VALID.ravel()[after.cell % 10000].all()
    sides = [np.bincount(c.cell // 10000, c.energy, 2) for c in (before, after)]
    np.testing.assert_allclose(sides[0], sides[1][::-1])
    tracks, other = library.overlaid_tracks(plain), library.overlaid_tracks(turned)
    np.testing.assert_allclose(other.eta, -tracks.eta)
    np.testing.assert_allclose(other.phi - tracks.phi, 31 * 2 * np.pi / 72)


def test_merge_sums_repeated_cells() -> None:
    cells = Cells(
        np.array([0, 0, 1, 0]), np.array([5, 5, 5, 9]), np.array([1, 2, 4, 0.001], np.float32)
    )
    merged = merge(cells, N_EB, 0.01)
    np.testing.assert_array_equal(merged.event, [0, 1])
    np.testing.assert_allclose(merged.energy, [3, 4])


def test_noise_alone_reads_out_nothing() -> None:
    none = Cells.empty()
    rng = np.random.default_rng(0)
    assert len(read_barrel(np.zeros(3 * N_EB, np.float32), DEAD, rng).cell) == 0
    assert len(read_endcap(none, 3, rng).cell) == 0
    assert len(read_hcal(none, none, 3, rng).cell) < 40  # of 12,096 towers


def test_windows_regions_and_dead_channels_of_the_readout() -> None:
    row, column = 60, 359
    cell = row * 360 + column
    dead = np.zeros(N_EB, bool)
    dead[cell + 360] = True
    n = 60
    deposits = np.zeros((n, N_EB), np.float32)
    deposits[:, cell] = 40.0
    hits = read_barrel(deposits.ravel(), dead, np.random.default_rng(1))
    assert not dead[hits.cell].any()
    assert np.all(hits.energy > 0)
    energy = np.zeros((n, 170, 360), np.float32)
    energy.reshape(n, -1)[hits.event, hits.cell] = hits.energy
    window = np.roll(energy, 2, axis=2)[:, row - 2 : row + 3, :4]
    assert (window > 0).mean() == pytest.approx(0.5, abs=0.05)  # noise, positive half, phi wraps
    far = np.roll(energy, 180, axis=2)[:, row, 179 + 8 : 179 + 30]
    mean, width = BARREL_READOUT.suppression
    assert far[far > 0].min() > mean - 5 * width
    assert not np.roll(energy, 180, axis=2)[:, :, 179 + 36 :].any()
    assert len(hits.time) == len(hits.energy)
    assert np.std(hits.time[hits.energy > 5]) < 1.0


def test_gun_photons_are_found_where_they_hit(library: MinimumBiasLibrary) -> None:
    rng = np.random.default_rng(4)
    vertex_z = rng.normal(0, 5, 64)
    events = simulate_events(gun(0, vertex_z, rng), library, 20.0, rng, vertex_z, choose=False)
    np.testing.assert_array_equal(events.vertex_z, vertex_z)
    truth, photons = events.truth, events.photons
    assert len(truth.event) == 128
    same = truth.event[:, None] == photons.event
    du = photons.u - truth.u[:, None]
    dv = (photons.v - truth.v[:, None] + 180) % 360 - 180
    distance = np.where(same, np.hypot(du, dv), np.inf)
    nearest = distance.argmin(axis=1)
    found = distance.min(axis=1) < 1.0
    assert found.mean() > 0.9
    assert np.median(np.abs(du[np.arange(128), nearest][found])) < 0.06
    ratio = photons.energy[nearest][found] / truth.energy[found]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.02)
    again = find_photons(events.hits["EB"], events.hits["HBHE"], vertex_z)
    np.testing.assert_array_equal(again.energy, photons.energy)


def test_events_are_selected_with_all_their_parts(library: MinimumBiasLibrary) -> None:
    rng = np.random.default_rng(5)
    events = simulate_events(gun(0, np.zeros(6), rng), library, 5.0, rng, np.zeros(6))
    keep = np.array([False, True, False, True, True, False])
    kept = select_events([(events, keep), (events, ~keep)])
    assert len(kept) == 6
    order = np.concatenate([np.flatnonzero(keep), np.flatnonzero(~keep)])
    np.testing.assert_array_equal(kept.group, events.group[order])
    for new, old in enumerate(order):
        mine, his = kept.photons.event == new, events.photons.event == old
        np.testing.assert_array_equal(kept.photons.energy[mine], events.photons.energy[his])
        np.testing.assert_array_equal(kept.pixel_seed[mine], events.pixel_seed[his])
        a, b = kept.hits["EB"], events.hits["EB"]
        np.testing.assert_array_equal(
            a.energy[a.offsets[new] : a.offsets[new + 1]],
            b.energy[b.offsets[old] : b.offsets[old + 1]],
        )
