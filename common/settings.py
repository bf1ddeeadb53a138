"""Settings read from JSON, where there is no pydantic: the same attributes, read-only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from common.errors import ConfigError


class Settings:
    """Read-only attributes made from a mapping; its values stay what they are.

    Stands for a configuration whose complete values were written as JSON on another machine.

    Parameters
    ----------
    values
        By name.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", dict(values))

    def __getattr__(self, name: str) -> Any:
        # Before __init__, as when unpickled, there are no values to look among.
        values = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        raise AttributeError(f"no setting {name}; there are {', '.join(values)}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings are read-only: {name}")

    def __repr__(self) -> str:
        return f"Settings({plain(self)})"


def plain(config: Any) -> dict[str, Any]:
    """The JSON values of a configuration, be it a pydantic model or Settings."""
    if isinstance(config, Settings):
        return dict(config.__dict__["_values"])
    return config.model_dump(mode="json")


def changed(config: Any, values: Mapping[str, Any]) -> Any:
    """A configuration with some values replaced; of the same type as `config`.

    Raises
    ------
    ConfigError
        For an unknown name, or a value of another type than the one it replaces.
    """
    known = plain(config)
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"unknown setting {name}; known: {', '.join(known)}")
        if not _alike(known[name], value):
            raise ConfigError(f"{name}={value!r}: expected a value like {known[name]!r}")
    if isinstance(config, Settings):
        return Settings({**known, **values})
    return type(config)(**{**known, **values})


def _alike(old: Any, new: Any) -> bool:
    if isinstance(old, float):  # JSON writes 1.0 as it likes
        return isinstance(new, int | float) and not isinstance(new, bool)
    return old is None or type(old) is type(new)
