"""Agents by key, their exploration, and learning from the environment's reward."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from common.config import build
from envs.faces.sb3 import DynamicsVecEnv
from envs.refinement.dynamics import RefinementDynamics
from envs.refinement.env import make_dynamics
from rl.learning.agents import (
    ALGORITHMS,
    BatchNoise,
    actor_of,
    make_agent,
    policy_of,
    save_agent,
)
from rl.learning.training import train_agent
from rl.refinement.config import AgentConfig
from rl.refinement.episodes import energy_resolution, measure, roll_out


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dynamics() -> RefinementDynamics:
    return make_dynamics(None, {"steps": 2})


def _config(**settings: object) -> AgentConfig:
    small = {
        "updates": 32, "environments": 64, "batch_size": 64, "buffer_size": 2000,
        "hidden": [32, 32],
    }  # fmt: skip
    return build(AgentConfig, small, settings)


def test_noise_is_gaussian_and_drawn_at_once() -> None:
    noise = BatchNoise(0.2, (5000, 3), seed=0)
    draw = noise()
    noise.reset(indices=[1])
    assert draw.shape == (5000, 3)
    assert abs(draw.std() - 0.2) < 0.01
    assert abs(draw.mean()) < 0.01
    assert not np.array_equal(draw, noise())


def test_noise_falls_linearly_to_its_end() -> None:
    noise = BatchNoise(0.4, (20_000, 2), seed=0, final=0.1, draws=3)
    deviations = [float(noise().std()) for _ in range(6)]
    np.testing.assert_allclose(deviations, [0.4, 0.3, 0.2, 0.1, 0.1, 0.1], rtol=0.03)


def test_single_noise_disturbs_one_coordinate_at_a_time() -> None:
    draw = BatchNoise(0.2, (9000, 3), seed=0, single=True)()
    assert (np.count_nonzero(draw, axis=1) == 1).all()
    np.testing.assert_allclose(np.count_nonzero(draw, axis=0), 3000, rtol=0.1)
    assert abs(draw[draw != 0].std() - 0.2) < 0.01


def test_noise_goes_on_from_its_state() -> None:
    first, second = (BatchNoise(0.4, (5, 2), seed, final=0.1, draws=9) for seed in (0, 1))
    first()
    second.restore(first.state())
    for _ in range(3):
        np.testing.assert_array_equal(first(), second())


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_every_algorithm_trains_by_its_key(algorithm: str, dynamics: RefinementDynamics) -> None:
    agent, curve = train_agent(dynamics, _config(algorithm=algorithm), 0, measure(dynamics), 2)
    assert type(agent).__name__ == algorithm
    assert agent._n_updates == 32
    assert [point["updates"] for point in curve] == [16, 32]
    rollout = roll_out(dynamics, policy_of(agent), np.arange(10))
    assert rollout.correction.shape == (3, 10, 3)
    assert np.abs(rollout.action).max() <= 1


def test_policy_is_the_agents_own_deterministic_prediction(dynamics: RefinementDynamics) -> None:
    agent = make_agent(DynamicsVecEnv(dynamics, 8), _config(), seed=0)
    observation = dynamics.observe(dynamics.start(np.arange(20)))
    expected, _ = agent.predict(observation, deterministic=True)
    np.testing.assert_allclose(policy_of(agent)(observation), expected, atol=1e-6)


def test_without_a_future_no_target_critic_is_kept(dynamics: RefinementDynamics) -> None:
    for gamma, moves in ((0.0, False), (0.5, True)):
        agent, _ = train_agent(dynamics, _config(gamma=gamma), 0, measure(dynamics), 1)
        fresh = make_agent(DynamicsVecEnv(dynamics, 8), _config(gamma=gamma), seed=0)
        pairs = zip(
            agent.policy.critic_target.parameters(), fresh.policy.critic_target.parameters(),
            strict=True,
        )  # fmt: skip
        assert moves == any(not torch.equal(one, other) for one, other in pairs)


def test_averaged_policy_is_the_target_actor_and_survives_its_file(
    dynamics: RefinementDynamics, tmp_path: Path
) -> None:
    agent, _ = train_agent(dynamics, _config(averaged=True, tau=0.1), 0, measure(dynamics), 1)
    assert actor_of(agent) is agent.policy.actor_target
    save_agent(agent, tmp_path / "agent.zip")
    again = ALGORITHMS["DDPG"].load(tmp_path / "agent.zip", device="cpu")
    observation = dynamics.observe(dynamics.start(np.arange(30)))
    np.testing.assert_array_equal(policy_of(again)(observation), policy_of(agent)(observation))
    last, _ = agent.predict(observation, deterministic=True)
    assert np.abs(last - policy_of(agent)(observation)).max() > 1e-4


def test_several_agents_act_by_their_mean(dynamics: RefinementDynamics) -> None:
    agents = [make_agent(DynamicsVecEnv(dynamics, 8), _config(), seed) for seed in range(3)]
    observation = dynamics.observe(dynamics.start(np.arange(20)))
    expected = np.mean([policy_of(agent)(observation) for agent in agents], axis=0)
    np.testing.assert_allclose(policy_of(agents)(observation), expected, atol=1e-6)


def test_equal_seeds_give_equal_agents(dynamics: RefinementDynamics) -> None:
    first, second = (
        policy_of(train_agent(dynamics, _config(), 5, measure(dynamics), 1)[0]) for _ in range(2)
    )
    observation = dynamics.observe(dynamics.start(np.arange(50)))
    np.testing.assert_array_equal(first(observation), second(observation))


def test_learning_rate_falls_to_its_end(dynamics: RefinementDynamics) -> None:
    config = _config(learning_rate=1e-3, final_learning_rate=1e-5)
    agent, _ = train_agent(dynamics, config, 0, measure(dynamics), 1)
    assert agent.lr_schedule(1.0) == pytest.approx(1e-3)
    assert agent.lr_schedule(0.0) == pytest.approx(1e-5)


def test_agent_improves_photons_it_never_saw() -> None:
    # So short a training suffices for the small observation, not for the classifier's outputs too.
    blocks = ["kinematics", "shapes", "residual"]
    whole = make_dynamics(None, {"steps": 2, "blocks": blocks})
    train, held_out = (
        RefinementDynamics(whole.table.take(rows), whole.model, whole.config)
        for rows in (np.arange(2000), np.arange(2000, 3000))
    )
    config = _config(
        updates=640, environments=512, batch_size=256, buffer_size=40_000, hidden=[64, 64],
        learning_rate=3e-3,
    )  # fmt: skip
    agent, curve = train_agent(train, config, 0, measure(held_out), 4)
    target = held_out.table.target
    before = energy_resolution(np.zeros_like(target), target)
    after = energy_resolution(roll_out(held_out, policy_of(agent)).final, target)
    assert after < 0.85 * before
    assert curve[-1]["sigma_eff_energy"] == pytest.approx(after)


def test_noisy_rollouts_differ_and_stay_near(dynamics: RefinementDynamics) -> None:
    def still(observation: np.ndarray) -> np.ndarray:
        return np.zeros((len(observation), 3), dtype=np.float32)

    rng = np.random.default_rng(0)
    quiet = roll_out(dynamics, still, np.arange(300))
    noisy = roll_out(dynamics, still, np.arange(300), noise=0.1, rng=rng)
    np.testing.assert_array_equal(quiet.final, quiet.correction[0])
    spread = (noisy.final - quiet.final).std(axis=0) / dynamics.largest_step
    np.testing.assert_allclose(spread, 0.1 * np.sqrt(2), rtol=0.15)
