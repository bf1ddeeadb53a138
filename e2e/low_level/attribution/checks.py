"""Do attributions tell of the network? Random weights must change them, deletions must hurt."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.metrics import auc, bootstrap
from e2e.low_level.attribution.gradients import integrated_gradients
from e2e.networks import EventNetwork

FloatArray = NDArray[np.float64]
_BATCH = 128


def with_random_weights(network: EventNetwork, seed: int, only_head: bool) -> EventNetwork:
    """A copy whose weights are drawn anew: all of them, or those of the last layers only.

    Adebayo et al., arXiv:1810.03292. The normalisation of the inputs stays.
    """
    random = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, module in random.named_modules():
            if only_head and not name.startswith("head"):
                continue
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return random.eval()


def rank_correlations(a: Tensor, b: Tensor, filled: Tensor, is_signed: bool) -> FloatArray:
    """(B,) Spearman's rank correlation of two maps over each event's filled pixels.

    NaN for events with fewer than three.
    """
    from scipy.stats import spearmanr

    found = np.full(len(a), np.nan)
    for event in range(len(a)):
        chosen = filled[event]
        one, other = a[event][chosen].numpy(), b[event][chosen].numpy()
        if not is_signed:
            one, other = np.abs(one), np.abs(other)
        if len(one) >= 3 and np.ptp(one) > 0 and np.ptp(other) > 0:
            found[event] = spearmanr(one, other).statistic
    return found


def attribute(
    network: EventNetwork,
    inputs: Mapping[str, Tensor],
    classes: tuple[int, int],
    steps: int,
) -> dict[str, Any]:
    """Integrated gradients of many events: `images` by name, `difference`, `baseline`, `total`."""
    count = len(next(iter(inputs.values())))
    parts = [
        integrated_gradients(
            network, {n: v[start : start + _BATCH] for n, v in inputs.items()}, *classes, steps
        )
        for start in range(0, count, _BATCH)
    ]
    return {
        "images": {n: torch.cat([p.images[n] for p in parts]) for n in parts[0].images},
        "difference": torch.cat([p.difference for p in parts]).numpy(),
        "baseline": torch.cat([p.baseline for p in parts]).numpy(),
        "total": torch.cat([p.total for p in parts]).numpy(),
    }


def randomisation_test(
    network: EventNetwork,
    inputs: Mapping[str, Tensor],
    maps: Tensor,
    classes: tuple[int, int],
    steps: int,
    seeds: Sequence[int],
) -> dict[str, dict[str, float]]:
    """Mean rank correlation of crops' attributions with those of randomised networks.

    Keys: `head` and `all`, which weights are random; and `half_steps`, the same network with half
    the points of the integral, which must stay alike. Each has `signed` and `absolute`, the mean
    over events, and the standard error over networks (or events) of the first.
    """
    filled = inputs["crops"] > 0
    found = {}
    for name, networks in (
        ("half_steps", [network]),
        ("head", [with_random_weights(network, seed, True) for seed in seeds]),
        ("all", [with_random_weights(network, seed, False) for seed in seeds]),
    ):
        points = steps // 2 if name == "half_steps" else steps
        others = [attribute(n, inputs, classes, points)["images"]["crops"] for n in networks]
        signed = [np.nanmean(rank_correlations(maps, o, filled, True)) for o in others]
        absolute = [np.nanmean(rank_correlations(maps, o, filled, False)) for o in others]
        found[name] = {
            "signed": float(np.mean(signed)),
            "signed_spread": float(np.std(signed)),
            "absolute": float(np.mean(absolute)),
            "absolute_spread": float(np.std(absolute)),
        }
    return found


def deletion_test(
    network: EventNetwork,
    inputs: Mapping[str, Tensor],
    maps: Mapping[str, Tensor],
    is_signal: NDArray[np.bool_],
    group: NDArray[np.int64],
    classes: tuple[int, int],
    steps: int,
    fractions: Sequence[float],
    replicas: int,
    seed: int,
) -> dict[str, list[dict[str, Any]]]:
    """What is left of decisions when pixels are emptied: most supporting, hardest, or random.

    A pixel supports a decision if its attribution has the sign of the difference of the logits of
    the whole event; labels play no part. Each way empties the same number of filled pixels of an
    event, over all images. `randomised` takes the attributions of a network with random weights.

    Returns
    -------
    dict
        Way to a list over `fractions`, of which 0, the event as it is, comes first. `decision`:
        mean difference of logits in the direction of the first decision. `auc`: of the pair of
        classes. Both with value, error, and difference to the random way, paired.
    """
    flat = {name: values.flatten(1) for name, values in inputs.items() if name in maps}
    energy = torch.cat(list(flat.values()), dim=1)
    whole = _score_without(network, inputs, flat, energy, classes, 0.0)
    sign = torch.from_numpy(np.sign(whole).astype(np.float32))[:, None]
    random = with_random_weights(network, seed, False)
    others = attribute(random, inputs, classes, steps)["images"]
    generator = torch.Generator().manual_seed(seed)
    ways = {
        "random": torch.rand(energy.shape, generator=generator),
        "hardest": energy,
        "randomised": torch.cat([others[name].flatten(1) for name in flat], dim=1) * sign,
        "attributed": torch.cat([maps[name].flatten(1) for name in flat], dim=1) * sign,
    }
    every = (0.0, *fractions)
    scores = np.stack(
        [
            np.stack([_score_without(network, inputs, flat, rank, classes, f) for f in every])
            for rank in ways.values()
        ]
    )  # (ways, fractions, events)

    def statistic(
        values: FloatArray, signal: NDArray[np.bool_], direction: FloatArray
    ) -> FloatArray:
        """(2, 2, ways, fractions): decision and AUC; as they are, and less the random way's."""
        areas = [[auc(x, signal) for x in part] for part in values.transpose(1, 2, 0)]
        left = (values * direction[:, None, None]).mean(axis=0)
        found = np.array([left, areas])
        return np.stack([found, found - found[:, :1]])

    events = np.moveaxis(scores, 2, 0), is_signal, np.sign(whole)
    value = statistic(*events)
    error = bootstrap(statistic, *events, groups=group, n=replicas)
    return {
        way: [
            {
                "fraction": fraction,
                **{
                    merit: {
                        "value": float(value[0, m, i, j]),
                        "error": float(error[0, m, i, j]),
                        "difference": float(value[1, m, i, j]),
                        "difference_error": float(error[1, m, i, j]),
                    }
                    for m, merit in enumerate(("decision", "auc"))
                },
            }
            for j, fraction in enumerate(every)
        ]
        for i, way in enumerate(ways)
    }


@torch.no_grad()
def _score_without(
    network: EventNetwork,
    inputs: Mapping[str, Tensor],
    flat: Mapping[str, Tensor],
    rank: Tensor,
    classes: tuple[int, int],
    fraction: float,
) -> FloatArray:
    """(B,) difference of logits when the `fraction` of filled pixels of highest rank is emptied."""
    energy = torch.cat(list(flat.values()), dim=1)
    rank = torch.where(energy > 0, rank, -torch.inf)
    place = rank.argsort(dim=1, descending=True).argsort(dim=1)
    removed = place < torch.round(fraction * (energy > 0).sum(dim=1, keepdim=True))
    kept = torch.where(removed, 0.0, energy)
    changed, start = dict(inputs), 0
    for name, values in flat.items():
        stop = start + values.shape[1]
        changed[name] = kept[:, start:stop].view_as(inputs[name])
        start = stop
    logits = torch.cat(
        [
            network({n: v[first : first + _BATCH] for n, v in changed.items()})
            for first in range(0, len(energy), _BATCH)
        ]
    )
    return (logits[:, classes[0]] - logits[:, classes[1]]).double().numpy()
