"""The refiner as one module: raw features and crystals in, the correction out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from envs.photons.table import PhotonTable
from envs.refinement.dynamics import CORRECTION_SCALE
from envs.refinement.features import NAMED_BLOCKS
from envs.refinement.observation import CLIP, ObservationModel
from envs.refinement.shower import IMAGE
from rl.learning.agents import actor_of
from rl.refinement.refiner import Refiner

OUTPUTS: tuple[str, ...] = ("correction",)
_SPECIAL = ("residual", "regression")  # made inside


def input_names(refiner: Refiner) -> tuple[str, ...]:
    """What the exported files take: the blocks of raw features, then crystals and place."""
    blocks = [block for block in refiner.environment.blocks if block not in _SPECIAL]
    return (*blocks, "shares", "offset")


def raw_inputs(refiner: Refiner, table: PhotonTable) -> tuple[Tensor, ...]:
    """Those of photons, as a user of the files has to make them.

    Returns
    -------
    tuple of tensor
        For each block (n, features) in natural units, unknown values NaN; `shares` (n, 7, 7), the
        energies of the crystals round the seed over the standard energy; `offset` (n, 2), the
        standard impact from the seed's centre in crystals.
    """
    columns: list[NDArray[np.floating]] = []
    for name in input_names(refiner)[:-2]:
        if name in NAMED_BLOCKS:
            columns.append(np.stack(list(NAMED_BLOCKS[name](table).values()), axis=1))
        else:
            columns.append(getattr(table, name))
    edge = (table.crop.shape[1] - IMAGE) // 2
    inner = slice(edge, edge + IMAGE)
    columns += [table.crop[:, inner, inner] / table.energy[:, None, None], table.offset]
    return tuple(torch.from_numpy(np.ascontiguousarray(c, dtype=np.float32)) for c in columns)


class PortableRefiner(nn.Module):
    """Raw inputs, in the order of `names`, to corrections (n, 3) of log energy, u and v.

    Projection of the feature map, standardisation, clipping, unknown values, the regression, the
    residual images and all K steps of the mean of the agents are inside.

    Parameters
    ----------
    refiner
        The trained chain.
    """

    ranges: Tensor
    largest_step: Tensor
    scales: Tensor
    expected: Tensor

    def __init__(self, refiner: Refiner) -> None:
        super().__init__()
        self.names = input_names(refiner)
        self.outputs = OUTPUTS
        self.inputs = _Standardised(refiner.inputs)
        self.observation = _Standardised(refiner.observation)
        self.regressions = nn.ModuleList(refiner.regression.networks)
        self.actors = nn.ModuleList([_mean_action(actor_of(agent)) for agent in refiner.agents])
        self.steps = refiner.environment.steps
        self.starts_from_regression = refiner.environment.start == "regression"
        self.has_residual = refiner.observation.has_residual
        self.shower = refiner.observation.shower.to("cpu")
        ranges = torch.tensor(refiner.environment.ranges, dtype=torch.float32)
        share = 1.0 if self.steps == 1 else refiner.environment.margin / self.steps
        self.register_buffer("ranges", ranges)
        self.register_buffer("largest_step", ranges * share)
        self.register_buffer("scales", torch.from_numpy(refiner.regression.scales))
        self.register_buffer("expected", torch.as_tensor(self.shower.table))

    def forward(self, *inputs: Tensor) -> Tensor:
        """(n, 3) corrections."""
        seen = dict(zip(self.names, inputs, strict=True))
        predicted = torch.stack([r(self.inputs(seen)) for r in self.regressions]).mean(dim=0)
        seen["regression"] = predicted * self.scales
        constant = self.observation(seen)
        start = seen["regression"] if self.starts_from_regression else 0 * seen["regression"]
        shares = seen["shares"].reshape(-1, IMAGE**2)
        correction = start
        for step in range(self.steps):
            moved = ((correction - start) / self.ranges * CORRECTION_SCALE).clamp(-CLIP, CLIP)
            parts = [constant, moved, torch.full_like(moved[:, :1], step / self.steps - 0.5)]
            if self.has_residual:
                place: Any = seen["offset"] + correction[:, 1:]
                expected = self.expected[self.shower.rows(place)]
                image = _residual_image(shares, expected, correction[:, 0])
                parts.append(image.clamp(-CLIP, CLIP))
            observation = torch.cat(parts, dim=1)
            actions = torch.stack([actor(observation) for actor in self.actors]).mean(dim=0)
            correction = correction + actions.clamp(-1, 1) * self.largest_step
        return correction


def _residual_image(observed: Tensor, expected: Tensor, log_energy: Tensor) -> Tensor:
    """As `envs.refinement.shower.residual_image`, without copysign, which ONNX lacks."""
    residual = observed - log_energy.exp()[:, None] * expected
    return residual.sign() * torch.log1p(residual.abs() * 200.0) * 0.5


class _Standardised(nn.Module):
    """The constant part of an observation, from raw blocks; see `ObservationModel.constant`."""

    mean: Tensor
    std: Tensor
    centre: Tensor
    components: Tensor

    def __init__(self, model: ObservationModel) -> None:
        super().__init__()
        self.blocks = tuple(block for block in model.blocks if block != "residual")
        self.register_buffer("mean", torch.from_numpy(model.mean))
        self.register_buffer("std", torch.from_numpy(model.std))
        self.projects = model.projection is not None
        if model.projection is not None:
            self.register_buffer("centre", torch.from_numpy(model.projection.mean))
            self.register_buffer("components", torch.from_numpy(model.projection.components))

    def forward(self, seen: dict[str, Tensor]) -> Tensor:
        parts = []
        for block in self.blocks:
            values = seen[block]
            if block == "feature_map" and self.projects:
                values = (values - self.centre) @ self.components
            parts.append(values)
        values = (torch.cat(parts, dim=1) - self.mean) / self.std
        return torch.nan_to_num(values, nan=0.0).clamp(-CLIP, CLIP)


def _mean_action(actor: nn.Module) -> nn.Module:
    """The layers of a deterministic policy: SAC's have a head and a squashing of their own."""
    if hasattr(actor, "latent_pi"):
        return nn.Sequential(actor.latent_pi, actor.mu, nn.Tanh())  # type: ignore[arg-type]
    layers = actor.mu
    assert isinstance(layers, nn.Module)
    return layers
