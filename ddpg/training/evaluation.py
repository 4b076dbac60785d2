"""Evaluation: the return of the actor without exploration, from fixed initial states."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch

from ddpg.agent import DDPG
from ddpg.base.spaces import as_rows

FIRST_SEED = 10_000


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
    environment: gymnasium.Env[Any, Any],
    episodes: Iterable[int],
    max_episode_steps: float = math.inf,
    see: Callable[[np.ndarray], None] = lambda observation: None,
) -> Evaluation:
    """Run deterministic episodes; episode i starts from `environment.reset(seed=10000 + i)`.

    Args:
        agent: acts without exploration.
        environment: a single environment, not a vector.
        episodes: numbers of the episodes; may be a progress bar around them.
        max_episode_steps: number of steps after which an episode is cut off.
        see: called with the observation before every step; may raise.
    """
    figures = []
    for episode in episodes:
        observation, _ = environment.reset(seed=FIRST_SEED + episode)
        start_value = _value(agent, observation, agent.act(observation))
        rewards: list[float] = []
        ended = False
        while not ended:
            see(observation)
            observation, reward, terminated, truncated, _ = environment.step(agent.act(observation))
            rewards.append(float(reward))
            ended = terminated or truncated or len(rewards) == max_episode_steps
        discounted_return = np.power(agent.discount, np.arange(len(rewards))) @ rewards
        figures.append((sum(rewards), len(rewards), start_value, discounted_return))
    return Evaluation(*map(np.array, zip(*figures, strict=True)))


def _value(agent: DDPG, observation: np.ndarray, action: np.ndarray) -> float:
    """Return the critic's Q(s, a) of one observation and one action in the environment's units."""
    rows = as_rows(agent.observation_space, observation, "observation"), as_rows(agent.action_space, action, "action")
    with torch.no_grad():
        return float(agent.critic(*(torch.as_tensor(each).to(agent.device, agent.dtype) for each in rows)))
