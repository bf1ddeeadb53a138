"""From a command line to one typed configuration: flags, a YAML file, and key=value overrides."""

from __future__ import annotations

import argparse
import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from common.config import StageConfig, build, describe, parse_overrides, read_yaml
from common.errors import ConfigError

_OVERRIDE = re.compile(r"^[A-Za-z_]\w*(\.\w+)*=")


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline, named by import paths so that `--help` imports nothing heavy.

    Attributes
    ----------
    name, summary
        Command word and its line of help.
    config, run
        `module:Class` of the configuration and `module:function` that takes it.
    example
        A command line that works.
    default_yaml
        Configuration file used when none is given.
    """

    name: str
    summary: str
    config: str
    run: str
    example: str
    default_yaml: Path | None = None

    def load_config_class(self) -> type[StageConfig]:
        """The stage's configuration class."""
        return _load(self.config)

    def load_run(self) -> Any:
        """The stage's function."""
        return _load(self.run)


@dataclass(frozen=True)
class Invocation:
    """A parsed command line."""

    stage: Stage
    config: StageConfig
    print_config: bool
    verbose: bool


def parse(stages: Sequence[Stage], argv: Sequence[str], description: str) -> Invocation:
    """Parse a command line into a stage and its checked configuration.

    Raises
    ------
    ConfigError
        For unknown keys, values of the wrong type, missing required ones.
    """
    by_name = {stage.name: stage for stage in stages}
    wanted = next((word for word in argv if not word.startswith("-")), None)
    # Only the wanted stage's options are built: the others' modules stay unimported.
    parser = _top_parser(stages, description)
    subparsers = parser.add_subparsers(dest="stage_name", required=True, metavar="STAGE")
    for stage in stages:
        subparser = subparsers.add_parser(
            stage.name,
            help=stage.summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if stage.name == wanted:
            _add_options(subparser, stage)
    words, overrides = split_overrides(argv)
    arguments = vars(parser.parse_args(words))
    stage = by_name[arguments.pop("stage_name")]
    print_config, verbose = arguments.pop("print_config"), arguments.pop("verbose")
    path = arguments.pop("config_file") or stage.default_yaml
    section = arguments.pop("section")
    flags = {name: value for name, value in arguments.items() if value is not None}
    model = stage.load_config_class()
    given = [_split_lists(model, flags), parse_overrides(overrides)]
    folder = next((layer["folder"] for layer in reversed(given) if "folder" in layer), None)
    layers = [_from_file(path, section or stage.name, folder)] if path else []
    config = build(model, *layers, *given)
    return Invocation(stage, config, print_config, verbose)


def split_overrides(argv: Iterable[str]) -> tuple[list[str], list[str]]:
    """Separate `key.sub=value` words from the rest; the name of an existing file is no override."""
    words: list[str] = []
    overrides: list[str] = []
    for word in argv:
        is_override = _OVERRIDE.match(word) and not Path(word).exists()
        (overrides if is_override else words).append(word)
    return words, overrides


def substitute_folder(content: Any, folder: str) -> Any:
    """Replace `{folder}` in every text of a configuration read from YAML."""
    if isinstance(content, dict):
        return {key: substitute_folder(value, folder) for key, value in content.items()}
    if isinstance(content, list):
        return [substitute_folder(value, folder) for value in content]
    return content.replace("{folder}", folder) if isinstance(content, str) else content


def _top_parser(stages: Sequence[Stage], description: str) -> argparse.ArgumentParser:
    examples = "\n".join(f"  python run_pipeline.py {stage.example}" for stage in stages)
    hint = "`run_pipeline.py STAGE --help` lists every key of a stage."
    return argparse.ArgumentParser(
        prog="run_pipeline.py",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"examples:\n{examples}\n\n{hint}",
        allow_abbrev=False,
    )


def _add_options(parser: argparse.ArgumentParser, stage: Stage) -> None:
    model = stage.load_config_class()
    parser.description = stage.summary
    parser.epilog = _key_table(model) + f"\nexample:\n  python run_pipeline.py {stage.example}\n"
    for name, field in model.model_fields.items():
        _add_flag(parser, name, field)
    general = parser.add_argument_group("configuration")
    general.add_argument(
        "--config", dest="config_file", metavar="YAML", help="file of keys; flags override it"
    )
    general.add_argument(
        "--section", metavar="KEY", help="section of that file (default: the stage's own name)"
    )
    general.add_argument(
        "--print-config", action="store_true", help="print the complete configuration and stop"
    )
    general.add_argument("--verbose", action="store_true", help="log details")


def _add_flag(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    flag = "--" + name.replace("_", "-")
    text = (field.description or "").replace("%", "%%")
    annotation = str(field.annotation)
    if field.annotation is bool:
        parser.add_argument(
            flag, dest=name, default=None, action=argparse.BooleanOptionalAction, help=text
        )
    elif annotation.startswith("list"):
        # Given twice, a flag adds to its list: the first values must not vanish without a word.
        parser.add_argument(flag, dest=name, nargs="+", action="extend", metavar="VALUE", help=text)
    elif not annotation.startswith("dict") and "Config" not in annotation:
        parser.add_argument(flag, dest=name, metavar="VALUE", help=text)


def _key_table(model: type[StageConfig]) -> str:
    """Every key with its default and meaning; nested keys are set by `key.sub=value`."""
    width = max(60, shutil.get_terminal_size((100, 24)).columns - 8)
    lines = ["keys (set with key=value, or in the YAML file):"]
    for key, default, meaning in describe(model):
        lines.append(f"  {key} = {default}")
        lines += textwrap.wrap(meaning, width, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(lines) + "\n"


def _from_file(path: str | Path, section: str, folder: str | None) -> dict[str, Any]:
    content = read_yaml(path)
    content = substitute_folder(content, str(folder or content.get("folder", ".")))
    inner: Any = content
    for part in section.split("."):
        if not isinstance(inner, dict) or part not in inner:
            if section.count("."):
                raise ConfigError(f"{path}: no section {section}")
            return content
        inner = inner[part]
    if not isinstance(inner, dict):
        raise ConfigError(f"{path}: section {section} is not a mapping")
    return inner


def _split_lists(model: type[StageConfig], flags: dict[str, Any]) -> dict[str, Any]:
    """Allow `--images A,B` for lists of names (paths may hold commas, so they are left alone)."""
    for name, value in flags.items():
        if isinstance(value, list) and str(model.model_fields[name].annotation) == "list[str]":
            flags[name] = [item for word in value for item in word.split(",") if item]
    return flags


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
