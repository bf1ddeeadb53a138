"""From photons to the constant part of the observation: blocks, projection, standardisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError
from envs.photons.table import PhotonTable
from envs.refinement.config import Block, EnvironmentConfig
from envs.refinement.features import NAMED_BLOCKS, REGRESSION_NAMES
from envs.refinement.shower import ShowerTemplate

FloatArray = NDArray[np.float32]

CLIP = 6.0  # standard deviations
_REMEDY = "leave it out of environment.blocks, or provide the classifier's low-level outputs"


@dataclass(frozen=True)
class Projection:
    """Principal components: (x - mean) @ components, mean (F,), components (F, C)."""

    mean: FloatArray
    components: FloatArray

    @classmethod
    def fit(cls, values: FloatArray, n_components: int) -> Projection:
        """The leading components of (n, F) values; fewer where there are not as many."""
        values = values.astype(np.float32)
        mean = values.mean(axis=0)
        centred = values - mean
        covariance = centred.T @ centred / len(values)
        _, vectors = np.linalg.eigh(covariance.astype(np.float64))
        components = vectors[:, ::-1][:, : min(n_components, len(values))]
        # The sign of an eigenvector is arbitrary: fix it, so that equal data gives equal bytes.
        largest = np.abs(components).argmax(axis=0)
        components = components * np.sign(components[largest, np.arange(components.shape[1])])
        return cls(mean, components.astype(np.float32))

    def __call__(self, values: FloatArray) -> FloatArray:
        centred: FloatArray = values.astype(np.float32) - self.mean
        return (centred @ self.components).astype(np.float32)


class ObservationModel:
    """Turns photons into standardised features; fitted on the training photons.

    Parameters
    ----------
    blocks
        Names of the blocks, in the observation's order.
    names
        Names of the constant features.
    mean, std
        (d,) of the training photons.
    shower
        Expected showers, for the residual image.
    projection
        Of the feature map, where that block is used.
    """

    def __init__(
        self,
        blocks: tuple[Block, ...],
        names: tuple[str, ...],
        mean: FloatArray,
        std: FloatArray,
        shower: ShowerTemplate,
        projection: Projection | None = None,
    ) -> None:
        self.blocks = blocks
        self.names = names
        self.mean = mean
        self.std = std
        self.shower = shower
        self.projection = projection

    @classmethod
    def fit(cls, table: PhotonTable, config: EnvironmentConfig) -> ObservationModel:
        """Measure projection, template, means and deviations on the training photons."""
        blocks = tuple(config.blocks)
        projection = None
        if "feature_map" in blocks:
            values = _required(table.feature_map, "feature_map")
            projection = Projection.fit(values, config.feature_map_components)
        names, values = _features(table, blocks, projection)
        mean, std = _mean_and_deviation(values)
        shower = ShowerTemplate.fit(
            table.crop.astype(np.float32) / table.energy[:, None, None], table.offset
        )
        return cls(blocks, names, mean, std, shower, projection)

    @property
    def has_residual(self) -> bool:
        """Whether the residual image is part of the observation."""
        return "residual" in self.blocks

    def constant(self, table: PhotonTable) -> FloatArray:
        """(n, d) standardised constant features; what is unknown (NaN) sits at the mean.

        Raises
        ------
        ConfigError
            If a block's data is missing from the table.
        """
        _, values = _features(table, self.blocks, self.projection)
        if values.shape[1] != len(self.mean):
            raise ConfigError(
                f"the photons bring {values.shape[1]} features, the model was fitted on "
                f"{len(self.mean)}: they come from different classifiers"
            )
        values = np.nan_to_num((values - self.mean) / self.std, nan=0.0)
        return np.clip(values, -CLIP, CLIP).astype(np.float32)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything needed to build the model again, for a NumPy archive."""
        arrays: dict[str, NDArray[Any]] = {
            "blocks": np.array(self.blocks),
            "names": np.array(self.names),
            "mean": self.mean,
            "std": self.std,
            "shower": self.shower.table,
        }
        if self.projection is not None:
            arrays["projection_mean"] = self.projection.mean
            arrays["projection_components"] = self.projection.components
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ObservationModel:
        """Inverse of `to_arrays`."""
        projection = None
        if "projection_mean" in arrays:
            projection = Projection(arrays["projection_mean"], arrays["projection_components"])
        return cls(
            blocks=tuple(arrays["blocks"].tolist()),
            names=tuple(arrays["names"].tolist()),
            mean=arrays["mean"],
            std=arrays["std"],
            shower=ShowerTemplate(arrays["shower"]),
            projection=projection,
        )


def _features(
    table: PhotonTable, blocks: tuple[Block, ...], projection: Projection | None
) -> tuple[tuple[str, ...], FloatArray]:
    """Names and values (n, d) of the constant features, in natural units."""
    names: list[str] = []
    columns: list[FloatArray] = [np.zeros((len(table), 0), dtype=np.float32)]
    for block in blocks:
        if block == "residual":  # follows the hypothesis: the dynamics draws it
            continue
        if block in NAMED_BLOCKS:
            named = NAMED_BLOCKS[block](table)
            names += named
            columns.append(np.stack(list(named.values()), axis=1).astype(np.float32))
            continue
        values = _required(getattr(table, block), block).astype(np.float32)
        if block == "feature_map" and projection is not None:
            values = projection(values)
        names += (
            REGRESSION_NAMES
            if block == "regression"
            else [f"{block}_{i}" for i in range(values.shape[1])]
        )
        columns.append(values)
    return tuple(names), np.concatenate(columns, axis=1)


def _mean_and_deviation(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of each column, unknown values (NaN) aside; 0 and 1 for one that is constant or unknown."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0).sum(axis=0) / count
    std = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(axis=0) / count)
    return mean.astype(np.float32), np.where(std > 1e-6, std, 1).astype(np.float32)


def _required(values: FloatArray | None, block: str) -> FloatArray:
    if values is None:
        raise ConfigError(f"the photons have no {block} for the observation: {_REMEDY}")
    return values
