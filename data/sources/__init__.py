"""Readers of every input format; `open_source` tells them apart by content."""

from data.sources.base import DEFAULT, ReadOptions, Source
from data.sources.opening import open_source

__all__ = ["DEFAULT", "ReadOptions", "Source", "open_source"]
