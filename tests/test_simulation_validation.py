"""The comparison of simulated with real events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError
from data.batch import Hits
from data.reconstruction import Clusters
from data.simulation import activity, validation
from data.simulation.collisions import HALVES, TESTING, TUNING, read_half
from data.simulation.merit import peak


def test_peak_is_the_centre_of_the_core() -> None:
    rng = np.random.default_rng(0)
    mass = np.concatenate([rng.normal(125.0, 1.0, 4000), rng.uniform(100, 125, 2000)])
    assert peak(mass) == pytest.approx(125.0, abs=0.15)


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
    np.testing.assert_array_equal(numbers["EB far from clusters, 0.3-0.5 GeV"], [1, 1])
    np.testing.assert_array_equal(numbers["barrel clusters pt > 20 GeV"], [0, 1])


def test_tracks_in_one_cell_count_once() -> None:
    tracks = Hits.from_events(np.zeros(3, int), 1, np.array([7, 7, 9]), np.array([0.6, 0.6, 2.0]))
    hits = {"EB": Hits.empty(1), "EE": Hits.empty(1), "HBHE": Hits.empty(1), "TRK": tracks}
    empty = activity.standard_photons(hits, np.zeros(1))
    assert activity.event_numbers(hits, empty)["track cells pt > 1 GeV"] == [2]


def test_halves_share_no_event_and_hold_2012_only(real_data: Path) -> None:
    file = real_data / "real" / "DoublePhoton_Run2012B_0.ig"
    tuning, testing = (read_half([file], half) for half in HALVES)
    assert (len(tuning), len(testing)) == (13, 12)
    energies = [set(half.hits["EB"].energy.tolist()) for half in (tuning, testing)]
    assert len(energies[0] & energies[1]) < 0.2 * len(energies[0])  # equal values by chance
    with pytest.raises(InputError, match="no collisions of 2012"):
        read_half([real_data / "real" / "Electron.ig"], TUNING)


def test_pileup_is_found_that_gives_the_wanted_vertices() -> None:
    pileup = validation.matching_pileup(12.0)
    assert 14 < pileup < 18  # some 0.7 vertices an interaction
    events = validation.simulate("diphoton", pileup, validation.CHUNK)
    assert events.n_vertices.mean() == pytest.approx(12.0, abs=0.8)


def test_pulls_and_their_sum_are_written() -> None:
    rng = np.random.default_rng(0)
    events = {"EB hits": rng.normal(10, 1, 100), "HB, 0-0.2 GeV": rng.normal(4, 1, 100)}
    photons = {name: rng.uniform(0, 1, 50) for name in ("R9", "sigmaIetaIeta", "H/E")}
    real = validation.Sample("real", 10.0, {}, events, photons)
    same = validation.numbers([real])
    shifted = same | {"HB, 0-0.2 GeV": same["HB, 0-0.2 GeV"] + 0.5}
    lines = validation.comparison(real, same, shifted)
    bold = next(line for line in lines if line.startswith("| **HB, 0-0.2 GeV**"))
    assert bold.endswith("| +0.0 |")
    assert 3 < float(bold.split("|")[4]) < 7
    assert "1 rows in bold" in lines[-2]
    assert lines[-2].endswith("| 0 |")


def test_simulation_resembles_collisions_that_it_was_not_tuned_on(real_data: Path) -> None:
    group = validation.GROUPS[0]
    files = [real_data / "real" / name for name in group.files[:2]]
    real = validation.real_sample(files, TESTING)
    pileup = validation.matching_pileup(real.n_vertices)
    found = validation.numbers([validation.simulated_sample("diphoton", pileup, validation.CHUNK)])
    error, values = validation.errors(real), validation.numbers([real])
    rows = [name for name in real.events if activity.is_pileup_row(name)]
    pulls = np.array([(found[name] - values[name]) / error[name] for name in rows])
    assert len(rows) > 15
    # before out-of-time pile-up and the endcaps' thresholds the sum was 15 for each row
    assert np.mean(pulls**2) < 6
    assert abs(np.median(pulls)) < 2
