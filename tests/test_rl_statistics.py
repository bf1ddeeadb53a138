"""Masses of refined pairs, and the figures that tell a gain from a sculpted background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.store import EventStore
from envs.photons.gather import gather_photons
from envs.photons.table import PhotonTable
from rl.evaluation import statistics
from rl.evaluation.metrics import Sample, gain_shares, mass_metrics, photon_metrics
from rl.evaluation.pairs import Pairs, corrected
from tests.synthetic_photons import write_pairs


def _photons(folder: Path, kind: str, n: int) -> tuple[PhotonTable, np.ndarray]:
    with EventStore(write_pairs(folder / f"{kind}.h5", kind, n)) as store:
        return gather_photons(store).matched(), store.vertex_z()


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    folder = tmp_path_factory.mktemp("statistics")
    found = {}
    for kind in ("higgs", "diphoton"):
        table, vertex_z = _photons(folder, kind, 500)
        none = np.zeros_like(table.target)
        rng = np.random.default_rng(0)
        methods = {
            "standard": none,
            "peer": table.target,
            "agent": 0.9 * table.target,
            "control": none + rng.normal(0, 1e-4, none.shape).astype(np.float32),
        }
        found[kind] = Sample(table, vertex_z, methods)
    return found


def test_the_true_correction_gives_the_true_mass(samples: dict[str, Sample]) -> None:
    higgs = samples["higgs"]
    np.testing.assert_allclose(higgs.pairs.true_masses(), 125, rtol=2e-4)
    assert statistics.peak_shift(higgs.masses()["peer"]) == pytest.approx(0, abs=0.02)


def test_no_correction_gives_the_standard_photons(tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "gun.h5", "gun", 50)
    with EventStore(path) as store:
        table, vertex_z = gather_photons(store), store.vertex_z()
        eta, phi, pt = (store.clusters(name) for name in ("eta", "phi", "pt"))
    still = np.zeros((len(table), 3), dtype=np.float32)
    photons = corrected(table, still, vertex_z[table.row])
    place = (table.row, table.slot)
    np.testing.assert_allclose(photons.eta, eta[place], atol=1e-4)
    np.testing.assert_allclose(np.cos(photons.phi - phi[place]), 1, atol=1e-8)
    np.testing.assert_allclose(photons.pt, pt[place], rtol=1e-4)


def test_pairs_need_both_photons(samples: dict[str, Sample]) -> None:
    table = samples["higgs"].table
    lone = table.take(np.flatnonzero((table.slot == 0) | (table.row > 100)))
    pairs = Pairs.of(lone, samples["higgs"].vertex_z)
    assert pairs.row.min() > 100
    np.testing.assert_array_equal(lone.row[pairs.first], lone.row[pairs.second])
    assert np.all(lone.slot[pairs.second] == 1)


def test_metrics_rank_the_methods(samples: dict[str, Sample]) -> None:
    higgs = samples["higgs"]
    photons = photon_metrics(higgs, replicas=20)
    assert (
        photons["agent"]["sigma_eff_energy"]["value"]
        < 0.2 * (photons["standard"]["sigma_eff_energy"]["value"])
    )
    assert photons["standard"]["sigma_eff_energy"]["error"] > 0
    masses = mass_metrics(higgs, {"diphoton": samples["diphoton"]}, replicas=20)
    assert masses["agent"]["significance"]["value"] > 1.5
    assert masses["standard"]["significance"]["value"] == 1
    shares = gain_shares(higgs.masses(), higgs.pairs.group, replicas=20)
    assert shares["agent"]["value"] == pytest.approx(0.9, abs=0.05)
    assert shares["control"]["value"] == pytest.approx(0, abs=0.05)


def test_a_sculpted_background_is_seen() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(90, 170, 400_000)
    honest = true * (1 + rng.normal(0, 0.01, len(true)))
    pulled = honest + 0.5 * (125 - honest) * np.exp(-0.5 * ((honest - 125) / 8) ** 2)
    assert abs(statistics.bump(honest)) < 3
    assert statistics.bump(pulled) > 40
    assert abs(statistics.slope(honest, true)) < 0.01
    shrunk = 125 + 0.9 * (honest - 125)
    assert statistics.slope(shrunk, true) == pytest.approx(-0.8, abs=0.15)


def test_window_and_significance() -> None:
    signal = np.concatenate([np.linspace(124, 126, 700), np.linspace(100, 120, 300)])
    low, high = statistics.signal_window(signal)
    assert 124 <= low < high <= 126
    background = np.linspace(100, 150, 5001)
    expected = 0.683 * 1000 / np.sqrt(np.sum((background >= low) & (background <= high)))
    assert statistics.significance(signal, background) == pytest.approx(expected)


def test_share_of_the_gain() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=20000)
    assert statistics.gain_share(1 + 0.02 * x, 1 + 0.01 * x, 1 + 0.015 * x) == pytest.approx(
        0.5, rel=1e-3
    )
