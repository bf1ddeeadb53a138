"""Typed configuration: layers, overrides, unknown keys, the command line's view of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from common import cli
from common.config import StageConfig, build, describe, dump, parse_overrides, read_yaml
from common.errors import ConfigError


class Training(StageConfig):
    epochs: int = Field(3, description="passes over the sample")
    rate: float = Field(0.1, description="learning rate")


class Example(StageConfig):
    input: list[Path] = Field(description="files")
    names: list[str] = Field(["a"], description="names")
    fast: bool = Field(False, description="be quick")
    training: Training = Field(Training(), description="training")


STAGE = cli.Stage("example", "an example", "tests.test_config:Example", "unused:unused", "example")


def test_later_layers_win_and_keep_the_rest() -> None:
    config = build(
        Example,
        {"input": ["x"], "training": {"epochs": 5, "rate": 0.5}},
        parse_overrides(["training.rate=0.25"]),
    )
    assert config.training.epochs == 5
    assert config.training.rate == 0.25


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.epoch=3"], "did you mean training.epochs?"),
        (["imput=x"], "did you mean input?"),
        (["training.epochs=many"], "training.epochs: Input should be a valid integer"),
        (["training.epochs"], "expected key=value"),
    ],
)
def test_a_wrong_override_is_refused_by_name(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        build(Example, {"input": ["x"]}, parse_overrides(overrides))


def test_a_missing_required_key_is_named() -> None:
    with pytest.raises(ConfigError, match="input: Field required"):
        build(Example)


def test_the_dumped_configuration_reads_back(tmp_path: Path) -> None:
    config = build(Example, {"input": ["x"], "training": {"rate": 1e-5}})
    path = tmp_path / "config.yaml"
    path.write_text(dump(config))
    assert build(Example, read_yaml(path)) == config


def test_every_key_is_described() -> None:
    keys = {key: default for key, default, _ in describe(Example)}
    assert keys["training.epochs"] == "3"
    assert keys["input"] == "required"


@pytest.mark.parametrize("content", ["a: [1", "- 1"])
def test_yaml_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        read_yaml(path)


def test_flags_file_and_overrides_meet_in_one_configuration(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("folder: runs\nexample: {input: ['{folder}/x'], training: {epochs: 7}}\n")
    argv = ["example", "--config", str(path), "--names", "b,c", "--fast", "training.rate=2"]
    config = cli.parse([STAGE], argv, "").config
    assert isinstance(config, Example)
    assert config.input == [Path("runs/x")]
    assert config.names == ["b", "c"]
    assert config.fast
    assert config.training == Training(epochs=7, rate=2.0)


def test_a_list_flag_given_twice_adds_to_the_list() -> None:
    argv = ["example", "--input", "x.root", "y.root", "--input", "z.root"]
    config = cli.parse([STAGE], argv, "").config
    assert isinstance(config, Example)
    assert config.input == [Path("x.root"), Path("y.root"), Path("z.root")]


def test_an_override_after_a_list_flag_is_no_list_item() -> None:
    argv = ["example", "--input", "x.root", "y.root", "training.epochs=9"]
    config = cli.parse([STAGE], argv, "").config
    assert isinstance(config, Example)
    assert config.input == [Path("x.root"), Path("y.root")]
    assert config.training.epochs == 9


def test_an_existing_file_with_an_equals_sign_is_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run=1").touch()
    assert cli.split_overrides(["run=1", "a=2"]) == (["run=1"], ["a=2"])


def test_help_lists_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.parse([STAGE], ["example", "--help"], "")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "training.epochs = 3" in text
    assert "passes over the sample" in text
