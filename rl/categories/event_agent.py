"""Events that sort themselves: an agent per event, and its supervised peer.

Both are paid, or taught, by the same table: what each event would be worth in each category, the
others staying where they are. All events are then sorted anew and the table is made again.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from stable_baselines3.common.logger import configure

from envs.categories.per_event import PerEventDynamics
from envs.categories.significance import Floats, IntArray, significance
from envs.faces.sb3 import DynamicsVecEnv
from rl.categories.config import CategoriseConfig
from rl.categories.inputs import Inputs
from rl.categories.judge import Method
from rl.learning.agents import make_agent, policy_of
from rl.learning.config import AgentConfig

#: Categories (n,) of events by their standardised features.
Sorter = Callable[[Floats], IntArray]


class Standard:
    """Features in units of the training events' deviations."""

    def __init__(self, features: Floats) -> None:
        self._mean, self._std = features.mean(axis=0), features.std(axis=0) + 1e-9

    def __call__(self, features: Floats) -> Floats:
        """(n, f) standardised."""
        return (features - self._mean) / self._std


def event_agent(
    train: Inputs, first: IntArray, n_categories: int, config: CategoriseConfig, seed: int
) -> Method:
    """An agent that gives each event a coordinate.

    Parameters
    ----------
    first
        (n,) categories that the first table is made of.
    """
    started = time.monotonic()
    settings, standard = config.event_agent, Standard(train.features)
    dynamics = PerEventDynamics(train.events, standard(train.features), n_categories)
    dynamics.sort(first)
    env = DynamicsVecEnv(dynamics, settings.batch_size)
    agent = make_agent(
        env,
        AgentConfig(
            algorithm=settings.algorithm,
            environments=settings.batch_size,
            updates=settings.rounds * settings.updates,
            buffer_size=8 * settings.batch_size,  # older rewards are of another table
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            final_learning_rate=settings.learning_rate / 10,
            hidden=settings.hidden,
            noise=settings.noise,
        ),
        seed,
    )
    agent.set_logger(configure(None, []))
    best, best_value = agent.get_parameters(), _value(dynamics, first)
    observation = dynamics.observe(dynamics.start(np.arange(len(dynamics))))
    steps = -(-settings.updates // 16)
    for k in range(settings.rounds):
        agent.learn(steps * env.num_envs, reset_num_timesteps=k == 0)
        category = dynamics.category(policy_of(agent)(observation)[:, 0])
        value = _value(dynamics, category)
        if value > best_value or k == 0:
            best, best_value = copy.deepcopy(agent.get_parameters()), value
            dynamics.sort(category)  # a table is made anew only of categories that are better
    agent.set_parameters(best)  # type: ignore[arg-type]  # nested, as get_parameters gives them
    policy = policy_of(agent)

    def assign(inputs: Inputs) -> IntArray:
        seen = np.clip(standard(inputs.features), -6, 6).astype(np.float32)
        return dynamics.category(policy(seen)[:, 0])

    return Method(assign, n_categories, settings.rounds + 1, time.monotonic() - started)


def event_peer(
    train: Inputs, first: IntArray, n_categories: int, config: CategoriseConfig, seed: int
) -> Method:
    """Boosted trees that predict each category's worth of an event; it goes where that is most."""
    started = time.monotonic()
    dynamics = PerEventDynamics(train.events, train.features, n_categories)
    dynamics.sort(first)
    best_value = 0.0
    best: list[HistGradientBoostingRegressor] = []
    for _ in range(config.event_agent.peer_rounds):
        trees = [
            HistGradientBoostingRegressor(
                max_iter=60, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=200,
                early_stopping=False, random_state=seed,
            ).fit(train.features, dynamics.worth[:, k])
            for k in range(n_categories)
        ]  # fmt: skip
        category = _most(trees, train.features)
        if (value := _value(dynamics, category)) > best_value:
            best_value, best = value, trees
        dynamics.sort(category)

    def assign(inputs: Inputs) -> IntArray:
        return _most(best, inputs.features)

    return Method(
        assign, n_categories, config.event_agent.peer_rounds + 1, time.monotonic() - started
    )


def _most(trees: list[HistGradientBoostingRegressor], features: Floats) -> IntArray:
    """(n,) category of the highest predicted worth."""
    worth = np.column_stack([tree.predict(features) for tree in trees])
    return np.asarray(worth.argmax(axis=1), dtype=np.int64)


def _value(dynamics: PerEventDynamics, category: IntArray) -> float:
    """Significance of all events in categories."""
    return float(significance(dynamics.contents(category)))
