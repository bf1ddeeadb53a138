"""Dense images from sparse hits, under the names of the paper's ntuple and extensions of them.

`IMAGES` is the table of all images; `docs/images.md` explains their geometries and conventions.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from common.errors import ConfigError
from data.batch import Hits
from data.detector.image_table import IMAGES, STACKS, Image
from data.detector.pixels import FloatArray, Pixels, scatter

__all__ = [
    "IMAGES",
    "STACKS",
    "Image",
    "Upsampling",
    "image",
    "lacking",
    "make_image",
    "make_pixels",
    "stack",
]

Upsampling = Literal["conserving", "repeated"]
_WHO_HAS = {
    "time": "AOD files and event displays have times, the ntuple for EB only",
    "eta": "AOD files and event displays have tracks, the ntuple has sums of pt per cell",
}
_WHO_HAS |= dict.fromkeys(("phi", "z", "charge"), _WHO_HAS["eta"])


def make_image(
    name: str, hits: Mapping[str, Hits], upsampling: Upsampling = "conserving"
) -> FloatArray:
    """Dense image of N events.

    Parameters
    ----------
    name
        One of `IMAGES`.
    hits
        Hits by channel; those in `IMAGES[name].channels` are needed.
    upsampling
        How a tower is spread over its 25 crystals in upsampled images: energy / 25 in each
        (conserving) or its energy in each (repeated). Of no effect on other images.

    Returns
    -------
    (N, rows, columns) float32.

    Raises
    ------
    ConfigError
        For an unknown name, naming the nearest known one; for hits without a channel or a column
        that the image is made of, saying which sources have it.
    """
    return stack([name], hits, upsampling)[..., 0]


def make_pixels(
    name: str, hits: Mapping[str, Hits], upsampling: Upsampling = "conserving"
) -> Pixels:
    """The rows that sum up to the image of a name; arguments and errors as `make_image`."""
    made = image(name)
    if upsampling not in ("conserving", "repeated"):
        raise ConfigError(f"upsampling {upsampling!r}: conserving or repeated")
    present = {
        channel: found.columns if len(found.cell) else None for channel, found in hits.items()
    }
    if missing := lacking(name, present):
        raise ConfigError(f"{name} needs {missing}")
    pixels = made.fill(hits)
    if made.upsampled and upsampling == "conserving":
        return pixels._replace(value=pixels.value / 25)
    return pixels


def lacking(name: str, columns: Mapping[str, Collection[str] | None]) -> str:
    """What an image needs and a source lacks, in words; empty if it has all.

    Parameters
    ----------
    columns
        The columns of each channel that is there; None for any, as of a channel without hits.
    """
    made = image(name)
    absent = [channel for channel in made.channels if channel not in columns]
    if absent:
        return f"{' and '.join(absent)} hits, which no input provided"
    for channel in made.channels:
        present = columns[channel]
        without = [] if present is None else [c for c in made.columns if c not in present]
        if without:
            return (
                f"{' and '.join(without)} of the {channel} hits, which their source lacks: "
                f"{_WHO_HAS[without[0]]}"
            )
    return ""


def stack(
    names: Sequence[str], hits: Mapping[str, Hits], upsampling: Upsampling = "conserving"
) -> FloatArray:
    """Images of equal shape as the channels of one array, such as `STACKS["X_EB"]`.

    Returns
    -------
    (N, rows, columns, len(names)) float32.

    Raises
    ------
    ConfigError
        As `make_image`, and for images of different shapes.
    """
    shapes = {image(name).shape for name in names}
    if len(shapes) != 1:
        raise ConfigError(
            f"images of {len(shapes)} shapes do not stack: "
            + ", ".join(f"{name} {image(name).shape}" for name in names)
        )
    layers = [make_pixels(name, hits, upsampling) for name in names]
    return scatter(layers, len(hits[image(names[0]).channels[0]]), shapes.pop())


def image(name: str) -> Image:
    """The image of a name; `ConfigError` names the nearest one for an unknown name."""
    if name in IMAGES:
        return IMAGES[name]
    by_lower = {known.lower(): known for known in IMAGES}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.4)
    hint = f"did you mean {by_lower[near[0]]}? " if near else ""
    raise ConfigError(f"unknown image {name!r}: {hint}All are listed in docs/images.md")
