"""Typed configuration: YAML files, `key.sub=value` overrides, unknown keys refused by name."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import ConfigError


class StageConfig(BaseModel):
    """Base of every stage's configuration; each field's description is its help text."""

    model_config = ConfigDict(extra="forbid", validate_default=True)


ConfigT = TypeVar("ConfigT", bound=StageConfig)


def build(model: type[ConfigT], *layers: Mapping[str, Any]) -> ConfigT:
    """Merge layers (later ones win), check them against `model`, and return the typed result.

    Raises
    ------
    ConfigError
        For an unknown key (naming the nearest known one) or a value of the wrong type.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        _merge(merged, layer)
    _refuse_unknown(model, merged)
    try:
        return model(**merged)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(p) for p in e['loc'])}: {e['msg']} (got {e['input']!r})"
            for e in error.errors()
        ]
        raise ConfigError("invalid configuration:\n" + "\n".join(lines)) from None


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping."""
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, found {type(content).__name__}")
    return content


def parse_overrides(overrides: Sequence[str]) -> dict[str, Any]:
    """Turn `["training.epochs=3"]` into `{"training": {"epochs": 3}}`; values are YAML."""
    result: dict[str, Any] = {}
    for item in overrides:
        key, separator, value = item.partition("=")
        if not separator or not key.strip():
            raise ConfigError(f"{item!r}: expected key=value, such as training.epochs=3")
        nested: Any = yaml.safe_load(value) if value else None
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        _merge(result, nested)
    return result


def dump(config: StageConfig) -> str:
    """The complete configuration as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def describe(model: type[StageConfig], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (dotted key, default, description) of every key, nested ones included."""
    for name, field in model.model_fields.items():
        inner = _nested_model(field.annotation)
        if inner is not None:
            yield from describe(inner, f"{prefix}{name}.")
            continue
        default = (
            "required" if field.is_required() else field.get_default(call_default_factory=True)
        )
        yield f"{prefix}{name}", str(default), field.description or ""


def _merge(target: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = dict(value) if isinstance(value, Mapping) else value


def _refuse_unknown(model: type[BaseModel], values: Mapping[str, Any], prefix: str = "") -> None:
    known = model.model_fields
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), list(known), n=1, cutoff=0.5)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"unknown configuration key {prefix}{key}: {hint}")
        inner = _nested_model(known[key].annotation)
        if inner is not None and isinstance(value, Mapping):
            _refuse_unknown(inner, value, f"{prefix}{key}.")


def _nested_model(annotation: Any) -> type[StageConfig] | None:
    """The StageConfig inside an annotation such as `Inner` or `Inner | None`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, StageConfig):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for option in typing.get_args(annotation):
            if isinstance(option, type) and issubclass(option, StageConfig):
                return option
    return None
