"""Values that no CMS file holds are refused, or skipped and counted, and real ones pass."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import InputError
from data.detector.detid import eb_detid
from data.sources import ReadOptions, open_source, plausible
from data.sources.base import ecal_hits, track_hits
from data.sources.plausible import Place
from tests.faults.bad_files import bad_files
from tests.faults.files import REAL

CELLS = np.array([40_000, 40_001, 40_002, 40_003])
SKIPPED = {
    "an energy that is not a number": {"EB: hits with an energy that is not finite": 2},
    "an energy of 1e9 GeV": {"EB: hits with an impossible energy": 2},
    "an energy of 1e-30 GeV": {"EB: hits with an impossible energy": 2},
    "a time of 1 ms": {"EB: hits with an impossible time": 2},
    "a DetId that names no crystal": {"EB: hits whose DetId names no cell": 2},
    "DetIds out of order": {"EB: events whose DetIds are not in order": 2},
    "a track of charge 3": {"TRK: tracks with an impossible charge": 2},
    "ntuple: a negative energy": {"EB: cells with a negative value": 1},
    "ntuple: an endcap value where no crystal is": {"EE: cells that are no crystal": 1},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return bad_files(tmp_path_factory.mktemp("bad"))


@pytest.mark.parametrize("name", SKIPPED)
def test_not_strict_skips_and_counts(name: str, files: dict[str, Path]) -> None:
    with open_source(files[name]) as source, pytest.raises(InputError, match="strict=false"):
        list(source.batches(0, 2, 10))
    with open_source(files[name], ReadOptions(strict=False)) as source:
        (batch,) = source.batches(0, 2, 10)
        assert dict(source.warnings) == SKIPPED[name]
    energy = batch.hits["EB"].energy
    assert np.isfinite(energy).all()
    assert ((energy > 1e-10) & (energy < 1e4)).all()


@pytest.mark.parametrize("name", list(REAL.values()))
def test_real_files_pass(name: str, real_data: Path) -> None:
    with open_source(real_data / name) as source:
        for _ in source.batches(0, source.n_events, 100):
            pass
    assert not [w for w in source.warnings if "impossible" in w or "order" in w]


def read(place: Place, **columns: Any) -> tuple[np.ndarray, Counter[str]]:
    """Cells of four hits in two events after all checks."""
    values: dict[str, Any] = {
        "detid": eb_detid(CELLS), "energy": np.ones(4, np.float32), "time": np.zeros(4, np.float32),
    } | columns  # fmt: skip
    warnings: Counter[str] = Counter()
    event = np.array([0, 0, 1, 1])
    hits = ecal_hits(
        "EB", event, 2, values["detid"], values["energy"], values["time"], warnings, place
    )
    return hits.cell, warnings


def test_the_message_names_file_product_entry_and_value() -> None:
    energy = np.array([1, 1, 1, 1e9], np.float32)
    with pytest.raises(InputError, match=r"a.root: recHits, entry 8: energy 1e\+09 GeV; expected"):
        read(Place("a.root", "recHits", 7), energy=energy)


def test_order_is_checked_within_events_and_duplicates_pass() -> None:
    place = Place("a.root", "recHits", 0)
    across = eb_detid(CELLS[[2, 3, 0, 1]])
    assert len(read(place, detid=across)[0]) == 4
    assert len(read(place, detid=eb_detid(CELLS[[0, 0, 1, 2]]))[0]) == 3
    with pytest.raises(InputError, match=r"entry 1: DetId .* after .* rising order"):
        read(place, detid=eb_detid(CELLS[[0, 1, 3, 2]]))


def test_event_displays_may_hold_what_is_not_a_number() -> None:
    place = Place("a.ig", "EBRecHits", 0, is_edm=False, members=["first", "second"])
    energy = np.array([np.nan, 1, np.inf, 1])
    cells, warnings = read(place, energy=energy, time=np.array([0, np.nan, 0, 0]))
    assert cells.tolist() == [40_001, 40_003]
    assert warnings == {"EB: hits with an energy that is not finite": 2}
    with pytest.raises(InputError, match="second: energy 1e"):
        read(place, energy=np.array([1, 1, 1, 1e9]))


def test_tracks_of_any_momentum_are_kept_and_counted() -> None:
    """A straight fake has any momentum; nothing is wrong with the file."""
    ones = np.ones(2)
    warnings: Counter[str] = Counter()
    place = Place("a.root", "tracks", 0)
    pt, charge = np.array([3.0, 50_000.0]), np.array([1, -1])
    hits = track_hits(np.zeros(2, int), 1, pt, ones, ones, ones, charge, warnings, place)
    assert len(hits.cell) == 2
    assert warnings == {"TRK: tracks with a pt above 7 TeV": 1}


def test_more_hits_than_crystals() -> None:
    with pytest.raises(InputError, match="entry 4: 61201 of EB; at most 61200"):
        plausible.counts(Place("a.root", "id_", 3), "EB", np.array([61200, 61201]))
