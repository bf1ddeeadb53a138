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


class OutputError(PipelineError):
    """A file that cannot be written: the disk is full or read-only. No input is at fault."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(
            f"{path}: cannot be written: {reason} (make room, or choose another output; the same "
            "command then goes on where it stopped)"
        )

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.path, self.reason)
