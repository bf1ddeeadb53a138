"""The study of mass decorrelation on a small store."""

from __future__ import annotations

import json

import numpy as np
import pytest

from common.config import build
from data.store import EventStore
from e2e.decorrelation import stage
from e2e.decorrelation.config import DecorrelateConfig
from e2e.decorrelation.variants import REFERENCE, inputs_of, variants
from e2e.evaluation.merit import bump
from e2e.inputs.diphoton import read_inputs
from tests.synthetic import write_store


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> DecorrelateConfig:
    folder = tmp_path_factory.mktemp("decorrelate")
    config = build(
        DecorrelateConfig,
        {
            "store": write_store(folder / "events.h5", 240),
            "output": folder / "run",
            "weights": [5.0],
            "raw_weights": [],
            "network": {"widths": [8, 12], "context_widths": [6], "hidden": 16},
            "training": {"epochs": 1, "batch_size": 64, "tensorboard": False, "device": "cpu"},
            "split": {"folds": 2},
            "tree": {"iterations": 30},
            "background_efficiencies": [0.5, 0.2],
            "bootstrap": 8,
            "threads": 1,
        },
    )
    stage.run(config)
    return config


def test_every_variant_is_trained_and_judged_on_the_same_events(
    finished: DecorrelateConfig,
) -> None:
    metrics = json.loads((finished.output / "metrics.json").read_text())
    names = [variant.name for variant in variants(finished)]
    assert names[0] == REFERENCE
    assert {"scaled", "scaled_disco_2", "raw", "mass", "mass_disco_5", "tree_mass"} <= set(names)
    for key in ("auc", "mass_sculpting", "distance_correlation"):
        assert list(metrics[key]) == names
    assert all(
        pair["difference"] == 0 for pair in metrics["auc"][REFERENCE]["as_generated"].values()
    )
    for rows in metrics["mass_sculpting"].values():
        assert [row["background_efficiency"] for row in rows] == [0.5, 0.2]
        assert rows[0]["bump_error"] > 0
    # Whoever is told m_gg uses it: on this store signal is a narrow peak.
    assert metrics["auc"]["tree_mass"]["as_generated"]["higgs_diphoton"]["value"] > 0.9
    sculpted, blind = (metrics["mass_sculpting"][n][1] for n in ("tree_mass", "tree_scaled"))
    assert sculpted["divergence"] > blind["divergence"]
    report = json.loads((finished.output / "report.json").read_text())
    titles = {table["title"] for table in report["tables"]}
    assert titles == {"What decorrelation costs", "Background after a cut"}
    for name in ("background_shapes", "separation_against_divergence"):
        assert (finished.output / "figures" / f"{name}.png").stat().st_size > 1000


def test_a_complete_run_is_kept(finished: DecorrelateConfig) -> None:
    before = (finished.output / "run.json").read_bytes()
    stage.run(finished)
    assert (finished.output / "run.json").read_bytes() == before


def test_raw_images_hold_the_hits_as_they_are(finished: DecorrelateConfig) -> None:
    with EventStore(finished.store) as store:
        raw = read_inputs(store, inputs_of("raw", finished))
        scaled = read_inputs(store, inputs_of("scaled", finished))
        e5x5 = store.clusters("e5x5")
    crops = raw.images["crops"].dense(np.arange(40)).numpy()
    # The photon's own sum, in GeV, is in the middle of its crop.
    middle = crops[:, :, 1, 4:12, 4:12].sum(axis=(2, 3))
    assert np.median(middle / e5x5[:40]) == pytest.approx(1, abs=0.03)
    assert (raw.images["crops"].value < 1).any()
    assert len(raw.images["crops"].value) > len(scaled.images["crops"].value)


def test_a_bump_is_an_excess_over_both_sidebands() -> None:
    rng = np.random.default_rng(0)
    mass = rng.uniform(100, 150, 40000)
    assert bump(mass, rng.random(40000) < 0.3) == pytest.approx(1, abs=0.05)
    assert bump(mass, rng.random(40000) < (mass - 80) / 100) == pytest.approx(1, abs=0.05)
    assert bump(mass, np.abs(mass - 125) < 5) != bump(mass, np.abs(mass - 125) >= 5)
    peak = rng.random(40000) < np.where(np.abs(mass - 125) < 5, 0.6, 0.2)
    assert bump(mass, peak) == pytest.approx(3, abs=0.2)
