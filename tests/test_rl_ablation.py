"""The ablation: rows beside their own peers, resumed part by part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.config import build
from common.errors import ConfigError
from rl.ablation import parts, stage
from rl.ablation.config import VARIANTS, AblationConfig
from rl.refinement.config import RefineConfig

ROWS = ("default", "without shapes", "K = 1")


@pytest.fixture(scope="module")
def config(
    refinement_run: RefineConfig, tmp_path_factory: pytest.TempPathFactory
) -> AblationConfig:
    settings = {
        "output": tmp_path_factory.mktemp("ablation"),
        "variants": {name: VARIANTS[name] for name in ROWS},
        "seeds": 2,
        "agent": {"updates": 32, "environments": 128, "batch_size": 64, "hidden": [16]},
        "regression": {"epochs": 2, "hidden": [16]},
    }
    return build(AblationConfig, refinement_run.model_dump(), settings)


@pytest.fixture(scope="module")
def metrics(config: AblationConfig) -> dict[str, Any]:
    return stage.run(config)


def test_every_row_has_agent_and_peer_of_every_seed(
    config: AblationConfig, metrics: dict[str, Any]
) -> None:
    assert tuple(metrics["rows"]) == ROWS
    for row in metrics["rows"].values():
        assert len(row["seeds"]) == 2
        assert row["agent"]["sigma_eff_energy"]["error"] > 0
        assert row["regression"]["sigma_eff_energy"]["error"] == 0
        assert np.isfinite(row["difference"]["error"])
    titles = [t["title"] for t in json.loads((config.output / "report.json").read_text())["tables"]]
    assert titles == ["Ablation", "Ablation: masses and positions"]
    assert (config.output / "figures" / "ablation.png").stat().st_size > 5000


def test_rows_with_equal_inputs_share_their_regression(
    config: AblationConfig, metrics: dict[str, Any]
) -> None:
    assert len(list((config.output / "parts").glob("regression_*"))) == 2
    rows = metrics["rows"]
    assert rows["default"]["regression"] == rows["K = 1"]["regression"]
    assert rows["default"]["regression"] != rows["without shapes"]["regression"]


def test_what_is_there_is_not_trained_again(
    config: AblationConfig, metrics: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.output / "run.json").unlink()
    lost = parts.path_of(config, "K = 1", 1)
    lost.unlink()
    trained = []
    train = parts.train

    def counted(*words: Any) -> None:
        trained.append(words[1:])
        train(*words)

    monkeypatch.setattr(parts, "train", counted)
    again = stage.run(config)
    assert trained == [("K = 1", 1)]
    for name, row in metrics["rows"].items():
        assert again["rows"][name]["agent"] == row["agent"]


def test_parts_serve_runs_with_other_rows_and_seeds(config: AblationConfig) -> None:
    fewer = config.model_copy(update={"variants": {"K = 1": VARIANTS["K = 1"]}, "seeds": 1})
    assert parts.path_of(fewer, "K = 1", 0) == parts.path_of(config, "K = 1", 0)
    longer = build(AblationConfig, config.model_dump(), {"agent": {"updates": 48}})
    assert parts.path_of(longer, "K = 1", 0) != parts.path_of(config, "K = 1", 0)


def test_a_row_with_an_unknown_key_is_refused_at_once(config: AblationConfig) -> None:
    wrong = config.model_copy(update={"variants": {"x": {"agent": {"gama": 1}}}})
    with pytest.raises(ConfigError, match="gama"):
        stage.run(wrong)


def test_every_row_of_the_default_can_be_built(config: AblationConfig, tmp_path: Path) -> None:
    every = config.model_copy(update={"variants": VARIANTS})
    for name in VARIANTS:
        assert every.variant(name, 1).seed == config.seed + 1
