"""The comparison of simulated with real events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.batch import Hits
from data.reconstruction import Clusters
from data.simulation import activity, validation


def test_peak_is_the_centre_of_the_core() -> None:
    rng = np.random.default_rng(0)
    mass = np.concatenate([rng.normal(125.0, 1.0, 4000), rng.uniform(100, 125, 2000)])
    assert validation.peak(mass) == pytest.approx(125.0, abs=0.15)


def test_hits_near_clusters_are_told_from_far_ones() -> None:
    one = np.zeros(1)
    cluster = Clusters(
        event=np.array([1]), u=np.array([80.5]), v=np.array([359.5]), seed=np.array([80 * 360]),
        **dict.fromkeys(("energy", "pt", "phi", "r9", "e5x5"), one + 30),
        **dict.fromkeys(("eta", "sigma_ieta_ieta", "h_over_e"), one),
    )  # fmt: skip
    cells = np.array([80 * 360 + 5, 80 * 360 + 40, 80 * 360 + 5])
    eb = Hits.from_events(np.array([1, 1, 0]), 2, cells, np.full(3, 0.5))
    hits = {"EB": eb, "EE": Hits.empty(2), "HBHE": Hits.empty(2), "TRK": Hits.empty(2)}
    numbers = activity.event_numbers(hits, cluster)
    np.testing.assert_array_equal(numbers["EB hits"], [1, 2])
    np.testing.assert_array_equal(numbers["EB hits 0.3-1 GeV, far from clusters"], [1, 1])
    np.testing.assert_array_equal(numbers["barrel clusters pt > 20 GeV"], [0, 1])


def test_tracks_in_one_cell_count_once() -> None:
    tracks = Hits.from_events(np.zeros(3, int), 1, np.array([7, 7, 9]), np.array([0.6, 0.6, 2.0]))
    hits = {"EB": Hits.empty(1), "EE": Hits.empty(1), "HBHE": Hits.empty(1), "TRK": tracks}
    empty = activity.standard_photons(hits, np.zeros(1))
    assert activity.event_numbers(hits, empty)["track cells pt > 1 GeV"] == [2]


def test_simulated_barrel_resembles_collisions(real_data: Path) -> None:
    real = validation.real_sample(real_data / "real" / "DoubleElectron_Run2012C_0.ig")
    pileup = (real.n_vertices - 1) / validation.VERTEX_EFFICIENCY
    simulated = validation.simulated_sample("diphoton", pileup)
    lines = validation.comparison(real, [simulated], "a test")
    assert any(line.startswith("| EB hits 0.3-1 GeV |") for line in lines)
    for name in ("EB hits 0.3-1 GeV, far from clusters", "track cells pt > 1 GeV"):
        values = real.events[name]
        error = values.std() / np.sqrt(len(values))
        assert abs(simulated.events[name].mean() - values.mean()) < 3 * error, name
