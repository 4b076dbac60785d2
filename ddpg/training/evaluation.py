"""Evaluation: the return of the actor without exploration, from fixed initial states."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from ddpg.agent import DDPG
from ddpg.base.errors import require
from ddpg.base.spaces import as_rows

FIRST_SEED = 10_000
ROWS = 10
"""episodes that run side by side, where there are environments enough"""


class Evaluation(NamedTuple):
    """Figures of deterministic episodes, each `(episodes,)`; an episode that a limit ends counts up to there."""

    returns: np.ndarray
    lengths: np.ndarray
    start_values: np.ndarray
    """the critic's Q(s, μ(s)) of the initial state"""
    discounted_returns: np.ndarray

    @property
    def q_bias(self) -> float:
        """Mean overestimation: Q of the initial state minus the discounted return."""
        return float((self.start_values - self.discounted_returns).mean())


def evaluate(
    agent: DDPG,
    environments: gymnasium.Env[Any, Any] | Sequence[gymnasium.Env[Any, Any]],
    episodes: Iterable[int],
    max_episode_steps: float = math.inf,
    see: Callable[[np.ndarray], None] = lambda observation: None,
) -> Evaluation:
    """Run deterministic episodes; episode i starts from `environment.reset(seed=10000 + i)`.

    Args:
        agent: acts without exploration.
        environments: a single environment, or up to `ROWS` in which as many episodes run side by side; no vector.
        episodes: numbers of the episodes; may be a progress bar around them.
        max_episode_steps: number of steps after which an episode is cut off.
        see: called with the observation before every step; may raise.

    Raises:
        InputError: if observations or actions are not of the agent's shapes, or there are no episodes.
    """
    several = [environments] if isinstance(environments, gymnasium.Env) else environments
    for environment in several:
        shapes = environment.observation_space.shape, environment.action_space.shape
        own = agent.observation_space.shape, agent.action_space.shape
        require(
            shapes == own,
            f"environment with observations and actions of shapes {shapes[0]}, {shapes[1]}: the agent's are {own[0]}, "
            f"{own[1]}; take an environment like that of its training.",
        )
    figures = []
    for numbers in _waves(episodes, len(several)):
        figures += _side_by_side(agent, several, numbers, max_episode_steps, see)
    require(bool(figures), "episodes: there are none; pass their numbers, range(10) for instance.")
    return Evaluation(*map(np.array, zip(*figures, strict=True)))


def _waves(episodes: Iterable[int], count: int) -> Iterator[list[int]]:
    """Yield the numbers of up to `count` episodes at a time, each with a row of its own."""
    wave: dict[int, int] = {}
    for number in episodes:
        if number % ROWS in wave:
            yield [*wave.values()]
            wave = {}
        wave[number % ROWS] = number
        if len(wave) == count:
            yield [*wave.values()]
            wave = {}
    if wave:
        yield [*wave.values()]


def _side_by_side(
    agent: DDPG,
    environments: Sequence[gymnasium.Env[Any, Any]],
    numbers: Sequence[int],
    limit: float,
    see: Callable[[np.ndarray], None],
) -> list[tuple[float, int, float, float]]:
    """Run one episode in each environment; return the figures of each."""
    space = agent.observation_space
    # As many rows whatever is evaluated, and each episode's the same: that decides how its actions are rounded.
    observations = np.zeros((ROWS, *space.shape), space.dtype)
    running = [(environment, number % ROWS) for environment, number in zip(environments, numbers, strict=False)]
    for (environment, row), number in zip(running, numbers, strict=True):
        observations[row] = environment.reset(seed=FIRST_SEED + number)[0]
    actions = agent.act(observations)
    starts = as_rows(space, observations, "observation"), as_rows(agent.action_space, actions, "action")
    start_values = agent.values(*starts)
    rewards: dict[int, list[float]] = {row: [] for _, row in running}
    while running:
        for environment, row in tuple(running):
            see(observations[row])
            observations[row], reward, terminated, truncated, _ = environment.step(actions[row])
            rewards[row].append(float(reward))
            if terminated or truncated or len(rewards[row]) == limit:
                running.remove((environment, row))
        actions = agent.act(observations)
    return [
        (sum(each), len(each), float(start_values[row]), float(agent.discount ** np.arange(len(each)) @ each))
        for row, each in rewards.items()
    ]
