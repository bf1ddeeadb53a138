"""Distorted detectors: their maps, what they do to events; the nominal one does nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError
from data.detector.geometry import EB_SHAPE, N_EB, eb_uv
from data.detector.helix import to_calorimeter
from data.simulation.chunks import Chunk, library_of, simulate_chunk
from data.simulation.conditions import NOMINAL, Detector, detector_named, detector_of
from data.simulation.config import SimulateConfig
from data.simulation.detector import SimulatedEvents, simulate_events
from data.simulation.files import file_jobs
from data.simulation.imperfections import DEAD
from data.simulation.particles import ParticleLists
from data.simulation.readout import BARREL_READOUT, read_barrel
from data.simulation.response import simulate_response
from tests.toy_electrons import electron_lists, write_lists


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lists(tmp_path_factory.mktemp("lists"), 120)


def _events(lists: Path, detector: Detector) -> SimulatedEvents:
    # of one batch: later ones depend on how much was read out of the first
    chunk = Chunk("zee", 0, 0, 60, 60, str(lists), 5.0, 1, True, detector=detector)
    return simulate_chunk(replace(chunk, barrel_only=True)).events


def test_the_nominal_detector_is_1_everywhere() -> None:
    assert NOMINAL.response is None
    assert detector_of("nominal", 3) == NOMINAL
    assert Detector(material=1.5).response is None


def test_maps_have_the_sizes_that_were_asked_for() -> None:
    crystals = Detector(intercalibration=0.015).response
    assert crystals is not None
    assert crystals.shape == (N_EB,)
    assert crystals.std() == pytest.approx(0.015, rel=0.02)
    light = Detector(eta_loss=0.05).response
    assert light is not None
    rings = light.reshape(EB_SHAPE)
    assert np.ptp(rings, axis=1).max() == 0
    assert rings[[0, -1]].min() == pytest.approx(0.95, abs=1e-3)
    assert rings[84:86].min() > 0.9999
    modules = Detector(supermodule_offset=0.008).response
    assert modules is not None
    assert len(np.unique(modules)) == 36
    assert modules.std() == pytest.approx(0.008, rel=0.3)


def test_a_tilt_is_linear_across_a_supermodule() -> None:
    tilted = Detector(supermodule_tilt=0.008).response
    assert tilted is not None
    one = tilted.reshape(EB_SHAPE)[85:, 40:60].astype(np.float64)
    assert one.mean() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(np.diff(one, n=2, axis=0), 0, atol=3e-7)
    np.testing.assert_allclose(np.diff(one, n=2, axis=1), 0, atol=3e-7)
    assert np.ptp(one) > 1e-4


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_seeds_give_their_own_maps_always_the_same(seed: int) -> None:
    first, second = detector_of("strong", seed).response, detector_of("strong", seed + 1).response
    assert first is not None
    assert second is not None
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.6  # they share the loss with eta
    again = detector_named(f"strong_{seed}").response
    np.testing.assert_array_equal(first, again)
    assert first.min() > 0.85
    assert first.max() < 1.15


@pytest.mark.parametrize("name", ["strong", "loud_1", "nominal_1", "weak_x"])
def test_unknown_detectors_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no detector"):
        detector_named(name)


def test_a_distorted_detector_sees_less_and_the_truth_stays(lists: Path) -> None:
    nominal, strong = _events(lists, NOMINAL), _events(lists, Detector(eta_loss=0.5))
    np.testing.assert_array_equal(nominal.truth.energy, strong.truth.energy)
    np.testing.assert_array_equal(nominal.truth.u, strong.truth.u)
    ratio = strong.hits["EB"].energy.sum() / nominal.hits["EB"].energy.sum()
    assert 0.6 < ratio < 0.98


def test_more_material_converts_more_photons_and_brakes_electrons() -> None:
    rng = np.random.default_rng(4)
    electrons = electron_lists(400)
    photons = replace(electrons, species=np.zeros_like(electrons.species))
    z = np.zeros(400)
    converted = [simulate_response(photons, z, rng, material=m).converted.mean() for m in (1, 1.5)]
    assert converted[1] > converted[0] + 0.05
    # of radiating electrons more is outside of the crystal that would be hit
    spread = [_outside(electrons, m, rng) for m in (1.0, 1.5)]
    assert spread[1] > spread[0]


def _outside(lists: ParticleLists, material: float, rng: np.random.Generator) -> float:
    cells = simulate_response(lists, np.zeros(len(lists)), rng, material=material).eb
    event, charge = lists.event, lists.charge.astype(np.float64)
    impact = to_calorimeter(
        lists.pt.astype(np.float64), lists.eta.astype(np.float64), lists.phi.astype(np.float64),
        charge, np.zeros(len(event)),
    )  # fmt: skip
    u, v = (x.reshape(-1, 2) for x in eb_uv(impact.eta, impact.phi))
    du = cells.cell[:, None] // 360 + 0.5 - u[cells.event]
    dv = (cells.cell[:, None] % 360 + 0.5 - v[cells.event] + 180) % 360 - 180
    near = (np.hypot(du, dv) < 3).any(axis=1)
    return float(cells.energy[~near].sum() / cells.energy.sum())


def test_more_noise_is_more_noise_and_thresholds_stay() -> None:
    energy = np.full(N_EB, 3.0, np.float32)
    widths = []
    for factor in (1.0, 1.5):
        hits = read_barrel(energy.copy(), DEAD, np.random.default_rng(5), factor)
        widths.append(hits.energy.std())
    assert widths[0] == pytest.approx(BARREL_READOUT.noise, rel=0.02)
    assert widths[1] == pytest.approx(1.5 * BARREL_READOUT.noise, rel=0.02)


def test_true_electrons_are_where_the_field_takes_them(lists: Path) -> None:
    truth = _events(lists, NOMINAL).truth
    shift = (truth.v - eb_uv(truth.eta, truth.phi)[1] + 180) % 360 - 180
    # 1.29 m of 3.8 T turn a particle by 0.735 GeV / pt; a crystal is a degree
    expected = np.rad2deg(np.arcsin(0.735 / truth.pt))
    np.testing.assert_allclose(np.abs(shift), expected, rtol=0.01)
    assert (np.sign(shift[::2]) == -np.sign(shift[1::2])).all()


def test_leaving_out_endcaps_and_tracks_leaves_photons_alike(lists: Path) -> None:
    library = library_of(str(lists), 1)
    z = np.zeros(60)
    full, bare = (
        simulate_events(
            electron_lists(60), library, 5.0, np.random.default_rng(2), z, barrel_only=only
        )
        for only in (False, True)
    )
    for channel in ("EE", "TRK"):
        assert len(full.hits[channel].energy)
        assert not len(bare.hits[channel].energy)
    np.testing.assert_array_equal(full.photons.seed, bare.photons.seed)
    np.testing.assert_array_equal(full.photons.energy, bare.photons.energy)


def test_files_tell_of_a_distorted_detector_only(tmp_path: Path, lists: Path) -> None:
    def provenance(**settings: object) -> dict[str, Any]:
        config = SimulateConfig(output=tmp_path, lists=lists, events={"gun": 10}, **settings)
        return file_jobs(config, "gun")[0].provenance["config"]

    assert set(provenance()) == {"pileup", "keep_all", "vertex"}
    told = provenance(detector="weak", detector_seed=2)
    assert told["conditions"] == "weak"
    assert told["detector"]["material"] == 1.15
    assert told["detector"]["seed"] == 2
