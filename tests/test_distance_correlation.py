"""Distance correlation against a reference without shortcuts, and as a part of the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError
from e2e.training.distance_correlation import squared_distance_correlation
from e2e.training.objectives import mass_penalty


def reference(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """The definition, entry by entry: O(n^2) loops, nothing shared with the implementation."""
    n, w = len(x), weight / weight.sum()

    def centred(z: np.ndarray) -> np.ndarray:
        distance = np.array([[abs(a - b) for b in z] for a in z])
        row = [sum(w[j] * distance[i, j] for j in range(n)) for i in range(n)]
        mean = sum(w[i] * row[i] for i in range(n))
        return np.array(
            [[distance[i, j] - row[i] - row[j] + mean for j in range(n)] for i in range(n)]
        )

    a, b = centred(x), centred(y)

    def product(p: np.ndarray, q: np.ndarray) -> float:
        return sum(w[i] * w[j] * p[i, j] * q[i, j] for i in range(n) for j in range(n))

    return product(a, b) / np.sqrt(product(a, a) * product(b, b))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["independent", "linear", "square"])
def test_it_agrees_with_the_definition(kind: str, weighted: bool) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=40)
    y = {"independent": rng.normal(size=40), "linear": 3 - 2 * x, "square": x**2}[kind]
    weight = rng.uniform(0.1, 3, 40) if weighted else np.ones(40)
    found = squared_distance_correlation(*(torch.from_numpy(z) for z in (x, y, weight)))
    assert float(found) == pytest.approx(reference(x, y, weight), rel=2e-4)


def test_known_values() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=1500))
    independent = squared_distance_correlation(x, torch.from_numpy(rng.uniform(size=1500)))
    assert 0 <= float(independent) < 0.006  # of the order of 1/n
    assert float(squared_distance_correlation(x, 125 - 7 * x)) == pytest.approx(1, abs=1e-5)
    # Uncorrelated, but dependent: what the linear correlation does not see.
    assert float(squared_distance_correlation(x, x**2)) > 0.15
    # Of normal pairs with correlation 0.5 (Székely et al. 2007, theorem 7): 0.2062.
    y = 0.5 * x + np.sqrt(0.75) * torch.from_numpy(rng.normal(size=1500))
    assert float(squared_distance_correlation(x, y)) == pytest.approx(0.2062, abs=0.05)


def test_without_bias_independent_values_give_zero_on_average() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=30), rng.exponential(size=30)

    def mean(without_bias: bool, weight: np.ndarray, count: int) -> float:
        w = torch.from_numpy(weight)
        found = [
            squared_distance_correlation(
                torch.from_numpy(x), torch.from_numpy(rng.permutation(y)), w, without_bias
            ).item()
            for _ in range(count)
        ]
        return float(np.mean(found))

    biased = mean(False, np.ones(30), 200)
    assert biased > 0.05
    assert abs(mean(True, np.ones(30), 1000)) < 0.05 * biased
    assert abs(mean(True, rng.choice([0.6, 1.4], 30), 1000)) < 0.15 * biased
    dependent = torch.from_numpy(x)
    assert squared_distance_correlation(dependent, 2 * dependent, None, True).item() > 0.9


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=30),
    st.floats(0.01, 100),
    st.floats(-50, 50),
)
def test_bounds_and_invariance(values: list[float], scale: float, shift: float) -> None:
    x = torch.tensor(values, dtype=torch.float64)
    y = torch.arange(len(values), dtype=torch.float64) ** 2
    found = float(squared_distance_correlation(x, y))
    assert -1e-3 <= found <= 1 + 1e-3
    other = float(squared_distance_correlation(x * scale + shift, y))
    spread = float(x.std())
    if spread > 1e-3 * (1 + abs(shift) / scale):
        assert other == pytest.approx(found, abs=2e-2)


@pytest.mark.parametrize(
    "case",
    ["ordinary", "constant score", "ties", "three events", "two events", "one event", "none"],
)
def test_the_gradient_is_finite(case: str) -> None:
    rng = np.random.default_rng(1)
    count = {"three events": 3, "two events": 2, "one event": 1, "none": 0}.get(case, 50)
    score = torch.from_numpy(rng.uniform(size=count)).float()
    if case == "constant score":
        score = torch.full_like(score, 0.3)
    if case == "ties":
        score = torch.round(score)
    score.requires_grad_()
    mass = torch.from_numpy(rng.normal(125, 10, count))
    for without_bias in (False, True):
        score.grad = None
        found = squared_distance_correlation(score, mass, None, without_bias)
        found.backward()
        assert abs(found.item()) < 20
        assert score.grad is not None
        assert torch.isfinite(score.grad).all()


def test_descent_removes_the_dependence() -> None:
    generator = torch.Generator().manual_seed(0)
    mass = torch.randn(100, generator=generator)
    score = (mass + 0.3 * torch.randn(100, generator=generator)).requires_grad_()
    optimiser = torch.optim.Adam([score], lr=0.05)
    before = squared_distance_correlation(score, mass).item()
    for _ in range(60):
        loss = squared_distance_correlation(score, mass)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert squared_distance_correlation(score, mass).item() < 0.1 * before


def test_the_penalty_is_of_the_background_alone() -> None:
    rng = np.random.default_rng(2)
    label = torch.from_numpy(rng.integers(0, 3, 300))
    mass = torch.from_numpy(rng.normal(120, 15, 300)).float()
    logits = torch.zeros(300, 3)
    logits[:, 1] = torch.where(label == 1, mass, torch.from_numpy(rng.normal(size=300)).float())
    targets = {"label": label, "mass": mass, "weight": torch.ones(300)}
    assert float(mass_penalty(logits, targets)) < 0.05  # a signal that follows its mass may
    logits[:, 1] = -(mass - 125).abs() / 10
    assert float(mass_penalty(logits, targets)) > 0.1
    targets["mass"] = torch.where(torch.arange(300) % 2 == 0, mass, torch.nan)
    assert torch.isfinite(mass_penalty(logits, targets))
    with pytest.raises(ConfigError, match="no mass"):
        mass_penalty(logits, {"label": label, "weight": torch.ones(300)})
