"""The almost-JSON of CMS event displays, parsed without evaluating it and within bounds."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_CHARACTERS = 16 << 20  # the largest known event has 2 MB

# Strings are matched first, so that nothing inside them is changed. Possessive repeats and the
# match of an unfinished string to the end keep the search linear in the length of any text.
_TOKEN = re.compile(
    r'"(?:[^"\\]++|\\(?:.|\Z))*+(?:"|\Z)'
    r"|'(?:[^'\\]++|\\(?:.|\Z))*+(?:'|\Z)"
    r"|[()]"
    r"|(?<![A-Za-z0-9_.])(?:[nN][aA][nN]|[iI][nN][fF](?:inity)?)(?![A-Za-z0-9_.])",
    re.DOTALL,
)


class IgFormatError(ValueError):
    """The text is not an event of the event display."""


def parse_event(text: str) -> dict[str, Any]:
    """Parse one event into `{"Types": ..., "Collections": ...}`.

    Tuples become lists, single quotes double ones, and nan and inf are accepted.

    Raises
    ------
    IgFormatError
        If the text is too long, too deep, not of this format, or has no Types or Collections.
    """
    if len(text) > MAX_CHARACTERS:
        raise IgFormatError(f"{len(text)} characters; at most {MAX_CHARACTERS} are accepted")
    try:
        event = json.loads(_TOKEN.sub(_to_json, text))
    except (ValueError, RecursionError) as error:
        raise IgFormatError(f"not readable: {str(error)[:200]}") from error
    if not isinstance(event, dict):
        raise IgFormatError(f"expected a dictionary, found {type(event).__name__}")
    for name in ("Types", "Collections"):
        if not isinstance(event.get(name), dict):
            raise IgFormatError(f"no {name}")
    return event


def _to_json(match: re.Match[str]) -> str:
    token = match.group()
    first = token[0]
    if first == '"':
        return token
    if first == "'":
        if len(token) < 2 or not token.endswith("'"):
            return token
        return '"' + token[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
    if first in "()":
        return "[" if first == "(" else "]"
    return "NaN" if first in "nN" else "Infinity"
