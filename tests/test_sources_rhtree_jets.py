"""Jets of the ntuple's jet analysers: vectors, numbered scalars, damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest
import uproot

from common.errors import InputError
from data.sources import open_source
from tests.made_files import dense_images, make_events
from tests.made_objects import COUNTS, N_EVENTS, jagged

VECTORS = {
    "jetPt": jagged("f4", 70, 200, 1),
    "jetM": jagged("f4", 5, 20, 2),
    "jetSeed_iphi": ak.values_astype(jagged("i4", 0, 72, 3), np.float32),
    "jetSeed_ieta": ak.values_astype(jagged("i4", 12, 44, 4), np.float32),
    "jetIsQuark": ak.values_astype(jagged("i4", 0, 2, 5), np.float32),
    "jetPdgIds": ak.values_astype(jagged("i4", 1, 22, 6), np.float32),
    "jet_unheard_of": jagged("f4", 0, 1, 7),
}
TYPES = {"pt": "f4", "mass": "f4", "seed_row": "i2", "seed_column": "i2"}


def write(path: Path, extra: dict[str, Any]) -> Path:
    events = make_events(N_EVENTS)
    ids = dict(zip(("runId", "lumiId", "eventId"), events.ids.T.astype(np.uint32), strict=True))
    images = {name: image for name, image in dense_images(events).items() if name == "EB_energy"}
    columns = {**ids, **images, **extra}
    types = {
        k: c.type if isinstance(c, ak.Array) else (c.dtype, c.shape[1:])
        for k, c in columns.items()
    }  # fmt: skip
    with uproot.recreate(path) as file:
        file.mktree("fevt/RHTree", types).extend(columns)
    return path


def test_vectors(tmp_path: Path) -> None:
    with open_source(write(tmp_path / "a.root", VECTORS)) as source:
        assert source.collections == {
            "objects/Jet": TYPES, "truth/jets": {"label": "i4", "pdg_id": "i4"},
        }  # fmt: skip
        assert source.origin == "simulation"
        batches = list(source.batches(0, N_EVENTS, 3))
    counts = np.concatenate([np.diff(b.collections["objects/Jet"].offsets) for b in batches])
    np.testing.assert_array_equal(counts, COUNTS)
    for place, column, name in (
        ("objects/Jet", "pt", "jetPt"),
        ("objects/Jet", "seed_row", "jetSeed_ieta"),
        ("objects/Jet", "seed_column", "jetSeed_iphi"),
        ("truth/jets", "label", "jetIsQuark"),
        ("truth/jets", "pdg_id", "jetPdgIds"),
    ):
        found = np.concatenate([b.collections[place].columns[column] for b in batches])
        np.testing.assert_array_equal(found, ak.flatten(VECTORS[name]))


def test_numbered_scalars(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = ("jetPt", "jetM", "jetSeed_iphi", "jetSeed_ieta", "jetIsQuark", "jetIds")
    extra = {f"{n}{i}": rng.integers(1, 40, N_EVENTS).astype("f4") for n in names for i in (0, 1)}
    with open_source(write(tmp_path / "a.root", extra)) as source:
        assert source.collections["objects/Jet"] == TYPES
        (batch,) = source.batches(1, 4, 10)
    jets = batch.collections["objects/Jet"]
    np.testing.assert_array_equal(jets.offsets, [0, 2, 4, 6])
    expected = np.stack([extra["jetPt0"], extra["jetPt1"]], axis=1)[1:4].reshape(-1)
    np.testing.assert_array_equal(jets.columns["pt"], expected)
    np.testing.assert_array_equal(np.diff(batch.collections["truth/jets"].offsets), [2, 2, 2])


def test_events_without_jets_are_as_before(tmp_path: Path) -> None:
    with open_source(write(tmp_path / "a.root", {})) as source:
        (batch,) = source.batches(0, N_EVENTS, 10)
        assert (source.collections, batch.collections) == ({}, {})
        assert source.origin == "collision"


def test_unequal_lengths_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.root", VECTORS | {"jetM": VECTORS["jetM"][:, :1]})
    with open_source(path) as source, pytest.raises(InputError, match=r"jetM, entry 0: 1 values"):
        list(source.batches(0, N_EVENTS, 10))
