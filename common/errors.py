"""Errors meant for the person at the keyboard: what went wrong, where, and what to do."""

from __future__ import annotations

from pathlib import Path


class PipelineError(Exception):
    """A failure the user can act on; the command line prints it without a traceback."""


class ConfigError(PipelineError):
    """A configuration key or value that cannot be used."""


class InputError(PipelineError):
    """An input file that cannot be used.

    Parameters
    ----------
    path
        The file at fault.
    problem
        What was found, and what was expected.
    remedy
        What the user can do about it.
    """

    def __init__(self, path: str | Path, problem: str, remedy: str = "") -> None:
        self.path = str(path)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{path}: {problem}" + (f" ({remedy})" if remedy else ""))

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        # Exceptions cross process boundaries by their arguments.
        return type(self), (self.path, self.problem, self.remedy)
