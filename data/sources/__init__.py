"""Readers of every input format; `open_source` tells them apart by content."""

from data.sources.base import Source
from data.sources.opening import open_source

__all__ = ["Source", "open_source"]
